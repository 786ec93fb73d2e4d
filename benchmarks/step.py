"""A step of training or evaluation, in the package and with the same network in PyTorch and TensorFlow.

Run:  python benchmarks/step.py [EXPERIMENT.py] [--mode train eval] [--batch 8 32] [--dtype float32 bfloat16] ...
      (needs: pip install -e ".[peers]")

Each framework has a process of its own, and they take turns: ours, torch, tensorflow, ours, torch, ... A step is the
network with its loss, gradient and Adam, or with its loss, scores and prediction, on a batch that is already on the
device. There is no augmentation; there is dropout if the experiment has it. Before the timing, each peer gets the
parameters of the package and must agree with it in all logits, in the loss of three steps and in the confusion matrix,
in float32 without dropout (`worker.py`). A peer that does not agree is not timed. Prints a row for each framework:
the median and the range over the turns, and its time over ours in the same turn. Measure on an idle machine. Beside
other work on the same cores, the threads of PyTorch wait for each other, and it loses several times more than the
others; so the load is printed.
"""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

import figures
import tyro
import worker

from oasis_jax.config import Config

HEAD = [
    *("framework", "device", "mode", "batch", "dtype", "ms a step", "slices/s", "time over ours"),
    *("page faults a step", "host MiB", "device MiB", "logits differ by", "losses differ by"),
]


@dataclass(frozen=True)
class Arguments:
    """What to time. All other arguments are an experiment and its settings, as in training."""

    mode: tuple[Literal["train", "eval"], ...] = ("train", "eval")
    """Steps of training, of evaluation, or both."""
    batch: tuple[int, ...] = (8,)
    """Slices per step."""
    dtype: tuple[Literal["float32", "bfloat16"], ...] = ("float32",)
    """Compute types; on a GPU float32 means TF32 products."""
    against: tuple[Literal["torch", "torch-compiled", "tensorflow"], ...] = ("torch", "tensorflow")
    """The peers."""
    size: tuple[int, int] = (256, 256)
    """Rows and columns of a slice."""
    turns: int = 5
    """Measurements of each framework."""
    steps: int = 3
    """Steps per turn."""


@contextmanager
def workers(names: tuple[str, ...]) -> Iterator[dict[str, ProcessPoolExecutor]]:
    """A process for each framework, by its name."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # or JAX takes the memory of the others
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        yield {name: stack.enter_context(ProcessPoolExecutor(1, context)) for name in names}


def prove(arguments: Arguments, settings: Config, folder: Path) -> tuple[dict[str, list[str]], list[list[str]]]:
    """For each framework that agrees with the package, cells with its differences; rows for the others."""
    agreed, refused = {}, []
    with workers(("ours", *arguments.against)) as pools:
        pools["ours"].submit(worker.write_reference, settings, arguments.size, folder).result()
        for name, pool in pools.items():
            try:
                gaps = pool.submit(worker.differences, name, settings, arguments.size, folder).result()
                worker.judge(gaps)
                agreed[name] = [f"{gaps[kind]:.1e}" for kind in ("logits", "losses")]
            except Exception as error:  # it is not installed or does not agree; the others go on
                refused.append(failure([name], error))
    return agreed, refused


def compare(
    arguments: Arguments, settings: Config, mode: str, batch: int, agreed: dict[str, list[str]], folder: Path
) -> tuple[list[list[str]], dict[str, str]]:
    """The rows of one mode, batch and compute type, and the versions of the frameworks."""
    case = [mode, str(batch), settings.model.dtype]
    versions: dict[str, str] = {}
    devices: dict[str, str] = {}
    refused: list[list[str]] = []
    with workers(tuple(agreed)) as pools:

        def each(task: Callable[..., Any], *words: Any, named: bool = False) -> Iterator[tuple[str, Any]]:
            """The result of a task in each worker. A worker that fails, mostly out of memory, is then left out."""
            for name in list(pools):
                try:
                    yield name, pools[name].submit(task, *([name] if named else []), *words).result()
                except Exception as error:
                    refused.append(failure([name, devices.get(name, "-"), *case], error))
                    pools.pop(name).shutdown()

        loaded = each(worker.load, settings, arguments.size, batch, mode, folder, named=True)
        for name, (device, own_versions) in loaded:
            devices[name], versions = device, versions | own_versions
        turns: dict[str, list[tuple[float, float]]] = {name: [] for name in pools}
        for _ in range(arguments.turns):
            for name, measured in each(worker.turn, arguments.steps):
                turns[name].append(measured)
        peaks = dict(each(worker.peak))
    seconds = {name: [time for time, _ in turns[name]] for name in peaks}
    ours = seconds.get("ours")
    rows = [
        [
            *(name, devices[name], *case, figures.spread([1000 * s for s in times])),
            figures.format_number(batch / median(times)),
            figures.spread([a / b for a, b in zip(times, ours, strict=True)]) if ours else "-",
            figures.format_number(median(faults for _, faults in turns[name]), 2),
            *map(figures.mebibytes, peaks[name]),
            *agreed[name],
        ]
        for name, times in seconds.items()
    ]
    return rows + refused, versions


def failure(cells: list[str], error: Exception) -> list[str]:
    """A row with the error."""
    cells = [*cells, *["-"] * (5 - len(cells)), f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"]
    return cells + ["-"] * (len(HEAD) - len(cells))


def main() -> None:
    from oasis_jax.train import parse  # not at the top: each worker imports this file, and the peers have no JAX

    arguments, words = tyro.cli(Arguments, description=__doc__, return_unknown_args=True)
    chosen, load = parse(words).config, os.getloadavg()[0]
    # The same constant learning rate for all, so low that three steps can be compared.
    chosen = replace(chosen, optim=replace(chosen.optim, schedule="constant", learning_rate=1e-4))
    versions: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        agreed, rows = prove(arguments, chosen, Path(folder))
        for dtype in arguments.dtype:
            settings = replace(chosen, model=replace(chosen.model, dtype=dtype))
            for mode in arguments.mode:
                for batch in arguments.batch:
                    more, own_versions = compare(arguments, settings, mode, batch, agreed, Path(folder))
                    rows, versions = rows + more, versions | own_versions
    sizes = f"{arguments.size[0]}x{arguments.size[1]}, {arguments.turns} turns of {arguments.steps} steps"
    sizes += f"; load of the machine before {load:.1f}"
    frameworks = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"{figures.machine()}; {frameworks}; {words[0] if words else 'quickstart'}, {sizes}\n")
    print(figures.markdown(HEAD, rows))
    sys.exit(len(agreed) <= len(arguments.against))


if __name__ == "__main__":
    main()
