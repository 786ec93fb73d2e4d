"""The tables of an evaluation as CSV files."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from oasis_jax.classes import COUNT, FOREGROUND, NAMES
from oasis_jax.evaluation.result import Result, surface_score
from oasis_jax.evaluation.scores import TissueScores
from oasis_jax.metrics.overlap import OVERLAP, dice
from oasis_jax.metrics.surface import surface_dice
from oasis_jax.system.files import csv_text


def per_slice_csv(result: Result) -> str:
    """The scores of each slice and class, one a line; undefined scores are empty, as are surfaces of volumes."""
    evaluated, table = result.evaluated, result.evaluated.table
    surface, distance = np.full((2, len(evaluated.pairs), COUNT), np.nan)
    if (surfaces := evaluated.surfaces) is not None and not evaluated.whole:
        surface[:, FOREGROUND] = surface_dice(surfaces.near, surfaces.size)
        distance[:, FOREGROUND] = surfaces.hausdorff
    columns = {name: score(table.confusion) for name, score in OVERLAP.items()}
    columns |= {"soft_dice": dice(table.soft), "surface_dice": surface, "hd95_mm": distance}
    columns |= {"slice_foreground_dice": result.ranking[:, None], "slice_loss": table.loss[:, None]}
    numbered = enumerate(zip(evaluated.pairs, evaluated.slice_subjects, strict=True))
    places = [[i, pair.case, subject, pair.number] for i, (pair, subject) in numbered]
    return _by_class(["index", "case", "subject", "slice"], places, columns)


def per_subject_csv(result: Result) -> str:
    """The scores of each subject and class, one a line; undefined scores are empty."""
    counts, slices = result.counts, Counter(result.evaluated.slice_subjects)
    surface = distance = np.full((len(counts.subjects), COUNT), np.nan)
    if (sums := counts.surfaces) is not None:
        surface, distance = surface_score(sums.surface_dice_pooled), surface_score(sums.hausdorff95_mm)
    columns = {name: score(counts.confusion) for name, score in OVERLAP.items()}
    columns |= {"surface_dice": surface, "hd95_mm": distance}
    return _by_class(["subject", "slices"], [[name, slices[name]] for name in counts.subjects], columns)


def tissue_csv(tissue: TissueScores) -> str:
    """The true and the predicted amount of each tissue in each scan, one a line."""
    lines = [
        [case, scan.subject, name, tissue.unit, *map(_text, (true, scan.predicted[name]))]
        for case, scan in tissue.each.items()
        for name, true in scan.true.items()
    ]
    return csv_text(["case", "subject", "class", "unit", "true", "predicted"], lines)


def _by_class(places: list[str], rows: Sequence[list[Any]], columns: dict[str, Float[np.ndarray, "rows _"]]) -> str:
    """A line for each row and class: the places of the row, then each column, by class or one value for all."""
    tables = [np.broadcast_to(column[:, :COUNT], (len(rows), COUNT)) for column in columns.values()]
    lines = [
        [*row, name, *(_text(table[i, k]) for table in tables)]
        for i, row in enumerate(rows)
        for k, name in enumerate(NAMES)
    ]
    return csv_text([*places, "class", *columns], lines)


def _text(value: Any) -> str:
    return "" if np.isnan(value) else f"{value:.6f}"
