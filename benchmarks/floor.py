"""How near a step comes to the limit of the device: the time that its operations, or its bytes, take at least.

Run:  python benchmarks/floor.py [EXPERIMENT.py] [--batch 8 32] [--dtype float32 bfloat16] [--trace DIR] ...

XLA counts both (`cost_analysis`): the operations of the program as it is written, and the bytes that the compiled
program reads and writes. This program measures the rates of the device: a matrix product in the same type, and a copy
of an array. The floor is the longer of the two times. Its share of the measured step says how much is left to gain.
XLA may not know what the kernels of a library (cuDNN) read and write. Then bytes are missing, and the floor is too low.
`--trace` writes a profile of a few steps of each, for TensorBoard or Perfetto.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

import figures
import jax
import jax.numpy as jnp
import tyro
import worker
from peers import ours

from oasis_jax.config import Config
from oasis_jax.train import parse

HEAD = ["mode", "batch", "dtype", "ms a step", "GFLOP", "GB", "ms for the operations", "ms for the bytes", "share"]


@dataclass(frozen=True)
class Arguments:
    """What to time; whatever else is on the command line is an experiment and its settings, as in training."""

    mode: tuple[Literal["train", "eval"], ...] = ("train", "eval")
    """Steps of training, of evaluation, or both."""
    batch: tuple[int, ...] = (8,)
    """Slices a step."""
    dtype: tuple[Literal["float32", "bfloat16"], ...] = ("float32",)
    """Compute types; on a GPU float32 means TF32 products."""
    size: tuple[int, int] = (256, 256)
    """Rows and columns of a slice."""
    side: int = 8192
    """Rows and columns of the matrices in the product; 2048 is enough for a CPU."""
    copy_mib: int = 1024
    """Size of the copied array, larger than every cache."""
    turns: int = 10
    """Measurements of each; the median is printed."""
    trace: Path | None = None
    """Folder for the profiles."""


def seconds(call: Callable[[], Any], turns: int) -> list[float]:
    """Seconds of each call until its result is ready; an untimed call compiles it first."""
    jax.block_until_ready(call())
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return times


def product_rate(side: int, dtype: str, turns: int) -> float:
    """Operations per second in a product of two square matrices of noise."""
    a, b = (jax.random.normal(jax.random.key(i), (side, side), jnp.dtype(dtype)) for i in range(2))
    product = jax.jit(jnp.matmul)
    return 2 * side**3 / min(seconds(lambda: product(a, b), turns))


def copy_rate(mib: int, turns: int) -> float:
    """Bytes per second, read and written, in a copy."""
    array = jax.random.normal(jax.random.key(0), (mib * 2**18,), jnp.float32)
    copy = jax.jit(jnp.negative)
    return 2 * array.nbytes / min(seconds(lambda: copy(array), turns))


def program_operations(lowered: jax.stages.Lowered) -> float:
    """Operations of a program as it is written."""
    cost = lowered.cost_analysis()
    if cost is None:  # JAX does not ask plugins, such as that of CUDA; the count is the same on every device
        from jax._src.lib import _jax  # pyright: ignore[reportPrivateImportUsage]  # JAX has no public function for it

        computation: Any = lowered.compiler_ir("hlo")
        cost = _jax.hlo_module_cost_analysis(jax.devices("cpu")[0].client, computation.as_hlo_module())
    return cost["flops"]


def row(arguments: Arguments, settings: Config, mode: str, batch: int, rates: tuple[float, float]) -> list[str]:
    """The row of one mode, batch and compute type."""
    params = ours.unflatten(ours.initial(settings, arguments.size))
    host_batch = worker.make_batch(batch, arguments.size, settings.data.channels)
    step, inputs = ours.lower(settings, params, host_batch, evaluate=mode == "eval")
    lowered = step.lower(*inputs)
    compiled = lowered.compile()
    operations, transferred = program_operations(lowered), compiled.cost_analysis()["bytes accessed"]

    def call() -> Any:
        nonlocal inputs
        result = compiled(*inputs)
        if mode == "train":  # a step donates its state, so the next one needs the new state
            inputs = (result[0], *inputs[1:])
        return result

    measured = seconds(call, arguments.turns)
    if arguments.trace:
        with jax.profiler.trace(str(arguments.trace / f"{mode}-{batch}-{settings.model.dtype}")):
            seconds(call, 3)
    floors = operations / rates[0], transferred / rates[1]
    numbers = operations / 1e9, transferred / 1e9, *(1000 * floor for floor in floors)
    return [
        *(mode, str(batch), settings.model.dtype, figures.spread([1000 * s for s in measured])),
        *map(figures.format_number, numbers),
        f"{max(floors) / median(measured):.1%}",
    ]


def main() -> None:
    arguments, words = tyro.cli(Arguments, description=__doc__, return_unknown_args=True)
    chosen = parse(words).config
    bandwidth = copy_rate(arguments.copy_mib, arguments.turns)
    lines, rows = [f"copy {bandwidth / 1e9:.1f} GB/s"], []
    for dtype in arguments.dtype:
        rate = product_rate(arguments.side, dtype, arguments.turns)
        lines.append(f"{dtype} product {rate / 1e12:.3g} TFLOP/s")
        settings = replace(chosen, model=replace(chosen.model, dtype=dtype))
        for mode in arguments.mode:
            rows += [row(arguments, settings, mode, batch, (rate, bandwidth)) for batch in arguments.batch]
    title = f"{figures.machine()}; jax {jax.__version__}; {words[0] if words else 'quickstart'}"
    print(f"{title}; {', '.join(lines)}\n")
    print(figures.markdown(HEAD, rows))


if __name__ == "__main__":
    main()
