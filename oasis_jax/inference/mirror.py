"""Swap left and right: mirror the rows about the middle row of a head, and average answers over mirror images."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from oasis_jax.network.unet import Apply, Params
from oasis_jax.system.errors import UserError


def mirror_shift(axis: float | None, rows: int) -> int:
    """How many rows to move a flipped slice downward, so that it is mirrored about a given row.

    Args:
        axis: that row, a multiple of 0.5; None: the middle row, `(rows - 1) / 2`.
        rows: number of rows of a slice.

    Returns:
        Number of rows. It is the same for a larger frame with the same centre.

    Raises:
        UserError: the slices have no such row, or the row is not in their middle half.
    """
    if axis is None:
        return 0
    if not 0 <= axis <= rows - 1:
        raise UserError(f"augment.mirror_axis is {axis:g}, but slices have rows 0 to {rows - 1}: name one of them.")
    if not rows / 4 <= axis <= 3 * rows / 4:
        raise UserError(
            f"augment.mirror_axis is {axis:g}, far from the middle of slices with rows 0 to {rows - 1}: "
            "name the row between left and right."
        )
    return round(2 * axis) - (rows - 1)


def mirror(pixels: Shaped[Array, "*shape"], shift: int, fill: Any, axis: int = 0) -> Shaped[Array, "*shape"]:
    """Reverse the order of the rows, which lie along `axis`, and move them `shift` (of `mirror_shift`) rows downward.

    `fill` is for the rows without a counterpart: a number, or an array that broadcasts to the pixels.
    """
    flipped = jnp.flip(pixels, axis)
    if shift == 0:
        return flipped
    rows = pixels.shape[axis]
    source = (jnp.arange(rows) - shift).reshape(-1, *[1] * (pixels.ndim - axis - 1))
    return jnp.where((source >= 0) & (source < rows), jnp.roll(flipped, shift, axis), fill)


def probabilities(network: Apply, params: Params, image: Array, shift: int | None) -> Array:
    """The probabilities of slices, averaged over their mirror images; not averaged without a shift (`mirror_shift`).

    A row without a counterpart has those of the slice alone.
    """
    straight = jax.nn.softmax(network(params, image))
    if shift is None:
        return straight
    turned = mirror(image, shift, image.min((1, 2), keepdims=True), axis=1)
    back = mirror(jax.nn.softmax(network(params, turned)), shift, straight, axis=1)
    return (straight + back) / 2
