"""Overlap scores, soft and hard, from one table of sums.

Dice of a class is `2 I / (P + T)`: I its intersection, P the predicted and T the true amount (Dice 1945). Soft sums
weigh pixels by probability, hard sums count them. A `confusion` counts pixels by true class (row) and predicted class
(column), of a slice or of any group of slices added up.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num, UInt8

from oasis_jax import classes

EPSILON = 1e-6
"""Added to the denominator of the soft Dice, as the seed does."""


class Overlap(NamedTuple):
    """Sums for each slice (or group of slices) and class, each of shape `(..., 4)`."""

    intersection: Any
    predicted: Any
    true: Any


def overlap(probability: Float[Array, "batch height width 4"], label: UInt8[Array, "batch height width"]) -> Overlap:
    """Soft sums of each slice and class, float32 `(batch, 4)`."""
    truth = jax.nn.one_hot(label, classes.COUNT, dtype=probability.dtype)
    pixels = (1, 2)
    return Overlap((probability * truth).sum(pixels), probability.sum(pixels), truth.sum(pixels))


def dice(sums: Overlap, epsilon: float = EPSILON) -> Any:
    """`2 I / (P + T + epsilon)` element by element, range 0 to 1.

    With `epsilon=0` a class absent from both truth and prediction gives NaN (numpy): leave it out and count it.
    """
    return 2 * sums.intersection / (sums.predicted + sums.true + epsilon)


def confusion(
    prediction: UInt8[Array, "batch height width"], label: UInt8[Array, "batch height width"]
) -> Int[Array, "batch 4 4"]:
    """Pixels of each slice by true class (row) and predicted class (column), int32."""
    pair = (label.astype(jnp.int32) * classes.COUNT + prediction).reshape(len(label), -1)
    kinds = jnp.arange(classes.COUNT**2)
    counts = (pair[:, None, :] == kinds[:, None]).sum(-1, dtype=jnp.int32)
    return counts.reshape(-1, classes.COUNT, classes.COUNT)


def hard_overlap(table: Any) -> Overlap:
    """Hard sums `(..., 4)` from confusion matrices `(..., 4, 4)`, of any group of slices added up before."""
    return Overlap(table.diagonal(axis1=-2, axis2=-1), table.sum(-2), table.sum(-1))


def hard_dice(confusion: Num[np.ndarray, "*groups 4 4"]) -> Float[np.ndarray, "*groups 4"]:
    """`2 I / (P + T)` of each class; NaN where P + T is 0."""
    with np.errstate(invalid="ignore"):
        return dice(hard_overlap(confusion), epsilon=0.0)


def jaccard(confusion: Num[np.ndarray, "*groups 4 4"]) -> Float[np.ndarray, "*groups 4"]:
    """`I / (P + T - I)` of each class (Jaccard 1912).

    NaN where P + T is 0, as for the hard Dice: a class that neither has cannot be got right or wrong.
    """
    sums = hard_overlap(confusion)
    with np.errstate(invalid="ignore"):
        return sums.intersection / (sums.predicted + sums.true - sums.intersection)


def precision(confusion: Num[np.ndarray, "*groups 4 4"]) -> Float[np.ndarray, "*groups 4"]:
    """`I / P` of each class: the share of the predicted class that is right.

    NaN where P is 0: nothing was predicted that could be right or wrong. A class missed altogether has no precision
    then, and a recall and a Dice of 0.
    """
    sums = hard_overlap(confusion)
    with np.errstate(invalid="ignore"):
        return sums.intersection / sums.predicted


def recall(confusion: Num[np.ndarray, "*groups 4 4"]) -> Float[np.ndarray, "*groups 4"]:
    """`I / T` of each class: the share of the true class that was found.

    NaN where T is 0: there was nothing to find. A class predicted where there is none has no recall then, and a
    precision and a Dice of 0.
    """
    sums = hard_overlap(confusion)
    with np.errstate(invalid="ignore"):
        return sums.intersection / sums.true


OVERLAP = {"hard_dice": hard_dice, "jaccard": jaccard, "precision": precision, "recall": recall}
"""The overlap scores by name: each from counts by true class (row) and predicted class (column)."""
