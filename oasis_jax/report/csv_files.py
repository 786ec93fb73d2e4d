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
    """A line for each slice and class: where it is, and its scores; an undefined one is left empty.

    Args:
        pairs: the slices.
        subjects: the person of each case.
        table: their counts.
        surfaces: their surfaces in 2D, where these were compared.
    """
    overlap = [score(table.confusion) for score in OVERLAP.values()]
    near, farthest = _surface_columns(len(pairs), surfaces)
    rank, soft = slice_ranking(table), dice(table.soft)
    lines = [
        [
            *(i, pair.case, subjects[pair.case], pair.number, classes.NAMES[k]),
            *_numbers([column[i, k] for column in (*overlap, soft, near, farthest)]),
            *_numbers([rank[i], table.loss[i]]),
        ]
        for i, pair in enumerate(pairs)
        for k in range(classes.COUNT)
    ]
    where = ["index", "case", "subject", "slice", "class"]
    return csv_text([*where, *_COLUMNS[:4], "soft_dice", *_COLUMNS[4:], "slice_foreground_dice", "slice_loss"], lines)


def per_subject_csv(counts: SubjectCounts, people: Sequence[str]) -> str:
    """A line for each person and class; an undefined score is left empty.

    Args:
        counts: of the subjects.
        people: the person of each slice.
    """
    overlap = [score(counts.confusion) for score in OVERLAP.values()]
    surfaces = [np.full((len(counts.subjects), len(classes.CLASSES)), np.nan)] * 2
    if (sums := counts.surfaces) is not None:
        surfaces = [summary.surface_score(part) for part in (sums.surface_dice_pooled, sums.hausdorff95_mm)]
    slices = Counter(people)
    lines = [
        [name, slices[name], classes.NAMES[k], *_numbers([column[i, k] for column in (*overlap, *surfaces)])]
        for i, name in enumerate(counts.subjects)
        for k in range(classes.COUNT)
    ]
    return csv_text(["subject", "slices", "class", *_COLUMNS], lines)


def tissue_csv(tissue: TissueScores) -> str:
    """A line for each scan and tissue: how much is true and how much predicted."""
    lines = [
        [case, scan.subject, name, tissue.unit, *_numbers([true, scan.predicted.named()[name]])]
        for case, scan in tissue.each.items()
        for name, true in scan.true.named().items()
    ]
    return csv_text(["case", "subject", "class", "unit", "true", "predicted"], lines)


def _surface_columns(
    count: int, surfaces: SurfaceTable | None
) -> tuple[Float[np.ndarray, "slices 4"], Float[np.ndarray, "slices 4"]]:
    """Surface Dice and HD95 (mm) by slice and class; NaN where there is none."""
    near, farthest = np.full((2, count, classes.COUNT), np.nan)
    if surfaces is not None:
        near[:, classes.FOREGROUND] = surface_dice(surfaces.near, surfaces.size)
        farthest[:, classes.FOREGROUND] = surfaces.hausdorff
    return near, farthest


def _numbers(values: Sequence[Any]) -> list[str]:
    return ["" if np.isnan(x) else f"{x:.6f}" for x in values]
