"""Dice, soft and hard, from one table of sums; one-hot happens here and nowhere else.

Dice of a class is `2 I / (P + T)`: I its intersection, P the predicted and T the true amount (Dice 1945). Soft sums
weigh pixels by probability, hard sums count them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from oasis_jax import labels

EPSILON = 1e-6
"""Added to the denominator of the soft Dice, as the seed does."""


class Overlap(NamedTuple):
    """Sums for each slice (or group of slices) and class, each of shape `(..., 4)`."""

    intersection: Any
    predicted: Any
    true: Any


def overlap(probability: Float[Array, "batch height width 4"], label: UInt8[Array, "batch height width"]) -> Overlap:
    """Soft sums of each slice and class, float32 `(batch, 4)`."""
    truth = jax.nn.one_hot(label, labels.COUNT, dtype=probability.dtype)
    pixels = (1, 2)
    return Overlap((probability * truth).sum(pixels), probability.sum(pixels), truth.sum(pixels))


def dice(sums: Overlap, epsilon: float = EPSILON) -> Any:
    """`2 I / (P + T + epsilon)` element by element, range 0 to 1.

    With `epsilon=0` a class absent from both truth and prediction gives NaN (numpy): leave it out and count it.
    """
    return 2 * sums.intersection / (sums.predicted + sums.true + epsilon)


def loss(
    logits: Float[Array, "batch height width 4"],
    label: UInt8[Array, "batch height width"],
    cross_entropy: float = 0.0,
) -> tuple[Float[Array, " batch"], Overlap]:
    """Loss of each slice: 1 - mean over classes of soft Dice, as the seed defines it, plus weighted cross-entropy.

    Args:
        logits: network output before softmax.
        label: classes 0 to 3.
        cross_entropy: weight of the mean over pixels of `-log p(true class)`, in nats.

    Returns:
        The losses, and the soft sums they were made of.
    """
    log_probability = jax.nn.log_softmax(logits.astype(jnp.float32))
    sums = overlap(jnp.exp(log_probability), label)
    losses = 1 - dice(sums).mean(axis=-1)
    if cross_entropy:
        truth = jax.nn.one_hot(label, labels.COUNT, dtype=jnp.float32)
        losses += cross_entropy * -(log_probability * truth).sum(-1).mean((1, 2))
    return losses, sums


def confusion(
    prediction: UInt8[Array, "batch height width"], label: UInt8[Array, "batch height width"]
) -> Int[Array, "batch 4 4"]:
    """Pixels of each slice by true class (row) and predicted class (column), int32."""
    pair = (label.astype(jnp.int32) * labels.COUNT + prediction).reshape(len(label), -1)
    kinds = jnp.arange(labels.COUNT**2)
    counts = (pair[:, None, :] == kinds[:, None]).sum(-1, dtype=jnp.int32)
    return counts.reshape(-1, labels.COUNT, labels.COUNT)


def hard_overlap(table: Any) -> Overlap:
    """Hard sums `(..., 4)` from confusion matrices `(..., 4, 4)`, of any group of slices added up before."""
    return Overlap(table.diagonal(axis1=-2, axis2=-1), table.sum(-2), table.sum(-1))
