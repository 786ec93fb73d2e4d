"""How cost grows with the batch, the pixels of a slice, and the number of slices.

Run:  python benchmarks/growth.py [EXPERIMENT.py] [--part batch size slices] [options of training]

The slope is that of log cost over log size, by least squares: 1 is linear growth, more than 1 is worse. The trees are
links to a few small slices, so that indexing grows, and decoding does not. "check" reads every file of a new tree.
"index" reads the same tree again, unchanged. "to first batch" has the index and all work up to the first batch; with
`--data.cache` this includes decoding all slices into memory.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

import figures
import jax
import numpy as np
import trees
import tyro
import worker
from peers import ours

from oasis_jax.config import Config
from oasis_jax.data.batches import Source, train_batches
from oasis_jax.data.dataset import load_dataset
from oasis_jax.train import parse


@dataclass(frozen=True)
class Arguments:
    """What to time. All other arguments are an experiment and its settings, as in training."""

    part: tuple[Literal["batch", "size", "slices"], ...] = ("batch", "size", "slices")
    """What grows."""
    batch: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    """Slices per step, of 256x256 pixels."""
    size: tuple[int, ...] = (128, 192, 256, 384, 512)
    """Rows and columns of a slice, with two slices per step."""
    slices: tuple[int, ...] = (1_000, 10_000, 100_000)
    """Slices in a tree."""
    side: int = 16
    """Rows and columns of the slices in a tree."""
    turns: int = 3
    """Measurements of each; the median is printed."""


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Exponent of growth: the slope of a straight line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def step_seconds(settings: Config, batch: int, side: int, turns: int) -> list[float]:
    """Seconds of training steps, after compilation."""
    size = (side, side)
    program = ours.build(settings, ours.initial(settings, size))
    batch_on_device = program.put(worker.make_batch(batch, size, settings.data.channels))
    program.wait(program.train(batch_on_device))
    return [seconds(lambda: program.wait(program.train(batch_on_device))) for _ in range(turns)]


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def tree_seconds(settings: Config, count: int, side: int, turns: int) -> dict[str, list[float]]:
    """Seconds of the check, the index and the first batch of a tree of training slices."""
    with tempfile.TemporaryDirectory() as name:
        users_cache, os.environ["OASIS_JAX_CACHE"] = os.environ.get("OASIS_JAX_CACHE"), str(Path(name, "cache"))
        try:
            pairs = trees.draw(Path(name, "drawn"), (side, side))
            root = trees.repeat(Path(name, "tree"), pairs, {"train": count})

            def first_batch(cache: bool) -> None:
                data = replace(settings.data, cache=cache)
                source = Source(load_dataset(root, ("train",)).splits["train"], data)
                next(train_batches(source, data, batch=settings.train.batch, seed=0))

            calls = {
                "check": lambda: load_dataset(root, ("train",)),
                "index": lambda: load_dataset(root, ("train",)),
                "to first batch, from files": lambda: first_batch(False),
                "to first batch, from memory": lambda: first_batch(True),
            }
            return {
                name: [seconds(call) for _ in range(1 if name == "check" else turns)] for name, call in calls.items()
            }
        finally:
            os.environ.pop("OASIS_JAX_CACHE")
            if users_cache is not None:
                os.environ["OASIS_JAX_CACHE"] = users_cache


def rows(what: str, sizes: Sequence[int], costs: Sequence[list[float]], axis: Sequence[float]) -> list[list[str]]:
    """A row for each size; the row of the largest has the slope."""
    exponent = figures.format_number(slope(axis, [median(cost) for cost in costs])) if len(sizes) > 1 else "-"
    last = len(sizes) - 1
    return [
        [what, f"{size:,}", figures.spread(cost), exponent if i == last else ""]
        for i, (size, cost) in enumerate(zip(sizes, costs, strict=True))
    ]


def main() -> None:
    arguments, words = tyro.cli(Arguments, description=__doc__, return_unknown_args=True)
    settings = parse(words).config
    table: list[list[str]] = []
    if "batch" in arguments.part:
        costs = [step_seconds(settings, batch, 256, arguments.turns) for batch in arguments.batch]
        table += rows("training step, batch", arguments.batch, costs, arguments.batch)
    if "size" in arguments.part:
        whole = replace(settings, model=replace(settings.model, crop=None))
        costs = [step_seconds(whole, 2, side, arguments.turns) for side in arguments.size]
        table += rows("training step, side (slope over pixels)", arguments.size, costs, [n**2 for n in arguments.size])
    if "slices" in arguments.part:
        trees_seconds = [tree_seconds(settings, count, arguments.side, arguments.turns) for count in arguments.slices]
        for what in trees_seconds[0]:
            costs = [of_tree[what] for of_tree in trees_seconds]
            table += rows(f"{what}, slices", arguments.slices, costs, arguments.slices)
    print(f"{figures.machine()}; jax {jax.__version__}; {words[0] if words else 'quickstart'}\n")
    print(figures.markdown(["cost of", "size", "s", "slope"], table))


if __name__ == "__main__":
    main()
