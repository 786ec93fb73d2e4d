"""Sums over groups of slices, and means that leave undefined scores out and count them.

The score of a subject comes from the summed counts of its slices, never from the mean of their scores. An undefined
score (NaN) has no value to average. As 0 it would punish a correct answer, and as 1 it would reward an empty one. So
means leave it out and state how many scores they leave out. Means leave out infinite distances too. They are failures,
so they have a count of their own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64, Num, Shaped


class Average(NamedTuple):
    """The mean of each column, and how many scores it leaves out."""

    mean: Float64[np.ndarray, "..."]
    """Over the finite scores; NaN if there are none."""
    undefined: Int64[np.ndarray, "..."]
    """Number of NaN scores left out, for example of a class that is absent from truth and prediction."""
    infinite: Int64[np.ndarray, "..."]
    """Number of infinite scores left out, for example distances to a class that only truth or prediction has."""


def sums(
    values: Shaped[np.ndarray, " rows *counts"], groups: Sequence[str]
) -> tuple[list[str], Num[np.ndarray, " groups *counts"]]:
    """Add the rows of each group.

    Args:
        values: counts or lengths of each slice.
        groups: the group of each row, for example its subject.

    Returns:
        The names of the groups, sorted, and their sums: float64 if `values` are floats, otherwise int64.
    """
    names, group_of_row = np.unique(np.array(groups), return_inverse=True)
    dtype = np.float64 if np.issubdtype(values.dtype, np.floating) else np.int64
    total = np.zeros((len(names), *values.shape[1:]), dtype)
    np.add.at(total, group_of_row, values)
    return names.tolist(), total


def average(scores: Float[np.ndarray, "groups ..."]) -> Average:
    """Mean over the rows. Scores that are not finite are left out and counted."""
    finite = np.isfinite(scores)
    with np.errstate(invalid="ignore"):
        mean = np.where(finite, scores, 0).sum(0, dtype=np.float64) / finite.sum(0)
    return Average(mean, np.isnan(scores).sum(0), np.isinf(scores).sum(0))
