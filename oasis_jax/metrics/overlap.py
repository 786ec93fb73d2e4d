"""Overlap scores, soft and hard, from the same sums.

The Dice score of a class is `2 I / (P + T)`, with the intersection I, the predicted amount P and the true amount T
(Dice 1945). Soft sums weight pixels by probability; hard sums count pixels. A `confusion` counts pixels by true class
(row) and predicted class (column), for one slice or summed over any group of slices.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num, UInt8

from oasis_jax import classes

EPSILON = 1e-6
"""Added to the denominator of the soft Dice, as in the original."""


class Overlap(NamedTuple):
    """Sums for each slice (or group of slices) and class, each of shape `(..., 4)`, on the host or on devices."""

    intersection: Any
    predicted: Any
    true: Any


def overlap(probability: Float[Array, "batch height width 4"], label: UInt8[Array, "batch height width"]) -> Overlap:
    """Soft sums of each slice and class, float32 `(batch, 4)`."""
    truth = jax.nn.one_hot(label, classes.COUNT, dtype=probability.dtype)
    pixels = (1, 2)
    return Overlap((probability * truth).sum(pixels), probability.sum(pixels), truth.sum(pixels))


def dice(sums: Overlap, epsilon: float = EPSILON) -> Any:
    """`2 I / (P + T + epsilon)` of each class, range 0 to 1: `(..., 4)`, of numpy or JAX as the sums.

    Take 0 as epsilon for hard sums: a class that is absent from truth and prediction then gives NaN. Leave such scores
    out of means and count them.
    """
    return 2 * sums.intersection / (sums.predicted + sums.true + epsilon)


def confusion(
    prediction: UInt8[Array, "batch height width"], label: UInt8[Array, "batch height width"]
) -> Int[Array, "batch 4 4"]:
    """Pixels of each slice by true class (row) and predicted class (column), int32."""
    codes = (label.astype(jnp.int32) * classes.COUNT + prediction).reshape(len(label), -1)
    all_codes = jnp.arange(classes.COUNT**2)
    counts = (codes[:, None, :] == all_codes[:, None]).sum(-1, dtype=jnp.int32)
    return counts.reshape(-1, classes.COUNT, classes.COUNT)


def hard_overlap(confusion: Num[np.ndarray, "*groups 4 4"]) -> Overlap:
    """Hard sums of any groups of slices, numpy arrays `(*groups, 4)`."""
    return Overlap(confusion.diagonal(axis1=-2, axis2=-1), confusion.sum(-2), confusion.sum(-1))


def hard_dice(confusion: Num[np.ndarray, "*groups 4 4"]) -> Float[np.ndarray, "*groups 4"]:
    """`2 I / (P + T)` of each class, range 0 to 1; NaN if P + T is 0."""
    with np.errstate(invalid="ignore"):
        return dice(hard_overlap(confusion), epsilon=0.0)


def jaccard(confusion: Num[np.ndarray, "*groups 4 4"]) -> Float[np.ndarray, "*groups 4"]:
    """`I / (P + T - I)` of each class (Jaccard 1912), range 0 to 1; NaN if P + T is 0."""
    sums = hard_overlap(confusion)
    with np.errstate(invalid="ignore"):
        return sums.intersection / (sums.predicted + sums.true - sums.intersection)


def precision(confusion: Num[np.ndarray, "*groups 4 4"]) -> Float[np.ndarray, "*groups 4"]:
    """`I / P` of each class, range 0 to 1; NaN if P is 0, as of a class that is missed completely."""
    sums = hard_overlap(confusion)
    with np.errstate(invalid="ignore"):
        return sums.intersection / sums.predicted


def recall(confusion: Num[np.ndarray, "*groups 4 4"]) -> Float[np.ndarray, "*groups 4"]:
    """`I / T` of each class, range 0 to 1; NaN if T is 0, as of a class that is predicted but absent from the truth."""
    sums = hard_overlap(confusion)
    with np.errstate(invalid="ignore"):
        return sums.intersection / sums.true


OVERLAP = {"hard_dice": hard_dice, "jaccard": jaccard, "precision": precision, "recall": recall}
"""The overlap scores by name. Each takes pixel counts by true class (row) and predicted class (column)."""
