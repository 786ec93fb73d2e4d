"""Scores from one table: a 4x4 confusion matrix and the soft sums of each slice. Pure numpy.

Definitions. **Soft, per slice** (the seed's): `2 I / (P + T + 1e-6)` of each slice from probabilities, mean over
slices; a class absent from a slice's truth counts as 0 there, and such slices are counted. **Hard, pooled**: argmax,
`2 I / (P + T)` from counts added over the whole split. **Hard, per subject**: the same from counts added over each
person's slices, then mean, standard deviation and minimum over persons; a class absent from both truth and prediction
of a person is left out, and such persons are counted.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from oasis_jax import bootstrap, dice, groups, labels, surface
from oasis_jax.surface import SurfaceTable


class SliceTable(NamedTuple):
    """One row a slice, in the order of the split."""

    loss: np.ndarray
    """float32 `(N,)`."""
    confusion: np.ndarray
    """int64 `(N, 4, 4)`, pixels by true class (row) and predicted class (column)."""
    soft: dice.Overlap
    """Soft sums, each float32 `(N, 4)`."""


def summarise(table: SliceTable, subjects: Sequence[str], surfaces: SurfaceTable | None = None) -> dict[str, Any]:
    """All scores of a split as plain JSON values.

    Args:
        table: the slices.
        subjects: the person of each slice.
        surfaces: their surfaces in 2D; None where the spacing of the pixels is unknown.
    """
    present = table.soft.true > 0
    soft = dice.dice(table.soft)
    total = table.confusion.sum(0)
    names, counts = groups.sums(table.confusion, subjects)
    by_subject = _with_foreground(hard_dice(counts))
    spread = bootstrap.interval(lambda sums: _with_foreground(hard_dice(sums)), counts)
    with np.errstate(all="ignore"):
        return {
            "slices": len(subjects),
            "subjects": len(names),
            "loss": float(table.loss.mean(dtype=np.float64)),
            "soft_dice_per_slice": _by_class(_with_foreground(soft.mean(0, dtype=np.float64))),
            "slices_without_class": _counts((~present).sum(0)),
            "hard_dice_pooled": _by_class(_with_foreground(hard_dice(total))),
            "hard_dice_pooled_interval": None
            if spread is None
            else {"low": _by_class(spread.low), "high": _by_class(spread.high)},
            "jaccard_pooled": _by_class(_with_foreground(jaccard(total))),
            "precision_pooled": _by_class(_with_foreground(precision(total))),
            "recall_pooled": _by_class(_with_foreground(recall(total))),
            "surfaces": None if surfaces is None else _surfaces(surfaces),
            "hard_dice_per_subject": {
                "mean": _by_class(_over(np.mean, by_subject)),
                "standard_deviation": _by_class(_over(_deviation, by_subject)),
                "worst": _by_class(_over(np.min, by_subject)),
                "subjects_left_out": _counts(np.isnan(by_subject[:, : labels.COUNT]).sum(0)),
                "each": {name: _by_class(row) for name, row in zip(names, by_subject, strict=True)},
            },
        }


def _surfaces(table: SurfaceTable) -> dict[str, Any]:
    """Scores of the contours of CSF, gray and white matter, slice by slice in 2D."""

    def named(values: np.ndarray) -> dict[str, Any]:
        return {
            labels.NAMES[k]: None if np.isnan(x) else x.item() for k, x in zip(labels.FOREGROUND, values, strict=True)
        }

    distance = groups.average(table.hausdorff)
    return {
        "tolerance_mm": surface.TOLERANCE,
        "surface_dice_pooled": named(surface.surface_dice(table.near.sum(0), table.size.sum(0))),
        "hausdorff95_mm_per_slice": named(distance.mean),
        "slices_without_class": named(distance.undefined),
        "slices_infinite": named(distance.infinite),
    }


def headline(table: SliceTable) -> dict[str, Any]:
    """What a validation reports: mean loss, and soft and hard pooled Dice of each class as lists of 4.

    A class absent from truth and prediction has a hard Dice of None.
    """
    return {
        "loss": float(table.loss.mean(dtype=np.float64)),
        "soft_dice": dice.dice(table.soft).mean(0, dtype=np.float64).tolist(),
        "hard_dice": [None if np.isnan(x) else float(x) for x in hard_dice(table.confusion.sum(0))],
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


def slice_ranking(table: SliceTable) -> np.ndarray:
    """Foreground mean of each slice's hard Dice over the classes it has, `(N,)`; NaN for an empty slice."""
    scores = hard_dice(table.confusion)[:, labels.FOREGROUND]
    counted = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        return np.where(counted, scores, 0).sum(1) / counted.sum(1)


def _over(statistic: Any, scores: np.ndarray) -> np.ndarray:
    """A statistic of each column without its NaNs; NaN for a column that has nothing else."""
    columns = [column[~np.isnan(column)] for column in scores.T]
    return np.array([statistic(column) if column.size else np.nan for column in columns])


def _deviation(values: np.ndarray) -> float:
    """Sample standard deviation; NaN below two values."""
    return float(np.std(values, ddof=1)) if values.size > 1 else float("nan")


def _with_foreground(values: np.ndarray) -> np.ndarray:
    """`(..., 4)` by class to `(..., 5)`: the mean over the foreground classes behind them."""
    return np.concatenate([values, values[..., list(labels.FOREGROUND)].mean(-1, keepdims=True)], axis=-1)


def _by_class(values: np.ndarray) -> dict[str, float | None]:
    """Values by class name and for the foreground mean; None where undefined."""
    names = [*labels.NAMES, "foreground mean"]
    return {name: None if np.isnan(x) else float(x) for name, x in zip(names, values, strict=True)}


def _counts(values: np.ndarray) -> dict[str, int]:
    return {name: int(x) for name, x in zip(labels.NAMES, values, strict=True)}
