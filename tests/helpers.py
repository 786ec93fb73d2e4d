"""What several test files use: made-up slices and volumes, commands and processes."""

import io
import itertools
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import nibabel as nib
import numpy as np
from checked import turned
from forked import MODULES, REPOSITORY, Process, start_process

from oasis_jax import predict
from oasis_jax.config import Config, Data, Model
from oasis_jax.data.appearance import MEASURES
from oasis_jax.data.slices import Slice, folders, write_pair
from oasis_jax.evaluation import result, volumes
from oasis_jax.evaluation.counting import Evaluated
from oasis_jax.geometry import Spacing
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.inference.segment import Forward, Labels, Segmenter
from oasis_jax.metrics import surface
from oasis_jax.runs import history
from oasis_jax.runs.checkpoints import CheckpointInfo
from oasis_jax.runs.folder import Run
from oasis_jax.runs.history import Row
from oasis_jax.system.errors import explain
from oasis_jax.volumes.frame import Framing

SIZE = (48, 64)

GENUINE = Path(os.environ.get("OASIS_JAX_TEST_DATA", "genuine"))
"""Where genuine slices and digests lie, for the few tests that need some; they are skipped where there are none."""


def blob(rng: np.random.Generator, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A slice that a small network can learn: nested ellipses of four grey levels, with noise."""
    y, x = np.indices(size)
    centre = np.array(size) / 2 + rng.uniform(-3, 3, 2)
    radius = np.hypot((y - centre[0]) / (0.40 * size[0]), (x - centre[1]) / (0.42 * size[1]))
    label = (radius < 1).astype(np.uint8) + (radius < 0.8) + (radius < 0.5)
    image = np.array([10, 60, 120, 180])[label] + rng.normal(0, 8, size)
    return np.clip(image, 0, 255).astype(np.uint8), label.astype(np.uint8)


def write_tree(
    root: Path, slices: int = 4, cases: dict[str, tuple[str, ...]] | None = None, size: tuple[int, int] = SIZE
) -> Path:
    """A tree with two training subjects and one in each of the other splits."""
    rng = np.random.default_rng(0)
    for split, names in (cases or {"train": ("1", "2"), "validate": ("3",), "test": ("10", "9")}).items():
        for folder in folders(root, split):
            folder.mkdir(parents=True)
        for case in names:
            for k in range(slices):
                write_pair(root, split, case, k, *blob(rng, size))
    return root


def evaluated(
    pairs: Sequence[Slice],
    subjects: dict[str, str],
    slices: Sequence[tuple[np.ndarray, np.ndarray]],
    predictions: Sequence[np.ndarray],
    spacing: Spacing | None = (1.0, 1.0, 1.0),
) -> Evaluated:
    """An evaluation of a prediction that is 0.97 sure of every pixel."""
    sure = [np.where(np.eye(4, dtype=bool)[p], np.float32(0.97), np.float32(0.01)) for p in predictions]
    table = volumes.count(np.stack([truth for _, truth in slices]), np.stack(sure), 0.0)
    surfaces = None
    if spacing is not None:
        both = zip(slices, predictions, strict=True)
        surfaces = surface.table(surface.row(truth, prediction, spacing[:2]) for (_, truth), prediction in both)
    return Evaluated(pairs, subjects, slices, predictions, table, surfaces, dict.fromkeys(subjects, spacing))


def create_run(settings: Config, facts: dict[str, Any]) -> Run:
    """A run folder without checkpoints."""
    run = Run.new(settings, facts)
    run.save()
    return run


def finished_result(
    found: Evaluated, runs: Sequence[str] = ("r",), data: str = "mine", split: str = "test", step: int = 7
) -> result.Result:
    """The evaluation of a made-up run, or of the mean of several and their mirror images."""
    networks = Ensemble(
        tuple(Run(Path(name), Config(), {}) for name in runs),
        tuple(CheckpointInfo(step + 2 * i, None, {}) for i in range(len(runs))),
        (),
        mirror=len(runs) > 1,
    )
    return result.finish(networks, found, data=data, split=split, fingerprint="0" * 64)


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code of a page that are in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def pasted(page: Path) -> list[tuple[str, list[str]]]:
    """The commands of a page that start one of our programs: its name and its words."""
    program = re.compile(r"(?:-m\s+oasis_jax\.|^oasis-)(\w+)([^\"]*(?:\"[^\"]*\"[^\"]*)*)")
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [(found[1], shlex.split(found[2], comments=True)) for line in lines if (found := program.search(line))]


SMALL = ("--model.stem", "2", "--model.levels", "3", "--model.crop", "None", "--train.batch", "4")
"""Options that make a run on the small tree take seconds."""


class Done(NamedTuple):
    """What a command left: its exit status and what it said."""

    returncode: int
    stdout: str
    stderr: str


def command(*words: str | Path, cwd: Path | None = None) -> Done:
    """Run `python -m oasis_jax.WORD ...` in this process, which has compiled already what most commands need."""
    name, line = str(words[0]), list(map(str, words))
    module = import_module(MODULES[name])
    out, err = io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.enter_context(chdir(cwd or Path.cwd()))
        stack.enter_context(patch.object(sys, "argv", [f"python -m oasis_jax.{name}", *line[1:]]))
        stack.enter_context(patch.dict(os.environ, COLUMNS="120"))
        status = 0
        try:
            module.main()
        except SystemExit as end:
            status = int(end.code or 0)
        except Exception as error:
            if (explanation := explain(error)) is None:
                raise
            sentence, status = explanation
            print(sentence, file=err)
    return Done(status, out.getvalue(), err.getvalue())


def launch(*words: str | Path, code: str = "", cwd: Path | None = None) -> Done:
    """Run `python -m oasis_jax.WORD ...` as people do: in a process of its own, to its end.

    With `code`, the words are the arguments of that code.
    """
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "120"}
    return finish(start_process(list(map(str, words)), code, environment, cwd))


def finish(process: Process) -> Done:
    """Wait for the end of a process."""
    said = process.communicate(timeout=PATIENCE)
    return Done(process.returncode, *said)


RANDOM = ("--model.dropout", "0.3", "--augment.mirror", "--augment.rotate", "10")


def options(data: Path, run: Path, *more: str) -> list[str]:
    """Options of `train` for a run of 3 epochs, 12 steps, with all kinds of randomness."""
    return ["--data.root", str(data), "--run", str(run), *SMALL, *RANDOM, "--train.epochs", "3", *more]


def logged(run: Path) -> list[Row]:
    """The metrics of a run, row by row."""
    return history.read(run / "metrics.jsonl")


PATIENCE = 300
"""Seconds after which processes count as hanging."""


def environ(devices: int = 1) -> dict[str, str]:
    """Of a process with some simulated devices; it can import the tests."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests"))),
        "COLUMNS": "120",
        "JAX_NUM_CPU_DEVICES": str(devices),
    }


class Processes:
    """Processes of one program on this machine, joined where there are several.

    Args:
        words: of `python -m oasis_jax.WORD ...`; with `code`, the arguments of that code.
        code: Python to run instead.
        count: processes.
        devices: simulated devices of each.
        differ: by rank, what is not the same in all: `more` words, `cwd`, and variables of the environment.
    """

    def __init__(
        self, *words: str | Path, code: str = "", count: int = 2, devices: int = 1, **differ: Sequence[Any]
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.processes = []
        for rank in range(count):
            own = {name: values[rank] for name, values in differ.items()}
            environment = environ(devices) | {name: str(value) for name, value in own.items() if name.isupper()}
            if count > 1:
                names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
                environment |= dict(zip(names, (f"127.0.0.1:{port}", str(count), str(rank)), strict=True))
            line = [*map(str, words), *map(str, own.get("more", ())), *(["--distributed"] if count > 1 else [])]
            self.processes.append(start_process(line, code, environment, own.get("cwd")))

    def finish(self) -> list[Done]:
        """Wait for all; AssertionError, and nothing left behind, if one hangs."""
        try:
            return [finish(process) for process in self.processes]
        except subprocess.TimeoutExpired:
            raise AssertionError(f"hangs: {self.kill()}") from None

    def wait_for(self, happened: Callable[[], bool]) -> None:
        """Wait until something happened; AssertionError, and nothing left behind, if it does not."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            if any(p.poll() is not None for p in self.processes) or time.monotonic() > deadline:
                raise AssertionError(f"did not happen: {self.kill()}")
            time.sleep(0.001)

    def kill(self) -> list[Done]:
        """End all that still run, by SIGKILL."""
        for process in self.processes:
            process.kill()
        return [Done(process.wait(), *process.communicate()) for process in self.processes]


def assert_mistake(done: Done | subprocess.CompletedProcess[str], *parts: str) -> None:
    """The command said one error that holds these parts, without a traceback, and exited with status 2."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert sum(line.startswith("error: ") for line in done.stderr.splitlines()) == 1, done.stderr
    for part in parts:
        assert part in done.stderr, done.stderr


ALL_WAYS = [
    "".join(codes) for order in itertools.permutations(("RL", "AP", "SI")) for codes in itertools.product(*order)
]


def save(path: Path, ras: np.ndarray, spacing: tuple[float, ...] = (1, 1, 1), way: str = "RAS") -> Path:
    """Save a RAS array in a file whose axes lead another way."""
    nib.save(turned(nib.Nifti1Image(ras, np.diag([*spacing, 1.0])), way), path)
    return path


FRAMING = Framing((48, 64), (48, 64), "axial")


def by_grey(frames: np.ndarray) -> Labels:
    """Stands for the network: the class of `brain`'s grey levels, with certainty."""
    return certain(np.digitize(frames[..., frames.shape[-1] // 2], [42, 127, 212]).astype(np.uint8))


def certain(classes: np.ndarray) -> Labels:
    """The labels of a network that has no doubt."""
    return Labels(classes, np.eye(4, dtype=np.float32)[classes], np.ones(len(classes), np.float32))


def stand_in(forward: Forward = by_grey, heights: tuple[float, float] | None = (0.3, 0.7)) -> Segmenter:
    """A segmenter whose answers come from a function, four slices at a time; it wants slices as `FRAMING` says.

    It has the notes of a network that was trained on these heights; on every height if they are None.
    """
    config = Config(data=Data(spacing_mm=None), model=Model(crop=FRAMING.window))
    facts = {
        "slice_size": FRAMING.frame,
        "slice_cut": {"axis": FRAMING.axis, "heights": heights and list(heights)},
        "slice_looks": {name: [0.0, 255.0] for name in MEASURES},
    }
    return Segmenter(
        Ensemble((Run(Path("run"), config, facts),), (CheckpointInfo(1, None, {}),), (), mirror=False),
        forward,
        lambda _: 4,
    )


def predict_with(segmenter: Segmenter, inputs: Sequence[Path], output: Path, **options: Any) -> tuple[int, list[str]]:
    """What `predict` does with a segmenter: how many files it labelled, and the problems."""
    with patch.object(predict.Segmenter, "load", lambda *runs, **rest: segmenter):
        arguments = predict.Arguments(Path("run"), tuple(inputs), output, **options)
        done, problems = predict.predict(segmenter.ensemble.runs[0], arguments)
    return done, list(problems.values())


def brain(
    shape: tuple[int, int, int], spacing: tuple[float, float, float] = (1, 1, 1)
) -> tuple[np.ndarray, np.ndarray]:
    """Nested ellipsoids, 30 x 44 x 24 mm, off the middle: intensities and classes, `(X, Y, Z)`.

    Intensities are 0, 60, 120 and 180, with 1 more in every other voxel of the brain: no voxel equals its neighbours.
    """
    x, y, z = ((np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing, strict=True))
    radius = np.sqrt(((x - 1.5)[:, None, None] / 15) ** 2 + ((y + 2)[:, None] / 22) ** 2 + ((z - 1) / 12) ** 2)
    classes = (radius < 1).astype(np.uint8) + (radius < 0.8) + (radius < 0.5)
    odd = np.indices(shape).sum(0) % 2 * (classes > 0)
    return (classes * 60 + odd).astype(np.int16), classes.astype(np.uint8)


def patterns(study: Path) -> tuple[str, str]:
    return f"{study}/sub-{{subject}}/{{session}}/t1*.nii.gz", f"{study}/sub-{{subject}}/{{session}}/tissue.nii.gz"
