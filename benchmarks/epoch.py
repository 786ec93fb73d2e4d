"""The time of whole epochs of training, and what it is spent on.

Run:  python benchmarks/epoch.py [EXPERIMENT.py] [--slices 9664] [--data.root DIR --train.epochs 2 ...]

Calls the function behind `python -m oasis_jax.train` on a new run folder and records when the loop asks for a batch and
when it validates. With `--slices`, the training slices are repeated up to that number. "Waiting for input" is the time
that the loop spends in `next(batches)`. On an accelerator, which works during that time, this is more than the real
wait. The step that compiles is not counted in its epoch. Prints a row for each epoch, then the whole run and its
memory.
"""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import figures
import jax
import trees
import tyro

from oasis_jax.config import Config
from oasis_jax.data.open import open_data
from oasis_jax.system import sharding
from oasis_jax.train import parse
from oasis_jax.training import program as programs
from oasis_jax.training.setup import show_scores, train


@dataclass(frozen=True)
class Arguments:
    """What to time; whatever else is on the command line is an experiment and its settings, as in training."""

    slices: int | None = None
    """Number of training slices, by repetition. None: those of the data."""


Times = dict[str, list[float]]
"""Seconds of each "input" and each "validate", in order; and "start", the time at which each batch was asked for."""


def timed(call: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """The same function; it appends the time that each call takes to `seconds`."""

    def measured(*arguments: Any) -> Any:
        start = time.perf_counter()
        result = call(*arguments)
        seconds.append(time.perf_counter() - start)
        return result

    return measured


def watch(times: Times) -> None:
    """Make the program of the training loop record its times."""
    build = programs.build

    def timed_build(*arguments: Any) -> Any:
        program = build(*arguments)

        def batches(first: int) -> Iterator[Any]:
            untimed = program.batches(first)
            next_batch = timed(lambda: next(untimed), times["input"])
            while True:
                times["start"].append(time.perf_counter())
                yield next_batch()

        return replace(program, batches=batches, validate=timed(program.validate, times["validate"]))

    programs.build = timed_build


def epoch_rows(times: Times, steps: int, batch: int) -> list[list[str]]:
    """A row for each epoch: seconds of its steps, the share of waiting for input, and seconds of its validation."""
    rows = []
    for epoch, validation in enumerate(times["validate"]):
        first, last = max(1, epoch * steps), (epoch + 1) * steps - 1  # step 0 compiles
        # From the request for the first batch to that for the last one: without validation and its compilation.
        seconds = times["start"][last] - times["start"][first]
        waiting = sum(times["input"][first:last])
        rate = (last - first) * batch / seconds
        rows.append([str(epoch + 1), str(last - first), *map(figures.format_number, (seconds, rate))])
        rows[-1] += [f"{waiting / seconds:.2%}", figures.format_number(validation)]
    return rows


def run(settings: Config, times: Times) -> float:
    """Train and evaluate; return the seconds of both."""
    watch(times)
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        show_scores(train(settings))
    return time.perf_counter() - start


def main() -> None:
    arguments, words = tyro.cli(Arguments, description=__doc__, return_unknown_args=True)
    settings = parse(words).config
    sharding.divide_cpu(settings.train.batch)
    times: Times = {kind: [] for kind in ("start", "input", "validate")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = open_data(settings.data, ("train", "validate", "test"))
        root, count = tree.root, len(tree.splits["train"])
        if arguments.slices:
            count = arguments.slices
            counts = {split: len(pairs) for split, pairs in tree.splits.items()} | {"train": count}
            root = trees.repeat(folder / "tree", tree.splits["train"], counts)
        settings = replace(settings, run=folder / "run", data=replace(settings.data, root=root))
        begin = time.perf_counter()
        whole = run(settings, times)
    batch = settings.train.batch
    print(f"{figures.machine()}; jax {jax.__version__}; {count} slices, batch {batch}, {settings.model.dtype}\n")
    head = ["epoch", "steps", "s", "slices/s", "waiting for input", "validation, s"]
    print(figures.markdown(head, epoch_rows(times, count // batch, batch)))
    memory = jax.local_devices()[0].memory_stats()
    print(
        f"\nFirst batch was due at {times['start'][0] - begin:.1f} s, the second at {times['start'][1] - begin:.1f} s;"
        f" all, evaluation included, {whole:.1f} s. Peak memory: host {figures.mebibytes(figures.peak_bytes())} MiB, "
        f"device {figures.mebibytes(memory['peak_bytes_in_use'] if memory else None)} MiB."
    )


if __name__ == "__main__":
    main()
