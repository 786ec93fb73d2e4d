"""Uncertainty over subjects: bootstrap intervals.

Each resample draws whole subjects, because subjects are independent and slices of one head are not. With few subjects
a bootstrap interval is too narrow, so there is none below 8 subjects.
"""

import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float64, Num

FEWEST_SUBJECTS = 8
RESAMPLES = 10_000

Score = Callable[[Num[np.ndarray, "..."]], Float[np.ndarray, "..."]]
"""From pooled counts `(..., *counts)` to scores `(..., *scores)`; NaN where undefined. Example: `overlap.hard_dice`."""


def interval(score: Score, counts: Num[np.ndarray, "subjects ..."]) -> Float64[np.ndarray, "2 ..."] | None:
    """95 % percentile bootstrap interval of a pooled score (Efron & Tibshirani 1993, chapter 13).

    Each resample draws S of the S subjects with replacement, adds their counts, which are sums over the slices of a
    subject, and scores the sum; integers are exact below 2**53. The ends are the 2.5th and 97.5th percentiles. For a
    mean over subjects, give counts `(S, 2, classes)`: the score of each subject (0 if undefined), and whether it is
    defined; let `score` divide the two sums.

    Returns:
        The low and the high end of each score, without resamples in which it is undefined; NaN if it is in all. None
        below 8 subjects.
    """
    subjects = len(counts)
    if subjects < FEWEST_SUBJECTS:
        return None
    draws = np.random.default_rng(0).multinomial(subjects, np.full(subjects, 1 / subjects), RESAMPLES)
    pooled = draws.astype(np.float64) @ counts.reshape(subjects, -1).astype(np.float64)
    scores = score(pooled.reshape(RESAMPLES, *counts.shape[1:]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN is meant: no resample has a class
        return np.nanpercentile(scores, (2.5, 97.5), axis=0)


def paired_interval(
    score: Score, ours: Num[np.ndarray, " subjects *counts"], theirs: Num[np.ndarray, " subjects *counts"]
) -> Float64[np.ndarray, "2 ..."] | None:
    """`interval` of the difference `score(ours) - score(theirs)`, from counts of the same subjects in the same order.

    Each resample draws the same subjects for both runs.
    """
    return interval(lambda both: score(both[:, 0]) - score(both[:, 1]), np.stack([ours, theirs], axis=1))
