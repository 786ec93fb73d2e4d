"""Sums over groups of slices, and the mean of a score over the foreground classes.

The score of a subject comes from the summed counts of its slices, never from the mean of their scores.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Num, Shaped

from oasis_jax import classes
from oasis_jax.metrics.bootstrap import Score


def sums(
    values: Shaped[np.ndarray, " rows *counts"], groups: Sequence[str]
) -> tuple[list[str], Num[np.ndarray, " groups *counts"]]:
    """Add the counts or lengths of the slices of each group, for example of each subject.

    Returns:
        The names of the groups, sorted, and their sums: float64 if `values` are floats, otherwise int64.
    """
    names, group_of_row = np.unique(np.array(groups), return_inverse=True)
    dtype = np.float64 if np.issubdtype(values.dtype, np.floating) else np.int64
    total = np.zeros((len(names), *values.shape[1:]), dtype)
    np.add.at(total, group_of_row, values)
    return names.tolist(), total


def add_foreground(values: Float[np.ndarray, "*groups 4"]) -> Float[np.ndarray, "*groups 5"]:
    """Append the mean over the foreground classes."""
    return np.concatenate([values, values[..., list(classes.FOREGROUND)].mean(-1, keepdims=True)], axis=-1)


def with_foreground(score: Score) -> Score:
    """Extend a score of the four classes by the mean over the foreground classes: `(..., 5)`."""
    return lambda counts: add_foreground(score(counts))
