"""Uncertainty over subjects: bootstrap intervals.

Each resample draws whole subjects, because subjects are independent and slices of one head are not. With few subjects
a bootstrap interval is too narrow, so there is none below 8 subjects.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Num

FEWEST_SUBJECTS = 8
RESAMPLES = 10_000

Score = Callable[[Num[np.ndarray, "..."]], Float[np.ndarray, "..."]]
"""From pooled counts `(..., *counts)` to scores `(..., *scores)`; NaN where undefined. Example: `overlap.hard_dice`."""


class Interval(NamedTuple):
    """The ends of a 95 % interval of each score, without resamples in which it is undefined; NaN if it is in all."""

    low: Float[np.ndarray, "*scores"]
    high: Float[np.ndarray, "*scores"]


def interval(
    score: Score, counts: Num[np.ndarray, "subjects ..."], seed: int = 0, resamples: int = RESAMPLES
) -> Interval | None:
    """95 % percentile bootstrap interval of a pooled score (Efron & Tibshirani 1993, chapter 13).

    Each resample draws S of the S subjects with replacement, adds their counts and scores the sum. The ends are the
    2.5th and 97.5th percentiles. For a mean over subjects, give counts `(S, 2, classes)`: the score of each subject (0
    if undefined), and whether it is defined; let `score` divide the two sums.

    Args:
        score: the score.
        counts: sums over the slices of each subject.
        seed: random seed of the draws.
        resamples: number of resamples.

    Returns:
        The interval; None below 8 subjects.
    """
    if len(counts) < FEWEST_SUBJECTS:
        return None
    scores = score(_resampled(counts, seed, resamples))
    columns = [column[~np.isnan(column)] for column in scores.reshape(resamples, -1).T]
    ends = [np.percentile(column, (2.5, 97.5)) if column.size else (np.nan, np.nan) for column in columns]
    return Interval(*np.array(ends).T.reshape(2, *scores.shape[1:]))


def paired_interval(
    score: Score,
    ours: Num[np.ndarray, " subjects *counts"],
    theirs: Num[np.ndarray, " subjects *counts"],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """`interval` of the difference `score(ours) - score(theirs)`, from counts of the same subjects in the same order.

    Each resample draws the same subjects for both runs.
    """

    def difference(both: Num[np.ndarray, " resamples 2 *counts"]) -> Float[np.ndarray, " resamples *scores"]:
        return score(both[:, 0]) - score(both[:, 1])

    return interval(difference, np.stack([ours, theirs], axis=1), seed, resamples)


def _resampled(
    counts: Num[np.ndarray, " subjects *counts"], seed: int, resamples: int
) -> Float64[np.ndarray, " resamples *counts"]:
    """Pooled counts of each resample; integers are exact below 2**53."""
    subjects = len(counts)
    draws = np.random.default_rng(seed).multinomial(subjects, np.full(subjects, 1 / subjects), resamples)
    pooled = draws.astype(np.float64) @ counts.reshape(subjects, -1).astype(np.float64)
    return pooled.reshape(resamples, *counts.shape[1:])
