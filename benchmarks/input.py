"""How many slices a second the input pipeline gives, with nothing behind it: from memory and from the files.

Run:  python benchmarks/input.py [EXPERIMENT.py] [--batch 8] [--threads 1 2 4] [--data.root DIR ...]

Batches of training as the network gets them (read, decoded, normalised, stacked), on the host. "memory" is
`--data.cache`, the default, timed after it is filled; how long filling takes is a row of its own. Prints a table:
median and range over turns, in which the rows are measured one after the other.
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
    """What to time; whatever else is on the command line is an experiment and its settings, as in training."""

    batch: int = 8
    """Slices a batch."""
    threads: tuple[int, ...] = (1, 2, 4)
    """Threads that read ahead."""
    turns: int = 5
    """Turns of each row."""
    batches: int = 100
    """Batches a turn."""


def rate(batches: Iterator[HostBatch], count: int, size: int) -> float:
    """Slices a second, once the first batch is there."""
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
        for (name, threads), found in rates.items():
            data = replace(settings.data, threads=threads)
            batches = train_batches(sources[name], data, batch=arguments.batch, seed=0)
            found.append(rate(batches, arguments.batches, arguments.batch))
    size = f"{len(pairs)} slices, {arguments.turns} turns of {arguments.batches} batches"
    print(f"{figures.machine()}; grain {version('grain')}; {size}\n")
    rows = [[name, str(threads), figures.spread(found)] for (name, threads), found in rates.items()]
    rows.append(["filling the memory", "1", figures.format_number(filling)])
    print(figures.markdown(["slices come from", "threads", f"slices/s in batches of {arguments.batch}"], rows))


if __name__ == "__main__":
    main()
