"""The speed of the 3x3 convolutions on a CPU, alone and in a training step of the original.

Run:  python benchmarks/convolution.py [--batch 8] [--turns 3]

The first table has a row for each size of 3x3 convolution in the network of the original: its GFLOP, and the GFLOP/s of
the forward pass, of the gradient of the input, and of the gradient of the kernel, as XLA computes it and as
`oasis_jax.network.convolution` computes it. The second table has the whole training step of the original, in turns: as
it is, with the gradients of XLA, and with repeated pixels before a plain convolution.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any
from unittest.mock import patch

import figures
import jax
import jax.numpy as jnp
import numpy as np
import tyro
import worker
from peers import ours

from oasis_jax.network import convolution, unet
from oasis_jax.network.convolution import upsample
from oasis_jax.train import parse

SHAPES = ((256, 16, 16), (256, 32, 32), (256, 32, 4), (128, 32, 32), (64, 64, 64), (32, 128, 128), (16, 256, 256))
"""Side, channels in and out."""


@dataclass(frozen=True)
class Arguments:
    """How much to time."""

    batch: int = 8
    """Slices."""
    turns: int = 3
    """Measurements of each; the median is printed."""


def plain(x: Any, kernel: Any, stride: int = 1) -> Any:
    """A "SAME" convolution with the gradients of XLA."""
    axes = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=axes)


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def rates(batch: int, side: int, inputs: int, outputs: int, turns: int) -> list[str]:
    """The row of one size."""
    rng = np.random.default_rng(0)
    shapes = ((batch, side, side, inputs), (3, 3, inputs, outputs), (batch, side, side, outputs))
    x, kernel, gradient = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    calls = [
        (jax.jit(plain), (x, kernel)),
        (jax.jit(lambda x, k, g: jax.vjp(lambda x: plain(x, k), x)[1](g)), (x, kernel, gradient)),
        (jax.jit(lambda x, k, g: jax.vjp(lambda k: plain(x, k), k)[1](g)), (x, kernel, gradient)),
        (jax.jit(lambda x, k, g: jax.vjp(lambda k: convolution.conv(x, k), k)[1](g)), (x, kernel, gradient)),
    ]
    gflop = 2 * 9 * batch * side**2 * inputs * outputs / 1e9
    cells = []
    for call, arrays in calls:
        jax.block_until_ready(call(*arrays))
        times = [seconds(lambda call=call, arrays=arrays: call(*arrays)) for _ in range(turns)]
        cells.append(figures.format_number(gflop / median(times)))
    return [f"{side}x{side}, {inputs} to {outputs}", figures.format_number(gflop), *cells]


VARIANTS: dict[str, tuple[Any, str, Any]] = {
    "XLA's own gradients": (convolution, "conv", plain),
    "repeated pixels": (unet, "upsample_conv", lambda x, kernel: plain(upsample(x), kernel)),
}
"""Functions that replace one of the package: the module, the name of the function, and the replacement."""


def step_rows(batch: int, turns: int) -> list[list[str]]:
    """The training step of the original, as it is and with each of `VARIANTS`, in turns."""
    settings, size = parse(["experiments/original.py"]).config, (256, 256)
    parameters = ours.initial(settings, size)
    programs = {name: ours.build(settings, parameters) for name in ("as it is", *VARIANTS)}
    batch_on_device = programs["as it is"].put(worker.make_batch(batch, size, settings.data.channels))
    for name, program in programs.items():
        module, function, variant = VARIANTS.get(name, (unet, "upsample_conv", unet.upsample_conv))
        with patch.object(module, function, variant):  # the first step traces the program
            jax.block_until_ready(program.train(batch_on_device))
    steps: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(turns):
        for name, program in programs.items():
            steps[name].append(seconds(lambda program=program: program.train(batch_on_device)))
    return [
        [name, figures.spread(times), figures.spread([a / b for a, b in zip(times, steps["as it is"], strict=True)])]
        for name, times in steps.items()
    ]


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    print(f"{figures.machine()}; jax {jax.__version__}; batch {arguments.batch}, float32\n")
    head = [
        "convolution",
        "GFLOP",
        "forward, GFLOP/s",
        "gradient of the input",
        "of the kernel, XLA's",
        "of the kernel",
    ]
    print(figures.markdown(head, [rates(arguments.batch, *shape, arguments.turns) for shape in SHAPES]))
    sys.stdout.flush()
    print()
    head = ["original's training step", "s", "time over that of the step as it is"]
    print(figures.markdown(head, step_rows(arguments.batch, arguments.turns)))


if __name__ == "__main__":
    main()
