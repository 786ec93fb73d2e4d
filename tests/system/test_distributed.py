"""Processes that train one run together: they get the numbers of a single process, and always end together."""

import json
import re
import shutil
import signal
import socket
from pathlib import Path

import jax
import numpy as np
import pytest
from checked import present
from forked import start_process
from helpers import RANDOM, SMALL, Done, Processes, assert_mistake, environ, finish, logged, write_tree

from oasis_jax.network import unet
from oasis_jax.runs.checkpoints import Checkpoints
from oasis_jax.runs.folder import Run

# Without normalisation: it amplifies rounding, and gives Adam gradients that are nothing but rounding.
OPTIONS = (*SMALL, *RANDOM, "--model.norm", "none", "--train.epochs", "3", "--train.seed", "1")
STEPS = 9


def output_lines(text: str) -> list[str]:
    """Lines of an output, without those of Gloo, the library that connects processes on CPUs.

    Its threads write into each other's lines, so not every one starts with its name.
    """
    return [line for line in text.splitlines() if line.strip() and not re.search(r"^\[Gloo\]|peer ranks", line)]


def assert_same_training(run: Path, other: Path) -> None:
    """The same losses, gradient norms and parameters, to 1e-5."""
    ours, theirs = logged(run), logged(other)
    assert [(row.step, row.numbers.kind) for row in ours] == [(row.step, row.numbers.kind) for row in theirs]
    for name in ("loss", "gradient_norm"):
        values, wanted = ([getattr(row.numbers, name, 0) for row in rows] for rows in (ours, theirs))
        np.testing.assert_allclose(values, wanted, atol=1e-5)
    np.testing.assert_allclose(parameters(run), parameters(other), atol=1e-5)


def parameters(run: Path) -> np.ndarray:
    """All parameters of the last checkpoint, in one row."""
    network = unet.network(Run.load(run).config.model)
    checkpoints = Checkpoints(run / "checkpoints")
    last = present(checkpoints.latest)
    assert last.step == STEPS
    restored = checkpoints.restore(last, {"params": network.abstract((48, 64, 1))})["params"]
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(restored)])


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 training slices, 7 to validate, 14 to test: no split is a multiple of the batch, 4."""
    return write_tree(tmp_path_factory.mktemp("hosts") / "slices", slices=7)


@pytest.fixture(scope="module")
def single(slices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process on one device that nothing disturbed; do not change it."""
    run = tmp_path_factory.mktemp("single") / "run"
    (done,) = Processes("train", "--data.root", slices, "--run", run, *OPTIONS, count=1).finish()
    assert done.returncode == 0, done.stderr
    return run


def test_two_processes_killed_and_resumed_end_like_one_that_was_not(slices: Path, single: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("train", "--data.root", slices, "--run", run, *OPTIONS)
    pair = Processes(*words)
    pair.wait_for(lambda: len(logged(run)) >= 5)
    pair.processes[1].kill()
    survivor, _ = pair.finish()
    assert survivor.returncode not in (0, -signal.SIGKILL)
    first, second = Processes(*words).finish()
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stderr.count("Resuming") == 1
    assert first.stdout.count("slices, test: 14 slices of 2 subjects") == 1
    assert output_lines(second.stdout + second.stderr) == []
    assert_same_training(run, single)
    assert scores(run)["loss"] == pytest.approx(scores(single)["loss"], abs=1e-5)


def test_a_stop_of_one_process_stops_both_at_one_step_and_one_process_can_go_on(
    slices: Path, single: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    pair = Processes("train", "--data.root", slices, "--run", run, *OPTIONS)
    pair.wait_for(lambda: len(logged(run)) >= 2)
    pair.processes[1].send_signal(signal.SIGTERM)
    first, second = pair.finish()
    assert (first.returncode, second.returncode) == (128 + signal.SIGTERM,) * 2, first.stderr + second.stderr
    assert "Start the same command again to go on." in first.stderr
    assert output_lines(second.stdout + second.stderr) == []
    card = present(Checkpoints(run / "checkpoints").latest)
    assert card.step == logged(run)[-1].step < STEPS
    (done,) = Processes("train", "--data.root", slices, "--run", run, *OPTIONS, count=1).finish()
    assert f"Resuming {run} after step {card.step} of {STEPS}." in done.stderr
    assert_same_training(run, single)


def scores(run: Path) -> dict:
    return json.loads((run / "evaluation/test/metrics.json").read_text())["scores"]


def test_an_uneven_split_is_scored_to_the_pixel_by_four_devices_and_by_two_processes(
    single: Path, tmp_path: Path
) -> None:
    for name, count, devices in (("four", 1, 4), ("two", 2, 2)):
        run = tmp_path / name
        shutil.copytree(single, run, ignore=shutil.ignore_patterns("evaluation"))
        first, *second = Processes("evaluate", run, count=count, devices=devices).finish()
        assert first.returncode == 0, first.stderr
        assert all(done.returncode == 0 and output_lines(done.stdout + done.stderr) == [] for done in second)
        ours, theirs = scores(run), scores(single)
        assert ours["slices"] == 14
        assert len((run / "evaluation/test/per_slice.csv").read_text().splitlines()) == 1 + 14 * 4
        assert ours.pop("loss") == pytest.approx(theirs.pop("loss"), abs=1e-6)
        ours_error, their_error = (values.pop("calibration")["expected_error"] for values in (ours, theirs))
        assert ours_error == pytest.approx(their_error, abs=1e-6)
        for values in (ours, theirs):
            del values["soft_dice_per_slice"]  # like those two, it sums probabilities; all else counts pixels
        assert ours == theirs


def test_a_best_checkpoint_that_one_process_cannot_read_is_left_out_by_all(single: Path, tmp_path: Path) -> None:
    folders = (tmp_path / "here", tmp_path / "there")
    for folder in folders:
        shutil.copytree(single, folder / "run", ignore=shutil.ignore_patterns("evaluation"))
    best, second, *_ = Checkpoints(single / "checkpoints").by_loss()
    for path in (folders[1] / "run/checkpoints" / str(best.step) / "params").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    for done in Processes("evaluate", "run", cwd=folders).finish():
        assert done.returncode == 0, done.stderr
    metrics = json.loads((folders[0] / "run/evaluation/test/metrics.json").read_text())
    assert metrics["step"] == second.step


def test_processes_that_disagree_all_say_so(slices: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    seeds = (["--train.seed", "1"], ["--train.seed", "2"])
    for done in Processes("train", *OPTIONS, "--run", run, "--data.root", slices, more=seeds).finish():
        assert_mistake(done, "Process 1 was not started with the same options and experiment file as process 0.")
    assert not run.exists()


def test_a_folder_that_is_not_shared_is_refused_and_ends_the_process_that_goes_on(slices: Path, tmp_path: Path) -> None:
    folders = (tmp_path / "here", tmp_path / "there")
    for folder in folders:
        folder.mkdir()
    code = """
from oasis_jax import train
from oasis_jax.system import distributed
from oasis_jax.system.errors import run_command

distributed.SHARED_SECONDS = 1
run_command(train.main)
"""
    first, second = Processes("--data.root", slices, "--run", "run", *OPTIONS, code=code, cwd=folders).finish()
    assert_mistake(second, "run is not the folder that process 0 sees", f"(Process 1 on {socket.gethostname()}.)")
    assert first.returncode not in (0, 2)
    assert logged(tmp_path / "here/run") == []


JOINING = """
from oasis_jax.system import distributed
from oasis_jax.system.errors import run_command

def main():
    with distributed.initialize(True, "same"):
        print("joined")

distributed.JOIN_SECONDS = 2
run_command(main)
"""


def test_processes_that_cannot_be_joined_give_a_sentence() -> None:
    def join(address: str = "", count: str = "", mine: str = "") -> Done:
        environment = {name: value for name, value in environ().items() if not name.startswith(("SLURM", "OMPI"))}
        environment |= {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": count, "JAX_PROCESS_ID": mine}
        return finish(start_process([], JOINING, environment, None))

    for words in ((), ("host:99", "2", "2"), ("host", "2", "0"), ("host:1", "two", "0")):
        assert_mistake(join(*words), "--distributed cannot join the other processes", "or set JAX_COORDINATOR_ADDRESS")
    with socket.create_server(("", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert_mistake(join(address, "2", "0"), "Address already in use", "JAX_COORDINATOR_ADDRESS")
    assert_mistake(join(address, "2", "0"), "did not find each other in time")  # the other never comes


SAVING = """
import os, sys
from pathlib import Path
import jax
import jax.numpy as jnp
from oasis_jax.runs import arrays
from oasis_jax.runs.checkpoints import Checkpoints
from oasis_jax.runs.state import TrainState
from oasis_jax.system import distributed, sharding
from oasis_jax.system.errors import run_command

def unreadable(path, abstract):
    raise ValueError("not for this process")

def main():
    with distributed.initialize(True, "same"):
        same = sharding.replicated(sharding.make_mesh(jax.device_count()))
        checkpoints = Checkpoints(Path(sys.argv[1]))
        for step in range(1, 6):
            make = lambda: TrainState(jnp.asarray(step), {"kernel": jnp.arange(100.0) + step}, {"mu": jnp.zeros(100)})
            checkpoints.save(jax.jit(make, out_shardings=same)(), 1 / step)
            if step == 4 and os.environ["JAX_PROCESS_ID"] == "1":
                arrays.read = unreadable

run_command(main)
"""


def test_a_save_that_one_process_cannot_read_back_ends_both_and_costs_no_older_checkpoint(tmp_path: Path) -> None:
    for done in Processes(tmp_path / "run", code=SAVING).finish():
        assert_mistake(done, "The checkpoint of step 5 was written", "cannot be read back; it is now called damaged-5")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"3", "4", "damaged-5"}
