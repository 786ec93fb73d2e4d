"""Left and right swapped: rows mirrored about the row that lies in the middle of a head."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from oasis_jax.system.errors import UserError


def mirror_shift(axis: float | None, rows: int) -> int:
    """How far a slice that was turned upside down must be moved so that it is mirrored about a row.

    Args:
        axis: that row, a multiple of 0.5; None: the middle, `(rows - 1) / 2`.
        rows: of the slices.

    Returns:
        Rows, downward. In a larger frame around the same middle it stays the same.

    Raises:
        UserError: the slices have no such row, or it does not lie in the middle half of them.
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


def mirror(pixels: Array, shift: int, fill: Any, axis: int = 0) -> Array:
    """Turn the rows around and move them `shift` rows downward.

    Args:
        pixels: any dtype.
        shift: of `mirror_shift`.
        fill: what rows without a counterpart hold; a number or an array that fits one row.
        axis: of the rows.
    """
    turned = jnp.flip(pixels, axis)
    if shift == 0:
        return turned
    rows = pixels.shape[axis]
    moved = jnp.roll(turned, shift, axis)
    return jnp.where(has_counterpart(rows, shift).reshape(-1, *[1] * (pixels.ndim - axis - 1)), moved, fill)


def has_counterpart(rows: int, shift: int) -> Array:
    """Whether each row of a mirrored slice shows a row of the slice, bool `(rows,)`."""
    source = jnp.arange(rows) - shift
    return (source >= 0) & (source < rows)
