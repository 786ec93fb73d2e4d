"""Sums over groups of slices, and the one way an undefined score is left out and counted.

A subject is scored from the summed counts of its slices, never from the mean of their scores. A score that is undefined
(NaN) has no value to average. Counting it as 0 would punish a right answer, counting it as 1 would reward an empty one;
so it is left out, and a mean stands beside the number left out. An infinite distance is no number to average either,
but it is a failure: it has a count of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Average(NamedTuple):
    """The mean of each column, and what it does not hold."""

    mean: np.ndarray
    """float64 `(...)`: over the finite scores; NaN where there is none."""
    undefined: np.ndarray
    """int64 `(...)`: scores left out because they are NaN, as of a class absent from truth and prediction."""
    infinite: np.ndarray
    """int64 `(...)`: scores left out because they are infinite, as the distance to a class that one side lacks."""


def sums(values: np.ndarray, groups: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Add the rows of each group.

    Args:
        values: `(N, ...)`, counts or lengths of each slice.
        groups: the group of each row, N names: its subject, say.

    Returns:
        The names, sorted, and their sums `(G, ...)`: int64 of integers, float64 of floats.
    """
    names, member = np.unique(np.array(groups), return_inverse=True)
    kind = np.float64 if np.issubdtype(values.dtype, np.floating) else np.int64
    total = np.zeros((len(names), *values.shape[1:]), kind)
    np.add.at(total, member, values)
    return names.tolist(), total


def average(scores: np.ndarray) -> Average:
    """Mean over the rows of `(G, ...)` scores; what is not finite is left out and counted."""
    finite = np.isfinite(scores)
    with np.errstate(invalid="ignore"):
        mean = np.where(finite, scores, 0).sum(0, dtype=np.float64) / finite.sum(0)
    return Average(mean, np.isnan(scores).sum(0), np.isinf(scores).sum(0))
