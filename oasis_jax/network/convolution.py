"""The network's convolutions, and the lowerings of them that XLA runs well on a CPU. Padding is "SAME" throughout.

Each is the plain convolution to rounding, in value and in both gradients; what each lowering saves is in
`benchmarks/speed.md`. The gradients written out here are for CPUs alone; other devices have kernels of their own.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_BLOCK_BYTES = 8 << 20
"""Of the larger operand of a kernel gradient taken at once, so that a processor's cache holds both."""


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv(
    x: Float[Array, "batch height width features"],
    kernel: Float[Array, "rows columns features channels"],
    stride: int = 1,
) -> Float[Array, "batch _ _ channels"]:
    """A convolution of stride 1, with a kernel of 1x1 or 3x3, or of stride 2, with one of 3x3 and even sides.

    Under shard_map the kernel must vary as `x` does (`jax.lax.pcast`): its gradient is that of the slices here.
    """
    return _convolve(x, kernel, "SAME", stride)


def _forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return _convolve(x, kernel, "SAME", stride), (x, kernel)


def _backward(stride: int, operands: tuple[Array, Array], change: Array) -> tuple[Array, Array]:
    x, kernel = operands

    def of_input() -> Array:
        return jax.vjp(lambda x: _convolve(x, kernel, "SAME", stride), x)[1](change)[0]

    def of_kernel() -> Array:
        return jax.vjp(lambda kernel: _convolve(x, kernel, "SAME", stride), kernel)[1](change)[0]

    if stride == 2:
        on_cpu = partial(_input_gradient_of_stride_2, change, kernel)
        return jax.lax.platform_dependent(cpu=on_cpu, default=of_input), of_kernel()
    one_tap = kernel.shape[:2] == (1, 1)
    on_cpu = partial(_kernel_gradient_of_1x1 if one_tap else _kernel_gradient_of_3x3, x, change)
    return of_input(), jax.lax.platform_dependent(cpu=on_cpu, default=of_kernel)


conv.defvjp(_forward, _backward)


def _convolve(x: Array, kernel: Array, padding: str | tuple[tuple[int, int], ...], stride: int = 1) -> Array:
    axes = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=axes)


def _kernel_gradient_of_1x1(x: Array, change: Array) -> Array:
    """Slice by slice, then the sum: XLA makes one product over all pixels at once several times slower."""
    return (
        jnp.einsum("nhwc,nhwo->nco", x, change, preferred_element_type=jnp.float32).sum(0)[None, None].astype(x.dtype)
    )


def _kernel_gradient_of_3x3(x: Array, change: Array) -> Array:
    """The correlation of `x` with `change`, a block of rows at a time: XLA runs it twice as fast from the cache.

    As a convolution of its own its batch is the features of `x`, and its features are the slices. `x` is read once for
    every tap, so it should be the one with fewer channels; with roles exchanged the taps come out in opposite order.
    """
    if change.shape[-1] < x.shape[-1] / 2:
        return _kernel_gradient_of_3x3(change, x)[::-1, ::-1].swapaxes(2, 3)
    rows = x.shape[1]
    step = max(1, _BLOCK_BYTES * rows // max(x.nbytes, change.nbytes))
    x, change = x.transpose(3, 1, 2, 0), change.transpose(1, 2, 0, 3)

    def part(top: int) -> Array:
        first, last = max(top - 1, 0), min(top + step + 1, rows)
        edges = (int(top == 0), int(last < top + step + 1))
        block = change[top : top + step]
        return _convolve(x[:, first:last], block, (edges, (1, 1))).astype(jnp.float32)

    return sum(map(part, range(step, rows, step)), part(0)).transpose(1, 2, 0, 3).astype(x.dtype)


def _input_gradient_of_stride_2(change: Array, kernel: Array) -> Array:
    """Of the 3x3 taps an input pixel sees 4, 2 or 1: each of the four places in a square of pixels is a convolution."""
    taps = kernel.transpose(0, 1, 3, 2)

    def quarter(row: int, column: int) -> Array:
        part = taps[2::-2] if row == 0 else taps[1:2]
        part = part[:, 2::-2] if column == 0 else part[:, 1:2]
        return _convolve(change, part, ((1 - row, 0), (1 - column, 0)))

    return _interleave([[quarter(row, column) for column in range(2)] for row in range(2)])


def upsample(x: Float[Array, "batch height width features"]) -> Float[Array, "batch height2 width2 features"]:
    """Twice the height and width by repeating pixels (nearest neighbour)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def upsample_conv(
    x: Float[Array, "batch height width features"], kernel: Float[Array, "3 3 features channels"]
) -> Float[Array, "batch height2 width2 channels"]:
    """A 3x3 convolution of `upsample(x)`, computed at the resolution of `x`.

    Of the three rows of pixels that a row of the output sees, two are the same row of `x`, because `upsample` repeated
    it; so their rows of the kernel can be added first, and likewise columns. Each of the four places of an output pixel
    within its pixel of `x` then is a convolution of `x` with a 2x2 kernel of its own: 16 products where there were 36.
    """

    def quarter(row: int, column: int) -> Array:
        return _convolve(x, _halved(_halved(kernel, 0, row), 1, column), ((1 - row, row), (1 - column, column)))

    return _interleave([[quarter(row, column) for column in range(2)] for row in range(2)])


def _halved(kernel: Array, axis: int, place: int) -> Array:
    """The two taps on `x` that three taps on its repeated pixels are, for the first or the second of a pair."""
    first, middle, last = jnp.split(kernel, 3, axis)
    return jnp.concatenate([first, middle + last] if place == 0 else [first + middle, last], axis)


def _interleave(quarters: list[list[Array]]) -> Array:
    """Four images `(B, H, W, C)`, by row and column of each pixel's place in a 2x2 square, as one `(B, 2H, 2W, C)`."""
    both = jnp.stack([jnp.stack(pair, axis=3) for pair in quarters], axis=2)
    batch, height, _, width, _, features = both.shape
    return both.reshape(batch, 2 * height, 2 * width, features)
