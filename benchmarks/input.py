"""How many slices per second the input pipeline gives alone, from memory and from files.

Run:  python benchmarks/input.py [EXPERIMENT.py] [--batch 8] [--threads 1 2 4] [--data.root DIR ...]

Times the batches of training (read, decoded, normalised, stacked) on the host. "memory" is `--data.cache`, the default,
after the memory is filled; filling it has a row of its own. Each turn measures all rows, one after another. Prints the
median and the range over the turns.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice

import figures
import tyro

from oasis_jax.data.batches import HostBatch, Source, train_batches
from oasis_jax.data.open import open_data
from oasis_jax.train import parse


@dataclass(frozen=True)
class Arguments:
    """What to time. All other arguments are an experiment and its settings, as in training."""

    batch: int = 8
    """Slices per batch."""
    threads: tuple[int, ...] = (1, 2, 4)
    """Threads that read ahead."""
    turns: int = 5
    """Measurements of each row."""
    batches: int = 100
    """Batches per turn."""


def rate(batches: Iterator[HostBatch], count: int, size: int) -> float:
    """Slices per second, after the first batch."""
    next(batches)
    start = time.perf_counter()
    for _ in islice(batches, count):
        pass
    return count * size / (time.perf_counter() - start)


def main() -> None:
    arguments, words = tyro.cli(Arguments, description=__doc__, return_unknown_args=True)
    settings = parse(words).config
    pairs = open_data(settings, ("train",)).splits["train"]
    files = Source(pairs, replace(settings.data, cache=False))
    start = time.perf_counter()
    memory = Source(pairs, replace(settings.data, cache=True))
    for i in range(len(memory)):
        memory[i]
    filling = len(pairs) / (time.perf_counter() - start)
    sources = {"files": files, "memory": memory}
    rates: dict[tuple[str, int], list[float]] = {(name, n): [] for name in sources for n in arguments.threads}
    for _ in range(arguments.turns):
        for (name, threads), measured in rates.items():
            data = replace(settings.data, threads=threads)
            batches = train_batches(sources[name], data, batch=arguments.batch, seed=0)
            measured.append(rate(batches, arguments.batches, arguments.batch))
    size = f"{len(pairs)} slices, {arguments.turns} turns of {arguments.batches} batches"
    print(f"{figures.machine()}; grain {version('grain')}; {size}\n")
    rows = [[name, str(threads), figures.spread(measured)] for (name, threads), measured in rates.items()]
    rows.append(["filling the memory", "1", figures.format_number(filling)])
    print(figures.markdown(["slices come from", "threads", f"slices/s in batches of {arguments.batch}"], rows))


if __name__ == "__main__":
    main()
