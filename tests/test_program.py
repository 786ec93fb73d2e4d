"""The commands as people run them; what is killed, stopped or resumed is a real process."""

import json
import os
import re
import shutil
import signal
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import Processes, assert_mistake, blob, command, launch, logged, options
from PIL import Image
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]  # made when imported

from oasis_jax.data.slices import folders, write_png
from oasis_jax.runs.checkpoints import Checkpoints

STEPS = 12


def devices(run: Path) -> int:
    """The number that a run was started with: another one rounds differently."""
    return len(json.loads((run / "config.json").read_text())["provenance"]["devices"])


def outcome(run: Path) -> tuple:
    """Everything that must not depend on how often a run was stopped: all parameters, optimizer state, metrics."""
    checkpoints = Checkpoints(run / "checkpoints")
    return checkpoints.sound, checkpoints.damaged, logged(run)


def read_events(path: Path) -> list[tuple[int, list]]:
    """The step and the values of each event in a TensorBoard file."""
    content, events = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        events.append((event.step, list(event.summary.value)))
        content = content[16 + length :]
    return events


def test_a_run_folder_holds_what_it_promises(finished: Path) -> None:
    content = json.loads((finished / "config.json").read_text())
    assert content["config"]["model"]["dropout"] == 0.3
    facts = content["provenance"]
    assert set(facts["data_fingerprints"]) == {"train", "validate", "test"}
    assert {"python", "jax", "flax", "orbax-checkpoint"} <= set(facts["versions"])
    assert facts["seed"] == 0
    assert facts["slice_cut"]["axis"] == "axial"
    assert set(facts["slice_looks"]) == {"mean", "deviation"}
    assert devices(finished) == next(count for count in (4, 2, 1) if count <= len(os.sched_getaffinity(0)))
    kinds = [(row.step, row.numbers.kind) for row in logged(finished)]
    assert [step for step, kind in kinds if kind == "train"] == list(range(1, STEPS + 1))
    losses = {row.step: row.numbers.loss for row in logged(finished) if row.numbers.kind == "validate"}
    assert list(losses) == [4, 8, 12]
    metrics = json.loads((finished / "evaluation/test/metrics.json").read_text())
    assert metrics["step"] == min(losses, key=losses.__getitem__)
    assert metrics["scores"]["slices"] == 16
    with Image.open(finished / "curves.png") as curves:
        assert curves.size[0] > 600
    (events,) = (finished / "tensorboard").glob("events.*")
    shown = [(step, value.tag) for step, values in read_events(events) for value in values]
    assert [step for step, tag in shown if tag == "train/loss"] == list(range(1, STEPS + 1))
    for tag in ("validate/loss", "validate/hard_dice/CSF", "validate/image_truth_prediction"):
        assert [step for step, other in shown if other == tag] == [4, 8, 12]
    assert not [path for path in finished.rglob("*") if "part" in path.name or "tmp" in path.name]


def test_killed_at_any_point_and_resumed_ends_bit_for_bit_the_same(data: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "killed"
    saving = run / "checkpoints"

    def saves() -> bool:
        names = os.listdir(saving) if saving.is_dir() else []
        return 0 < sum(name.isdecimal() for name in names) < len(names)

    moments: list[Callable[[], bool]] = [
        lambda: run.is_dir(),  # before anything is compiled
        lambda: len(logged(run)) >= 2,  # between steps
        saves,  # while a checkpoint is being written
        lambda: any(row.step == 11 for row in logged(run)),  # after a checkpoint
    ]
    for moment in moments:
        process = Processes("train", *options(data, run), count=1, devices=devices(finished))
        process.wait_for(moment)
        process.kill()
    done = launch("train", *options(data, run))
    assert done.returncode == 0, done.stderr
    assert "Resuming" in done.stderr
    assert outcome(run) == outcome(finished)
    ours, theirs = (json.loads((r / "evaluation/test/metrics.json").read_text()) for r in (run, finished))
    assert ours == theirs | {"run": "killed"}


def test_a_signal_saves_and_says_how_to_go_on(data: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "stopped"
    training = Processes("train", *options(data, run), count=1, devices=devices(finished))
    training.wait_for(lambda: len(logged(run)) >= 6)
    (process,) = training.processes
    process.send_signal(signal.SIGSTOP)  # so that it is still in use when the second one starts
    assert_mistake(launch("train", *options(data, run)), "is being trained by another process")
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    (stopped,) = training.finish()
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    assert "Start the same command again to go on." in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert launch("train", *options(data, run)).returncode == 0
    assert outcome(run) == outcome(finished)


def test_a_damaged_best_checkpoint_gives_way_to_the_next_best(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "damaged best")
    first, second = Checkpoints(run / "checkpoints").by_loss()[:2]
    for path in (run / f"checkpoints/{first.step}/params").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-20])
    done = command("evaluate", run)
    assert done.returncode == 0, done.stderr
    assert "is damaged. The next best one is taken." in done.stderr
    assert f"checkpoint of step {second.step}" in done.stdout
    assert_mistake(command("evaluate", run, "--step", str(first.step)), "is damaged")


def test_a_finished_run_trains_no_more_and_loses_nothing(data: Path, finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    metrics = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join([*metrics[:2], "garbage", *metrics[2:]]) + "\n")
    done = command("train", *options(data, run))
    assert "hard, pooled over the split" in done.stdout
    assert (run / "metrics.jsonl").read_text().splitlines() == metrics
    assert outcome(run) == outcome(finished)
    (run / "config.json").unlink()
    assert_mistake(command("train", *options(data, run)), "holds checkpoints but no config.json")


def test_another_config_or_other_data_is_refused_by_name(data: Path, finished: Path, tmp_path: Path) -> None:
    before = outcome(finished)
    other = shutil.copytree(data, tmp_path / "other")
    image, _ = blob(np.random.default_rng(99))
    write_png(folders(other, "validate")[0] / "case_3_slice_0.nii.png", image)
    for words, says in (
        (options(data, finished, "--optim.learning-rate", "0.1"), "optim.learning_rate: 0.004 -> 0.1"),
        (options(data, finished, "--train.epochs", "5"), f"train it further, add --init {finished} to another --run."),
        (options(other, finished), "validate differ"),
    ):
        assert_mistake(command("train", *words), says, "name another --run")
    assert outcome(finished) == before
    done = launch("train", "--init", finished, "--data.root", data, "--run", tmp_path / "more", "--train.steps", "1")
    assert done.returncode == 0, done.stderr


def test_a_moved_run_evaluates_on_moved_data_from_its_folder_alone(
    data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(devices(finished)))
    run = shutil.copytree(finished, tmp_path / "moved run")
    moved = shutil.copytree(data, tmp_path / "moved data")
    shutil.rmtree(run / "evaluation")
    done = launch("evaluate", run, "--data-root", moved)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Evaluating test.* (\d+)/\1 .*\nSurfaces.* 16/16 ", done.stderr), "one bar after the other"
    ours, theirs = (json.loads((r / "evaluation/test/metrics.json").read_text()) for r in (run, finished))
    assert ours["scores"] == theirs["scores"]
    table = (run / "evaluation/test/per_slice.csv").read_text().splitlines()
    assert len(table) == 1 + 16 * 4
    assert table[1].startswith("0,9,9,0,background,")
    assert table[64].startswith("15,10,10,7,white matter,")
    done = command("evaluate", run, "--data-root", moved, "--split", "validate")
    assert "validate: 8 slices of 1 subject;" in done.stdout


def test_evaluate_names_each_mistake(finished: Path, tmp_path: Path) -> None:
    assert_mistake(command("evaluate", tmp_path / "nothing"), "is not a run")
    assert_mistake(command("evaluate", finished, "--step", "3"), "no checkpoint of step 3; it has:")
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    assert_mistake(command("evaluate", run), "has no validated checkpoint yet")
    (run / "config.json").write_text('{"config": 3}')
    assert_mistake(command("evaluate", run), "config.json is damaged")


def test_under_a_path_that_keeps_no_checkpoint_nothing_is_trained_and_a_run_is_evaluated(
    data: Path, finished: Path, tmp_path: Path
) -> None:
    assert_mistake(command("train", *options(data, tmp_path / "[one]" / "new")), "Checkpoints cannot be kept in", "'['")
    assert list(tmp_path.iterdir()) == []
    moved = shutil.copytree(finished, tmp_path / "[one]" / "moved")
    assert command("evaluate", moved).returncode == 0
    (tmp_path / "plain").symlink_to(moved)
    assert command("train", *options(data, tmp_path / "plain")).returncode == 0


def test_training_names_each_mistake(data: Path, tmp_path: Path) -> None:
    run, wild, mine = (tmp_path / name for name in ("run", "wild", "mine"))
    diverging = ("--optim.learning-rate", "1e38", "--optim.schedule", "constant", "--model.norm", "none")
    mine.mkdir()
    for file, content in {
        "mine/thesis.txt": "",
        "empty.py": "config = 3\n",
        "raises.py": "1 / 0\n",
        "wrong.py": "from oasis_jax.config import *\nconfig = Config(model=Model(norm='batch'))\n",
        "notes.txt": "",
    }.items():
        (tmp_path / file).write_text(content)
    for words, says in (
        (options(data, run, "--train.epochs", "0"), "train.epochs is 0 and must be"),
        (options(data, wild, *diverging), "are kept; lower --optim.learning-rate"),
        (options(tmp_path / "none", run), "is not a folder"),
        (options(data, run, "--train.batch", "1000"), "only 16 training slices"),
        (options(data, run, "--model.crop", "16", "32"), "model.crop, 16x32, cuts off"),
        (["oasi"], "no experiment file oasi: name a file, or heads, oasis, original, paper, quickstart."),
        ([tmp_path / "empty.py"], "must export `config`"),
        ([tmp_path / "raises.py"], "cannot be used: ZeroDivisionError"),
        (["--data.no-cache", tmp_path / "wrong.py"], "Name the experiment first"),
        (options(data, mine), "is not a run and holds other files (thesis.txt)"),
        (options(data, tmp_path / "notes.txt" / "run"), str(tmp_path / "notes.txt")),
    ):
        assert_mistake(command("train", *words), says)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    assert_mistake(launch("train", tmp_path / "wrong.py"), "model.norm is 'batch' and must be none or instance")
    wrong = command("train", "--optim.learning-rat", "1")
    assert wrong.returncode == 2
    assert "learning-rate" in wrong.stderr + wrong.stdout


def test_help_is_worth_reading() -> None:
    for module, parts in (
        ("train", ("--optim.learning-rate", "Examples:")),
        ("evaluate", ("--split", "--images")),
        ("compare", ("RUN...", "--split", "--json")),
        ("predict", ("--output", "INPUT")),
        ("export", ("--output",)),
        ("data", ("check",)),
    ):
        done = command(module, "--help")
        assert done.returncode == 0
        assert all(part in done.stdout for part in (f"python -m oasis_jax.{module}", *parts)), done.stdout
