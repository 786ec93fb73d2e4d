"""Scores of a slice, or of any group of slices added up, from one table of counts. Pure numpy."""

from typing import Any, NamedTuple

import numpy as np

from oasis_jax import calibration, dice, labels
from oasis_jax.calibration import BinCounts


class SliceTable(NamedTuple):
    """One row a slice, in the order of the split."""

    loss: np.ndarray
    """float32 `(N,)`."""
    confusion: np.ndarray
    """int64 `(N, 4, 4)`, pixels by true class (row) and predicted class (column)."""
    soft: dice.Overlap
    """Soft sums, each float32 `(N, 4)`."""
    bins: BinCounts
    """How sure and how right its pixels are, each `(N, 15)`."""


def headline(table: SliceTable) -> dict[str, Any]:
    """What a validation reports: mean loss, expected calibration error, and of each class, as lists of 4, soft Dice and
    the pooled overlap scores.

    An undefined score, as of a class absent from truth and prediction, is None.
    """
    total = table.confusion.sum(0)
    error = calibration.expected_calibration_error(BinCounts(*(part.sum(0, dtype=np.float64) for part in table.bins)))
    return {
        "loss": float(table.loss.mean(dtype=np.float64)),
        "calibration_error": None if np.isnan(error) else float(error),
        "soft_dice": dice.dice(table.soft).mean(0, dtype=np.float64).tolist(),
        **{name: [None if np.isnan(x) else float(x) for x in score(total)] for name, score in OVERLAP.items()},
    }


def hard_dice(confusion: np.ndarray) -> np.ndarray:
    """`2 I / (P + T)` of each class, `(..., 4)` from `(..., 4, 4)` counts; NaN where P + T is 0."""
    with np.errstate(invalid="ignore"):
        return dice.dice(dice.hard_overlap(confusion), epsilon=0.0)


def jaccard(confusion: np.ndarray) -> np.ndarray:
    """`I / (P + T - I)` of each class, `(..., 4)` from `(..., 4, 4)` counts (Jaccard 1912).

    NaN where P + T is 0, as for the hard Dice: a class that neither has cannot be got right or wrong.
    """
    sums = dice.hard_overlap(confusion)
    with np.errstate(invalid="ignore"):
        return sums.intersection / (sums.predicted + sums.true - sums.intersection)


def precision(confusion: np.ndarray) -> np.ndarray:
    """`I / P` of each class, `(..., 4)` from `(..., 4, 4)` counts: the share of the predicted class that is right.

    NaN where P is 0: nothing was predicted that could be right or wrong. A class missed altogether has no precision
    then, and a recall and a Dice of 0.
    """
    sums = dice.hard_overlap(confusion)
    with np.errstate(invalid="ignore"):
        return sums.intersection / sums.predicted


def recall(confusion: np.ndarray) -> np.ndarray:
    """`I / T` of each class, `(..., 4)` from `(..., 4, 4)` counts: the share of the true class that was found.

    NaN where T is 0: there was nothing to find. A class predicted where there is none has no recall then, and a
    precision and a Dice of 0.
    """
    sums = dice.hard_overlap(confusion)
    with np.errstate(invalid="ignore"):
        return sums.intersection / sums.true


OVERLAP = {"hard_dice": hard_dice, "jaccard": jaccard, "precision": precision, "recall": recall}
"""The overlap scores by name: each from counts `(..., 4, 4)` to `(..., 4)`."""


def slice_ranking(table: SliceTable) -> np.ndarray:
    """Foreground mean of each slice's hard Dice over the classes it has, `(N,)`; NaN for an empty slice."""
    scores = hard_dice(table.confusion)[:, labels.FOREGROUND]
    counted = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        return np.where(counted, scores, 0).sum(1) / counted.sum(1)
