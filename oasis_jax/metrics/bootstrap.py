"""Uncertainty over subjects: bootstrap intervals.

Subjects are independent, slices of one head are not; so whole subjects are drawn. With few subjects a bootstrap
interval is too narrow: below 8 there is none.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64, Num

FEWEST_SUBJECTS = 8
RESAMPLES = 10_000

Score = Callable[[np.ndarray], np.ndarray]
"""From pooled counts `(..., *counts)` to scores `(..., *scores)`; NaN where undefined. `overlap.hard_dice` is one."""


class Interval(NamedTuple):
    """95 % of the resampled scores lie between; each of the score's shape."""

    low: Float[np.ndarray, "*scores"]
    high: Float[np.ndarray, "*scores"]
    undefined: Int64[np.ndarray, "*scores"]
    """Resamples that left the score undefined (its class was in none of their subjects); they are left out."""


def interval(
    score: Score, counts: Num[np.ndarray, "subjects ..."], seed: int = 0, resamples: int = RESAMPLES
) -> Interval | None:
    """95 % percentile bootstrap interval of a pooled score (Efron & Tibshirani 1993, chapter 13).

    Each resample draws as many subjects as there are, with replacement, adds their counts and scores the sum; the ends
    are the 2.5th and 97.5th percentiles. Of a mean over subjects: give `(S, 2, classes)`, each subject's score (0 where
    undefined) and whether it is defined, and let `score` divide the two sums.

    Args:
        score: the score.
        counts: summed over the slices of each subject.
        seed: of the draw.
        resamples: how many.

    Returns:
        The interval; None below 8 subjects.
    """
    if len(counts) < FEWEST_SUBJECTS:
        return None
    return _percentiles(score(_resampled(counts, seed, resamples)))


def paired_interval(
    score: Score,
    ours: Num[np.ndarray, " subjects *counts"],
    theirs: Num[np.ndarray, " subjects *counts"],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """The same of the difference `score(ours) - score(theirs)`: one draw of subjects serves both runs.

    Args:
        score: the score.
        ours: `(S, *counts)` of one run.
        theirs: of the other, the same subjects in the same order.
        seed: of the draw.
        resamples: how many.
    """
    if len(ours) < FEWEST_SUBJECTS:
        return None
    both = _resampled(np.stack([ours, theirs], axis=1), seed, resamples)
    return _percentiles(score(both[:, 0]) - score(both[:, 1]))


def _resampled(
    counts: Num[np.ndarray, " subjects *counts"], seed: int, resamples: int
) -> Float64[np.ndarray, " resamples *counts"]:
    """Pooled counts of each resample; whole numbers are exact below 2**53."""
    subjects = len(counts)
    times = np.random.default_rng(seed).multinomial(subjects, np.full(subjects, 1 / subjects), resamples)
    pooled = times.astype(np.float64) @ counts.reshape(subjects, -1).astype(np.float64)
    return pooled.reshape(resamples, *counts.shape[1:])


def _percentiles(scores: Float[np.ndarray, " resamples *scores"]) -> Interval:
    columns = [column[~np.isnan(column)] for column in scores.reshape(len(scores), -1).T]
    ends = [np.percentile(column, (2.5, 97.5)) if column.size else (np.nan, np.nan) for column in columns]
    low, high = np.array(ends).T.reshape(2, *scores.shape[1:])
    return Interval(low, high, np.isnan(scores).sum(0))
