"""Dropout with a key for each slice, so that the mask of a slice does not depend on the other slices of its batch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

_STEPS = 1 << 16
"""Values of the 16 random bits that decide whether a number is dropped."""


def dropout(
    x: Float[Array, "batch height width features"], keys: Key[Array, " batch"], rate: float
) -> Float[Array, "batch height width features"]:
    """Set a share of the values to zero, and scale the others so that the expected value of each stays the same.

    Sixteen random bits decide about each value. Most of the cost of dropout is making random bits, and a random float
    would need twice as many.

    Args:
        x: features of the slices.
        keys: a key for each slice.
        rate: share of values to drop, from 0 to below 1; rounded down to a multiple of 1 / 65,536.
    """
    dropped = int(rate * _STEPS)
    height, width, features = x.shape[1:]

    def bits(key: Array) -> Array:
        words = jax.random.bits(key, (height, (width + 1) // 2, features), jnp.uint32)
        return jnp.concatenate([words % _STEPS, words // _STEPS], axis=1)[:, :width]

    return jnp.where(jax.vmap(bits)(keys) < dropped, 0, x * (_STEPS / (_STEPS - dropped)))
