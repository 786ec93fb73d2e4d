"""The tables of an evaluation as CSV files."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from oasis_jax import classes
from oasis_jax.evaluation import summary
from oasis_jax.evaluation.evaluated import Evaluated
from oasis_jax.evaluation.result import Result
from oasis_jax.evaluation.scores import TissueScores
from oasis_jax.metrics.overlap import OVERLAP, dice
from oasis_jax.metrics.surface import surface_dice
from oasis_jax.system.files import csv_text

_COLUMNS = (*OVERLAP, "surface_dice", "hd95_mm")


def per_slice_csv(result: Result) -> str:
    """The scores of each slice and class, one a line; undefined scores are empty."""
    pairs, table = result.evaluated.pairs, result.evaluated.table
    overlap = [score(table.confusion) for score in OVERLAP.values()]
    surface, distance = _surface_columns(result.evaluated)
    soft = dice(table.soft)
    lines = [
        [
            *(i, pair.case, subject, pair.number, classes.NAMES[k]),
            *_numbers([column[i, k] for column in (*overlap, soft, surface, distance)]),
            *_numbers([result.ranking[i], table.loss[i]]),
        ]
        for i, (pair, subject) in enumerate(zip(pairs, result.evaluated.slice_subjects, strict=True))
        for k in range(classes.COUNT)
    ]
    place = ["index", "case", "subject", "slice", "class"]
    return csv_text([*place, *_COLUMNS[:4], "soft_dice", *_COLUMNS[4:], "slice_foreground_dice", "slice_loss"], lines)


def per_subject_csv(result: Result) -> str:
    """The scores of each subject and class, one a line; undefined scores are empty."""
    counts = result.counts
    overlap = [score(counts.confusion) for score in OVERLAP.values()]
    surfaces = [np.full((len(counts.subjects), len(classes.CLASSES)), np.nan)] * 2
    if (sums := counts.surfaces) is not None:
        surfaces = [summary.surface_score(part) for part in (sums.surface_dice_pooled, sums.hausdorff95_mm)]
    slices = Counter(result.evaluated.slice_subjects)
    lines = [
        [name, slices[name], classes.NAMES[k], *_numbers([column[i, k] for column in (*overlap, *surfaces)])]
        for i, name in enumerate(counts.subjects)
        for k in range(classes.COUNT)
    ]
    return csv_text(["subject", "slices", "class", *_COLUMNS], lines)


def tissue_csv(tissue: TissueScores) -> str:
    """The true and the predicted amount of each tissue in each scan, one a line."""
    lines = [
        [case, scan.subject, name, tissue.unit, *_numbers([true, scan.predicted[name]])]
        for case, scan in tissue.each.items()
        for name, true in scan.true.items()
    ]
    return csv_text(["case", "subject", "class", "unit", "true", "predicted"], lines)


def _surface_columns(evaluated: Evaluated) -> tuple[Float[np.ndarray, "slices 4"], Float[np.ndarray, "slices 4"]]:
    """Surface Dice and HD95 (mm) by slice and class; NaN where undefined, and for volumes, which have theirs in 3D."""
    surface, distance = np.full((2, len(evaluated.pairs), classes.COUNT), np.nan)
    if (surfaces := evaluated.surfaces) is not None and not evaluated.whole:
        surface[:, classes.FOREGROUND] = surface_dice(surfaces.near, surfaces.size)
        distance[:, classes.FOREGROUND] = surfaces.hausdorff
    return surface, distance


def _numbers(values: Sequence[Any]) -> list[str]:
    return ["" if np.isnan(x) else f"{x:.6f}" for x in values]
