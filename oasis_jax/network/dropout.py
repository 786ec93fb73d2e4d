"""Dropout with a key for each slice, so that a slice's mask does not depend on what it shares a batch with."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

_CHANCES = 1 << 16


def dropout(
    x: Float[Array, "batch height width features"], keys: Key[Array, " batch"], rate: float
) -> Float[Array, "batch height width features"]:
    """Set a share of the values to zero, and scale the others so that the mean stays.

    Args:
        x: the values.
        keys: one a slice.
        rate: the share, from 0 to below 1; rounded down to a 65,536th, since sixteen random bits decide over each value
            (making random bits is what dropout costs, and a float would take twice as many).
    """
    dropped = int(rate * _CHANCES)
    height, width, features = x.shape[1:]

    def bits(key: Array) -> Array:
        words = jax.random.bits(key, (height, (width + 1) // 2, features), jnp.uint32)
        return jnp.concatenate([words % _CHANCES, words // _CHANCES], axis=1)[:, :width]

    return jnp.where(jax.vmap(bits)(keys) < dropped, 0, x * (_CHANCES / (_CHANCES - dropped)))
