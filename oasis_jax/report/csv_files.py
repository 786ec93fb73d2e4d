"""The tables of an evaluation as CSV files."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from oasis_jax import classes
from oasis_jax.data.slices import Slice
from oasis_jax.evaluation import summary
from oasis_jax.evaluation.record import SubjectCounts
from oasis_jax.evaluation.scores import TissueScores
from oasis_jax.inference.score import SliceTable, slice_ranking
from oasis_jax.metrics.overlap import OVERLAP, dice
from oasis_jax.metrics.surface import SurfaceTable, surface_dice
from oasis_jax.system.files import csv_text

_COLUMNS = (*OVERLAP, "surface_dice", "hd95_mm")


def per_slice_csv(
    pairs: Sequence[Slice], subjects: dict[str, str], table: SliceTable, surfaces: SurfaceTable | None
) -> str:
    """The scores of each slice and class, one a line; undefined scores are empty.

    Args:
        pairs: the slices.
        subjects: the subject of each case.
        table: losses and counts of each slice.
        surfaces: surfaces of each slice in 2D; None if they were not compared.
    """
    overlap = [score(table.confusion) for score in OVERLAP.values()]
    surface, distance = _surface_columns(len(pairs), surfaces)
    foreground, soft = slice_ranking(table), dice(table.soft)
    lines = [
        [
            *(i, pair.case, subjects[pair.case], pair.number, classes.NAMES[k]),
            *_numbers([column[i, k] for column in (*overlap, soft, surface, distance)]),
            *_numbers([foreground[i], table.loss[i]]),
        ]
        for i, pair in enumerate(pairs)
        for k in range(classes.COUNT)
    ]
    place = ["index", "case", "subject", "slice", "class"]
    return csv_text([*place, *_COLUMNS[:4], "soft_dice", *_COLUMNS[4:], "slice_foreground_dice", "slice_loss"], lines)


def per_subject_csv(counts: SubjectCounts, slice_subjects: Sequence[str]) -> str:
    """The scores of each subject and class, one a line; undefined scores are empty.

    Args:
        counts: counts of each subject.
        slice_subjects: the subject of each slice.
    """
    overlap = [score(counts.confusion) for score in OVERLAP.values()]
    surfaces = [np.full((len(counts.subjects), len(classes.CLASSES)), np.nan)] * 2
    if (sums := counts.surfaces) is not None:
        surfaces = [summary.surface_score(part) for part in (sums.surface_dice_pooled, sums.hausdorff95_mm)]
    slices = Counter(slice_subjects)
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


def _surface_columns(
    count: int, surfaces: SurfaceTable | None
) -> tuple[Float[np.ndarray, "slices 4"], Float[np.ndarray, "slices 4"]]:
    """Surface Dice and HD95 (mm) by slice and class; NaN where undefined."""
    surface, distance = np.full((2, count, classes.COUNT), np.nan)
    if surfaces is not None:
        surface[:, classes.FOREGROUND] = surface_dice(surfaces.near, surfaces.size)
        distance[:, classes.FOREGROUND] = surfaces.hausdorff
    return surface, distance


def _numbers(values: Sequence[Any]) -> list[str]:
    return ["" if np.isnan(x) else f"{x:.6f}" for x in values]
