"""Whole epochs as a person runs them, and where their time goes.

Run:  python benchmarks/epoch.py [EXPERIMENT.py] [--slices 9664] [--data.root DIR --train.epochs 2 ...]

Calls the very function behind `python -m oasis_jax.train` on a new run folder and notes from outside when the loop
asks for a batch and validates. With `--slices` the training slices are repeated up to that number. "Waiting for input"
is the time the loop stands in `next(batches)`: on an accelerator, which works on meanwhile, more than it really waits.
The step that compiles is left out of its epoch. Prints a row an epoch, then the whole run and its memory.
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
from oasis_jax.train import parse
from oasis_jax.training import program as programs
from oasis_jax.training.setup import train


@dataclass(frozen=True)
class Arguments:
    """What to time; whatever else is on the command line is an experiment and its settings, as in training."""

    slices: int | None = None
    """Training slices, by repeating those there are; None: as they are."""


Times = dict[str, list[float]]
"""Seconds of each "input" and each "validate", in order; and "start": when each batch was asked for."""


def timed(call: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """A function that notes how long it took."""

    def measured(*words: Any) -> Any:
        start = time.perf_counter()
        result = call(*words)
        seconds.append(time.perf_counter() - start)
        return result

    return measured


def watch(times: Times) -> None:
    """Have the training loop's program note its times."""
    build = programs.build

    def built(*words: Any) -> Any:
        program = build(*words)

        def batches(first: int) -> Iterator[Any]:
            given = program.batches(first)
            take = timed(lambda: next(given), times["input"])
            while True:
                times["start"].append(time.perf_counter())
                yield take()

        return replace(program, batches=batches, validate=timed(program.validate, times["validate"]))

    programs.build = built


def epoch_rows(times: Times, steps: int, batch: int) -> list[list[str]]:
    """A row an epoch: seconds of its steps, of them waiting for input, and of its validation."""
    rows = []
    for epoch, validation in enumerate(times["validate"]):
        first, last = max(1, epoch * steps), (epoch + 1) * steps - 1  # step 0 compiles
        # From the first request for a batch to that of the last, and so without validation and its compilation.
        seconds = times["start"][last] - times["start"][first]
        waiting = sum(times["input"][first:last])
        rate = (last - first) * batch / seconds
        rows.append([str(epoch + 1), str(last - first), *map(figures.format_number, (seconds, rate))])
        rows[-1] += [f"{waiting / seconds:.2%}", figures.format_number(validation)]
    return rows


def run(settings: Config, times: Times) -> float:
    """Train and evaluate; seconds of all of it."""
    watch(times)
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        train(settings)
    return time.perf_counter() - start


def main() -> None:
    arguments, words = tyro.cli(Arguments, description=__doc__, return_unknown_args=True)
    settings = parse(words).config
    times: Times = {kind: [] for kind in ("start", "input", "validate")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = open_data(settings, ("train", "validate", "test"))
        root, count = tree.root, len(tree.splits["train"])
        if arguments.slices:
            count = arguments.slices
            counts = {split: len(pairs) for split, pairs in tree.splits.items()} | {"train": count}
            root = trees.repeat(folder / "tree", tree.splits["train"], counts)
        settings = replace(settings, run=folder / "run", data=replace(settings.data, root=root))
        began = time.perf_counter()
        whole = run(settings, times)
    batch = settings.train.batch
    print(f"{figures.machine()}; jax {jax.__version__}; {count} slices, batch {batch}, {settings.model.dtype}\n")
    head = ["epoch", "steps", "s", "slices/s", "waiting for input", "validation, s"]
    print(figures.markdown(head, epoch_rows(times, count // batch, batch)))
    facts = jax.local_devices()[0].memory_stats()
    print(
        f"\nFirst batch was due at {times['start'][0] - began:.1f} s, the second at {times['start'][1] - began:.1f} s;"
        f" all, evaluation included, {whole:.1f} s. Peak memory: host {figures.mebibytes(figures.peak_bytes())} MiB, "
        f"device {figures.mebibytes(facts['peak_bytes_in_use'] if facts else None)} MiB."
    )


if __name__ == "__main__":
    main()
