"""Twice the resolution by repeating pixels, alone or with the 3x3 convolution that follows it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def upsample(x: Float[Array, "batch height width features"]) -> Float[Array, "batch height2 width2 features"]:
    """Twice the height and width by repeating pixels (nearest neighbour)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def upsample_conv(
    x: Float[Array, "batch height width features"], kernel: Float[Array, "3 3 features channels"]
) -> Float[Array, "batch height2 width2 channels"]:
    """A 3x3 "SAME" convolution of `upsample(x)`, computed at the resolution of `x`.

    Of the three rows of pixels that a row of the output sees, two are the same row of `x`, because `upsample` repeated
    it; so their rows of the kernel can be added first, and likewise columns. Each of the four places of an output pixel
    within its pixel of `x` then is a convolution of `x` with a 2x2 kernel of its own: 16 products where there were 36.
    """
    batch, height, width, _ = x.shape
    quarters = [
        [
            jax.lax.conv_general_dilated(
                x,
                _halved(_halved(kernel, 0, row), 1, column).astype(x.dtype),
                window_strides=(1, 1),
                padding=((1 - row, row), (1 - column, column)),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            for column in range(2)
        ]
        for row in range(2)
    ]
    both = jnp.stack([jnp.stack(pair, axis=3) for pair in quarters], axis=2)
    return both.reshape(batch, 2 * height, 2 * width, kernel.shape[-1])


def _halved(kernel: Array, axis: int, place: int) -> Array:
    """The two taps on `x` that three taps on its repeated pixels are, for the first or the second of a pair."""
    first, middle, last = jnp.split(kernel, 3, axis)
    return jnp.concatenate([first, middle + last] if place == 0 else [first + middle, last], axis)
