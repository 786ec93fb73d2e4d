"""The convolutions of the network, written so that XLA runs them fast on a CPU. Padding is always "SAME".

Value and both gradients equal those of the plain convolution up to rounding. `benchmarks/speed.md` lists how much time
each form saves. The explicit gradients are for CPUs only; other devices have their own kernels.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_BLOCK_BYTES = 8 << 20
"""A kernel gradient reads this much of its larger operand at a time, so that both operands fit into the cache."""


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv(
    x: Float[Array, "batch height width features"],
    kernel: Float[Array, "rows columns features channels"],
    stride: int = 1,
) -> Float[Array, "batch _ _ channels"]:
    """A convolution with stride 1 and a kernel of 1x1 or 3x3, or with stride 2, a kernel of 3x3 and even sides.

    Under shard_map the kernel must vary over devices as `x` does (`jax.lax.pcast`), because the gradient of the kernel
    comes from the slices of this device only.
    """
    return _convolve(x, kernel, "SAME", stride)


def _forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return _convolve(x, kernel, "SAME", stride), (x, kernel)


def _backward(stride: int, operands: tuple[Array, Array], change: Array) -> tuple[Array, Array]:
    x, kernel = operands
    plain = jax.vjp(partial(_convolve, padding="SAME", stride=stride), x, kernel)[1]
    if stride == 2:
        on_cpu = partial(_input_gradient_of_stride_2, change, kernel)
        return jax.lax.platform_dependent(cpu=on_cpu, default=lambda: plain(change)[0]), plain(change)[1]
    one_tap = kernel.shape[:2] == (1, 1)
    on_cpu = partial(_kernel_gradient_of_1x1 if one_tap else _kernel_gradient_of_3x3, x, change)
    return plain(change)[0], jax.lax.platform_dependent(cpu=on_cpu, default=lambda: plain(change)[1])


conv.defvjp(_forward, _backward)


def _convolve(x: Array, kernel: Array, padding: str | tuple[tuple[int, int], ...], stride: int = 1) -> Array:
    axes = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=axes)


def _kernel_gradient_of_1x1(x: Array, change: Array) -> Array:
    """One product for each slice, then their sum. One product over all pixels takes XLA several times longer."""
    products = jnp.einsum("nhwc,nhwo->nco", x, change, preferred_element_type=jnp.float32)
    return products.sum(0)[None, None].astype(x.dtype)


def _kernel_gradient_of_3x3(x: Array, change: Array) -> Array:
    """The correlation of `x` with `change`, one block of rows at a time: in the cache XLA runs it twice as fast.

    It is a convolution whose batch is the features of `x` and whose features are the slices. It reads `x` once for
    every tap, so `x` should have fewer channels than `change`. If not, the two are swapped, and the taps are reversed.
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
    """Input gradient of a 3x3 convolution with stride 2.

    4, 2 or 1 of the 9 taps reach an input pixel, depending on whether its row and its column are even or odd. So each
    of the four kinds of pixel is a small convolution of its own:

        4 2 4 2      row even, column even: 4 taps      row even, column odd: 2 taps
        2 1 2 1      row odd, column even: 2 taps       row odd, column odd: 1 tap
    """
    taps = kernel.transpose(0, 1, 3, 2)

    def quarter(row: int, column: int) -> Array:
        part = taps[2::-2] if row == 0 else taps[1:2]
        part = part[:, 2::-2] if column == 0 else part[:, 1:2]
        return _convolve(change, part, ((1 - row, 0), (1 - column, 0)))

    return _interleave([[quarter(row, column) for column in range(2)] for row in range(2)])


def upsample(x: Float[Array, "batch height width features"]) -> Float[Array, "batch height2 width2 features"]:
    """Double the height and the width by repeating pixels (nearest neighbour)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def upsample_conv(
    x: Float[Array, "batch height width features"], kernel: Float[Array, "3 3 features channels"]
) -> Float[Array, "batch height2 width2 channels"]:
    """A 3x3 convolution of `upsample(x)`, computed at the resolution of `x`.

    `upsample` repeats each row of `x`, here a, b and c, so a row of the output reads only two rows of `x`. Kernel rows
    that read the same row of `x` can be added first:

        rows of upsample(x)      a a b b c c
        first output row of b     [1 2 3]         reads a with kernel row 1, b with the sum of rows 2 and 3
        second output row of b      [1 2 3]       reads b with the sum of rows 1 and 2, c with row 3

    The same holds for columns. So each of the four output pixels of a pixel of `x` is a convolution of `x` with a 2x2
    kernel. Together they take 16 products instead of 36.
    """

    def quarter(row: int, column: int) -> Array:
        return _convolve(x, _halved(_halved(kernel, 0, row), 1, column), ((1 - row, row), (1 - column, column)))

    return _interleave([[quarter(row, column) for column in range(2)] for row in range(2)])


def _halved(kernel: Array, axis: int, place: int) -> Array:
    """The two taps on `x` that equal three taps on repeated pixels, for the first (0) or second (1) pixel of a pair."""
    first, middle, last = jnp.split(kernel, 3, axis)
    return jnp.concatenate([first, middle + last] if place == 0 else [first + middle, last], axis)


def _interleave(quarters: list[list[Array]]) -> Array:
    """Merge four images `(B, H, W, C)` into one `(B, 2H, 2W, C)`: one pixel of each makes a 2x2 square."""
    stacked = jnp.stack([jnp.stack(pair, axis=3) for pair in quarters], axis=2)
    batch, height, _, width, _, features = stacked.shape
    return stacked.reshape(batch, 2 * height, 2 * width, features)
