"""Processes that train one run together: they get the numbers of a single process, and always end together."""

import json
import re
import shutil
import signal
import socket
from pathlib import Path

import numpy as np
import pytest
from forked import start_process
from helpers import SMALL, Done, Processes, assert_mistake, environ, finish, write_tree

from oasis_jax.runs.checkpoints import Checkpoints
from oasis_jax.system import distributed
from oasis_jax.system.errors import UserError

# Without normalisation: it amplifies rounding, and gives Adam gradients that are nothing but rounding.
OPTIONS = (*SMALL, "--model.norm", "none", "--model.dropout", "0.3", "--train.epochs", "3", "--train.seed", "1")
STEPS = 9


def output_lines(text: str) -> list[str]:
    """Lines of an output, without those of Gloo, the library that connects processes on CPUs.

    Its threads write into each other's lines, so not every one starts with its name.
    """
    return [line for line in text.splitlines() if line.strip() and not re.search(r"^\[Gloo\]|peer ranks", line)]


def lines(run: Path) -> list[dict]:
    try:
        return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    except (OSError, ValueError):  # not there yet, or a line is just being written
        return []


def assert_same_training(run: Path, other: Path) -> None:
    """The same losses, gradient norms and parameters, to 1e-5."""
    ours, theirs = lines(run), lines(other)
    assert [(row["step"], row["kind"]) for row in ours] == [(row["step"], row["kind"]) for row in theirs]
    for name in ("loss", "gradient_norm"):
        values, wanted = ([row.get(name, 0) for row in rows] for rows in (ours, theirs))
        np.testing.assert_allclose(values, wanted, atol=1e-5)
    np.testing.assert_allclose(parameters(run), parameters(other), atol=1e-5)


def parameters(run: Path) -> np.ndarray:
    """All parameters of the last checkpoint, in one row."""
    import jax

    from oasis_jax.config import Model
    from oasis_jax.network import unet

    network = unet.network(Model(stem=2, levels=3, crop=None, norm="none", dropout=0.3))
    checkpoints = Checkpoints(run / "checkpoints")
    assert checkpoints.latest is not None
    assert checkpoints.latest.step == STEPS
    restored = checkpoints.restore(checkpoints.latest, {"params": network.abstract((48, 64, 1))})["params"]
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
    pair.wait_for(lambda: len(lines(run)) >= 5)
    pair.processes[1].kill()
    survivor, _ = pair.finish()
    assert survivor.returncode not in (0, -signal.SIGKILL)
    pair = Processes(*words)
    pair.wait_for(lambda: len(lines(run)) >= 9)
    pair.kill()
    first, second = Processes(*words).finish()
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stderr.count("Resuming") == 1
    assert first.stdout.count("slices, test: 14 slices of 2 subjects") == 1
    assert output_lines(second.stdout + second.stderr) == []
    assert_same_training(run, single)
    assert scores(run)["loss"] == pytest.approx(scores(single)["loss"], abs=1e-5)


def scores(run: Path, split: str = "test") -> dict:
    return json.loads((run / f"evaluation/{split}/metrics.json").read_text())["scores"]


def by_counts(values: dict) -> dict:
    """The scores that follow from counted pixels, not from sums of probabilities."""
    sums = ("loss", "soft_dice_per_slice", "calibration")
    return {name: value for name, value in values.items() if name not in sums}


def test_a_stop_of_one_process_stops_both_at_one_step_and_one_process_can_go_on(
    slices: Path, single: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    pair = Processes("train", "--data.root", slices, "--run", run, *OPTIONS)
    pair.wait_for(lambda: len(lines(run)) >= 2)
    pair.processes[1].send_signal(signal.SIGTERM)
    first, second = pair.finish()
    assert (first.returncode, second.returncode) == (128 + signal.SIGTERM,) * 2, first.stderr + second.stderr
    assert "Start the same command again to go on." in first.stderr
    assert output_lines(second.stdout + second.stderr) == []
    card = Checkpoints(run / "checkpoints").latest
    assert card is not None
    assert card.step == lines(run)[-1]["step"] < STEPS
    (done,) = Processes("train", "--data.root", slices, "--run", run, *OPTIONS, count=1).finish()
    assert f"Resuming {run} after step {card.step} of {STEPS}." in done.stderr
    assert_same_training(run, single)


def test_one_device_goes_on_with_what_four_saved(slices: Path, single: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("train", "--data.root", slices, "--run", run, *OPTIONS)
    process = Processes(*words, count=1, devices=4)
    process.wait_for(lambda: len(lines(run)) >= 2)
    process.processes[0].send_signal(signal.SIGINT)
    (stopped,) = process.finish()
    assert stopped.returncode == 128 + signal.SIGINT, stopped.stderr
    assert len(json.loads((run / "config.json").read_text())["provenance"]["devices"]) == 4
    (done,) = Processes(*words, count=1).finish()
    assert done.returncode == 0, done.stderr
    assert "Resuming" in done.stderr
    assert_same_training(run, single)


def test_an_uneven_split_is_scored_to_the_pixel_by_four_devices_and_by_two_processes(
    single: Path, tmp_path: Path
) -> None:
    runs = {name: tmp_path / name for name in ("one device", "four devices", "two processes")}
    for run in runs.values():
        shutil.copytree(single, run, ignore=shutil.ignore_patterns("evaluation"))
    for devices, run in ((1, runs["one device"]), (4, runs["four devices"])):
        (done,) = Processes("evaluate", run, count=1, devices=devices).finish()
        assert done.returncode == 0, done.stderr
    first, second = Processes("evaluate", runs["two processes"], devices=2).finish()
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert output_lines(second.stdout + second.stderr) == []
    expected = scores(runs["one device"])
    assert expected["slices"] == 14
    tables = [(run / "evaluation/test/per_slice.csv").read_text() for run in runs.values()]
    for run, table in zip(runs.values(), tables, strict=True):
        assert by_counts(scores(run)) == by_counts(expected)
        assert scores(run)["loss"] == pytest.approx(expected["loss"], abs=1e-6)
        ours, theirs = (values["calibration"]["expected_error"] for values in (scores(run), expected))
        assert ours == pytest.approx(theirs, abs=1e-6)
        assert len(table.splitlines()) == 1 + 14 * 4


def test_processes_that_disagree_all_say_so(slices: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    seeds = (["--train.seed", "1"], ["--train.seed", "2"])
    for done in Processes("train", *OPTIONS, "--run", run, "--data.root", slices, more=seeds).finish():
        assert_mistake(done, "Process 1 was not started with the same options and experiment file as process 0.")
    assert not run.exists()


def test_a_run_folder_that_is_not_shared_is_refused(slices: Path, tmp_path: Path) -> None:
    folders = (tmp_path / "here", tmp_path / "there")
    for folder in folders:
        folder.mkdir()
    code = """
from oasis_jax.system import distributed
from oasis_jax.system.errors import run_command
from oasis_jax.train import main

distributed.SHARED_SECONDS = 1
run_command(main)
"""
    first, second = Processes("--data.root", slices, "--run", "run", *OPTIONS, code=code, cwd=folders).finish()
    assert_mistake(second, "run is not the folder that process 0 sees")
    assert first.returncode not in (0, 2)


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (UserError("One word."), 2, "error: process 1 on HOST: One word."),
        (OSError(28, "full", "/file"), 2, "error: process 1 on HOST: The disk is full: free some space"),
        (RuntimeError("bug"), 1, "error: process 1 on HOST failed, or lost a process that failed"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_a_process_says_what_ended_it(
    error: BaseException, status: int, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    sentence, left = distributed._last_words(error)
    assert sentence.startswith(says.replace("HOST", socket.gethostname()))
    assert left == status
    assert ("bug" in capsys.readouterr().err) == (status == 1)


TOGETHER = """
import os
from oasis_jax.system import distributed
from oasis_jax.system.errors import UserError, run_command

def main():
    with distributed.initialize(True, "same"):
        distributed.barrier()
        if os.environ["JAX_PROCESS_ID"] == "1":
            raise UserError("One word.")
        distributed.barrier()
    print("went on")

run_command(main)
"""


def test_a_mistake_in_one_process_ends_the_other_that_waits_for_it() -> None:
    waiting, failed = Processes(code=TOGETHER).finish()
    assert_mistake(failed, f"error: process 1 on {socket.gethostname()}: One word.")
    assert waiting.returncode not in (0, 2)
    assert "went on" not in waiting.stdout


def test_processes_that_cannot_be_joined_give_a_sentence() -> None:
    code = """
from oasis_jax.system import distributed
from oasis_jax.system.errors import run_command

def main():
    with distributed.initialize(True, "same"):
        print("joined")

distributed.JOIN_SECONDS = 2
run_command(main)
"""

    def join(**variables: str) -> Done:
        environment = {name: value for name, value in environ().items() if not name.startswith(("SLURM", "OMPI"))}
        return finish(start_process([], code, environment | variables, None))

    def by_hand(address: str, count: str, rank: str) -> Done:
        return join(JAX_COORDINATOR_ADDRESS=address, JAX_NUM_PROCESSES=count, JAX_PROCESS_ID=rank)

    assert_mistake(join(), "--distributed found no cluster", "JAX_COORDINATOR_ADDRESS")
    for address, count, rank in (("host:99", "2", "2"), ("host", "2", "0"), ("h:1", "two", "0")):
        assert_mistake(by_hand(address, count, rank), "cannot be used", "this one's rank, counted from 0")
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert_mistake(by_hand(address, "2", "0"), "Port", "Address already in use")
    assert_mistake(by_hand(address, "2", "0"), "did not find each other within 2 seconds")  # the other never comes
    # Slurm, whose other process never comes.
    slurm = {"JOB_ID": "77", "STEP_NODELIST": "localhost", "NTASKS": "2", "PROCID": "1", "LOCALID": "0"}
    done = join(**{f"SLURM_{name}": value for name, value in slurm.items()})
    assert_mistake(done, "The processes did not find each other")


def test_phantoms_are_drawn_once_for_each_disk(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from oasis_jax.config import Config
from oasis_jax.data.open import open_data
from oasis_jax.data.phantoms import tree as phantoms
from oasis_jax.system import distributed

phantoms.SLICES, phantoms.SUBJECTS = 2, {"train": 1, "validate": 1, "test": 1}
draw = phantoms.write_tree
phantoms.write_tree = lambda *words, **more: (print("draws"), draw(*words, **more))
with distributed.initialize(True, "same"):
    print(open_data(Config(), ("train", "validate", "test")).fingerprints)
"""
    for caches in ((tmp_path / "a", tmp_path / "a"), (tmp_path / "b", tmp_path / "c")):
        first, second = Processes(code=code, OASIS_JAX_CACHE=caches).finish()
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        drawn, *fingerprints = output_lines(first.stdout)
        assert drawn == "draws"
        assert output_lines(second.stdout) == (fingerprints if caches[0] == caches[1] else [drawn, *fingerprints])


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
