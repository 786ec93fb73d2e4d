"""The loss: soft Dice and cross-entropy."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, UInt8

from oasis_jax import classes
from oasis_jax.metrics.overlap import Overlap, dice, overlap


def slice_losses(
    logits: Float[Array, "batch height width 4"],
    label: UInt8[Array, "batch height width"],
    cross_entropy: float = 0.0,
) -> tuple[Float[Array, " batch"], Overlap]:
    """Loss of each slice: 1 - mean over classes of soft Dice, as in the original, plus weighted cross-entropy.

    Args:
        logits: network output before softmax.
        label: true classes, 0 to 3.
        cross_entropy: weight of the cross-entropy, the mean over pixels of `-log p(true class)`, in nats.

    Returns:
        The losses, and the soft sums of each slice, float32 `(batch, 4)`.
    """
    logits = logits.astype(jnp.float32)
    sums = overlap(jnp.exp(jax.nn.log_softmax(logits)), label)
    losses = 1 - dice(sums).mean(axis=-1)
    if cross_entropy:
        truth = jax.nn.one_hot(label, classes.COUNT, dtype=jnp.float32)
        losses += cross_entropy * optax.losses.softmax_cross_entropy(logits, truth).mean((1, 2))
    return losses, sums
