"""Sums over groups of slices, and the one way an undefined score is left out and counted.

A subject is scored from the summed counts of its slices, never from the mean of their scores. A score that is undefined
(NaN) has no value to average. Counting it as 0 would punish a right answer, counting it as 1 would reward an empty one;
so it is left out, and a mean stands beside the number left out. An infinite distance is no number to average either,
but it is a failure: it has a count of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64, Num, Shaped


class Average(NamedTuple):
    """The mean of each column, and what it does not hold."""

    mean: Float64[np.ndarray, "..."]
    """Over the finite scores; NaN where there is none."""
    undefined: Int64[np.ndarray, "..."]
    """Scores left out because they are NaN, as of a class absent from truth and prediction."""
    infinite: Int64[np.ndarray, "..."]
    """Scores left out because they are infinite, as the distance to a class that one side lacks."""


def sums(
    values: Shaped[np.ndarray, " rows *counts"], groups: Sequence[str]
) -> tuple[list[str], Num[np.ndarray, " groups *counts"]]:
    """Add the rows of each group.

    Args:
        values: counts or lengths of each slice.
        groups: the group of each row: its subject, say.

    Returns:
        The names, sorted, and their sums: int64 of integers, float64 of floats.
    """
    names, member = np.unique(np.array(groups), return_inverse=True)
    kind = np.float64 if np.issubdtype(values.dtype, np.floating) else np.int64
    total = np.zeros((len(names), *values.shape[1:]), kind)
    np.add.at(total, member, values)
    return names.tolist(), total


def average(scores: Float[np.ndarray, "groups ..."]) -> Average:
    """Mean over the rows; what is not finite is left out and counted."""
    finite = np.isfinite(scores)
    with np.errstate(invalid="ignore"):
        mean = np.where(finite, scores, 0).sum(0, dtype=np.float64) / finite.sum(0)
    return Average(mean, np.isnan(scores).sum(0), np.isinf(scores).sum(0))
