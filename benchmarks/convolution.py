"""Where a training step on a CPU goes: the network's 3x3 convolutions, and upsampling before one in two ways.

Run:  python benchmarks/convolution.py [--batch 8] [--turns 3]

First a row for each size of 3x3 convolution in the seed's network: GFLOP, and GFLOP/s of the forward pass, of the
gradient of the kernel and of that of the input. Then the whole training step of the seed with `upsample_conv`, and with
the plain convolution of repeated pixels in its place, in turns.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import figures
import jax
import jax.numpy as jnp
import numpy as np
import tyro
import worker
from peers import ours

from oasis_jax import model
from oasis_jax.train import parse
from oasis_jax.upsample import upsample

SHAPES = ((256, 16, 16), (256, 32, 32), (128, 32, 32), (64, 64, 64), (32, 128, 128), (16, 256, 256))
"""Side, channels in and out."""


@dataclass(frozen=True)
class Arguments:
    """How much to time."""

    batch: int = 8
    """Slices."""
    turns: int = 3
    """Measurements of each; the median counts."""


def convolve(x: Any, kernel: Any) -> Any:
    """A 3x3 "SAME" convolution."""
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def rates(batch: int, side: int, inputs: int, outputs: int, turns: int) -> list[str]:
    """The row of one size."""
    rng = np.random.default_rng(0)
    shapes = ((batch, side, side, inputs), (3, 3, inputs, outputs), (batch, side, side, outputs))
    x, kernel, change = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    calls = [
        (jax.jit(convolve), (x, kernel)),
        (jax.jit(lambda x, k, g: jax.vjp(lambda k: convolve(x, k), k)[1](g)), (x, kernel, change)),
        (jax.jit(lambda x, k, g: jax.vjp(lambda x: convolve(x, k), x)[1](g)), (x, kernel, change)),
    ]
    work = 2 * 9 * batch * side**2 * inputs * outputs / 1e9
    cells = []
    for call, words in calls:
        jax.block_until_ready(call(*words))
        took = [seconds(lambda call=call, words=words: call(*words)) for _ in range(turns)]
        cells.append(figures.format_number(work / median(took)))
    return [f"{side}x{side}, {inputs} to {outputs}", figures.format_number(work), *cells]


@contextmanager
def plain_upsampling() -> Iterator[None]:
    """Within, the decoder convolves repeated pixels."""
    kept, model.upsample_conv = model.upsample_conv, lambda x, kernel: convolve(upsample(x), kernel.astype(x.dtype))
    try:
        yield
    finally:
        model.upsample_conv = kept


def upsampling_rows(batch: int, turns: int) -> list[list[str]]:
    """The seed's training step, with its upsampling as it is and plain, in turns."""
    settings, size = parse(["experiments/seed.py"]).config, (256, 256)
    parameters = ours.initial(settings, size)
    programs = {name: ours.build(settings, parameters) for name in ("at low resolution", "plain")}
    there = programs["plain"].put(worker.make_batch(batch, size))
    with plain_upsampling():
        jax.block_until_ready(programs["plain"].train(there))  # traced here
    jax.block_until_ready(programs["at low resolution"].train(there))
    took: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(turns):
        for name, program in programs.items():
            took[name].append(seconds(lambda program=program: program.train(there)))
    ratios = [plain / low for plain, low in zip(took["plain"], took["at low resolution"], strict=True)]
    return [
        [name, figures.spread(times), figures.spread(ratios) if name == "plain" else "1"]
        for name, times in took.items()
    ]


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    print(f"{figures.machine()}; jax {jax.__version__}; batch {arguments.batch}, float32\n")
    head = ["convolution", "GFLOP", "forward, GFLOP/s", "gradient of the kernel", "gradient of the input"]
    print(figures.markdown(head, [rates(arguments.batch, *shape, arguments.turns) for shape in SHAPES]))
    sys.stdout.flush()
    print()
    head = ["upsampling, seed's training step", "s", "time over low resolution"]
    print(figures.markdown(head, upsampling_rows(arguments.batch, arguments.turns)))


if __name__ == "__main__":
    main()
