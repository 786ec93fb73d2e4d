"""All scores of a split as plain JSON values: pooled over it, by subject, and with intervals. Pure numpy.

Definitions. **Soft, per slice** (the seed's): `2 I / (P + T + 1e-6)` of each slice from probabilities, mean over
slices; a class absent from a slice's truth counts as 0 there, and such slices are counted. **Pooled**: argmax, from
counts added over the whole split. **Per subject**: the same from counts added over each person's slices, then mean,
standard deviation and minimum over persons; a class absent from both truth and prediction of a person is left out, and
such persons are counted. **Interval**: 95 %, from whole subjects drawn again; only from 8 subjects on.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from oasis_jax import classes
from oasis_jax.classes import by_class
from oasis_jax.evaluation import tissue
from oasis_jax.evaluation.result import Evaluated
from oasis_jax.inference.score import SliceTable
from oasis_jax.metrics import aggregate, baselines, bootstrap, calibration, surface
from oasis_jax.metrics.bootstrap import Interval, Score
from oasis_jax.metrics.calibration import BinCounts
from oasis_jax.metrics.overlap import OVERLAP, dice, hard_dice
from oasis_jax.metrics.surface import SurfaceTable

CAUTIONS = {
    "train": ["The network was trained on these slices: expect worse of other people."],
    "validate": ["The checkpoint was chosen by these slices: expect a little worse of other people."],
}
"""What the scores of a split flatter, a sentence each."""


def summarise(table: SliceTable, subjects: Sequence[str]) -> dict[str, Any]:
    """Overlap and reliability of a split.

    Args:
        table: the slices.
        subjects: the person of each slice.
    """
    names, counts = aggregate.sums(table.confusion, subjects)
    soft = dice(table.soft)
    overlap = {f"{name}_pooled": (with_foreground(score), counts) for name, score in OVERLAP.items()}
    with np.errstate(all="ignore"):
        return {
            "slices": len(subjects),
            "subjects": len(names),
            "loss": float(table.loss.mean(dtype=np.float64)),
            "soft_dice_per_slice": by_class(_add_foreground(soft.mean(0, dtype=np.float64))),
            "slices_without_class": _counts((table.soft.true <= 0).sum(0)),
            **_pooled(overlap),
            "hard_dice_per_subject": _per_subject(names, with_foreground(hard_dice)(counts)),
            "calibration": _calibration(table.bins, subjects),
        }


def of_surfaces(table: SurfaceTable, subjects: Sequence[str], each: Literal["slice", "volume"]) -> dict[str, Any]:
    """Distances between surfaces.

    Args:
        table: a row for each slice (in 2D) or volume (in 3D).
        subjects: the person of each row.
        each: what a row is.
    """
    distance = aggregate.average(table.hausdorff)
    return {
        "each": each,
        "tolerance_mm": surface.TOLERANCE,
        **_pooled({name: (surface_score, sums) for name, sums in surface_sums(table, subjects).items()}),
        "without_class": _foreground_counts(distance.undefined),
        "infinite": _foreground_counts(distance.infinite),
    }


def surface_sums(table: SurfaceTable, subjects: Sequence[str]) -> dict[str, np.ndarray]:
    """What `surface_score` divides, for each person, sorted: `(S, 2, 3)` by the name of the score.

    Of the surface Dice, the size of both surfaces that is near and their whole size; of the Hausdorff distance, the
    finite distances added up and how many they are, so that its score is their mean.
    """
    finite = np.isfinite(table.hausdorff)
    parts = {
        "surface_dice_pooled": (table.near, table.size),
        "hausdorff95_mm": (np.where(finite, table.hausdorff, 0), finite),
    }
    return {name: aggregate.sums(np.stack(pair, axis=1), subjects)[1] for name, pair in parts.items()}


def surface_score(sums: np.ndarray) -> np.ndarray:
    """A score of surfaces `(..., 5)` by class from any group of `surface_sums` added up, `(..., 2, 3)`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = sums[..., 0, :] / sums[..., 1, :]
    return _add_foreground(np.concatenate([np.full((*values.shape[:-1], 1), np.nan), values], axis=-1))


def of_baseline(confusion: np.ndarray, subjects: Sequence[str]) -> dict[str, Any]:
    """Hard Dice of a baseline, pooled, from the counts of each slice `(N, 4, 4)`."""
    return _pooled({"hard_dice_pooled": (with_foreground(hard_dice), aggregate.sums(confusion, subjects)[1])})


def with_foreground(score: Score) -> Score:
    """A score of the four classes, with the mean over the foreground classes behind them: `(..., 5)`."""
    return lambda counts: _add_foreground(score(counts))


def interval_by_class(spread: Interval | None) -> dict[str, Any] | None:
    """An interval's two ends by class; None without one."""
    return None if spread is None else {"low": by_class(spread.low), "high": by_class(spread.high)}


def _pooled(parts: dict[str, tuple[Score, np.ndarray]]) -> dict[str, Any]:
    """Scores by name, each of all its subjects' counts added up, and under `intervals` how far they may be off."""
    intervals = {name: interval_by_class(bootstrap.interval(*part)) for name, part in parts.items()}
    return {name: by_class(score(counts.sum(0))) for name, (score, counts) in parts.items()} | {"intervals": intervals}


def _per_subject(names: Sequence[str], values: np.ndarray) -> dict[str, Any]:
    """Hard Dice `(S, 5)` of each person."""
    return {
        "mean": by_class(_over(np.mean, values)),
        "standard_deviation": by_class(_over(_deviation, values)),
        "worst": by_class(_over(np.min, values)),
        "subjects_left_out": _counts(np.isnan(values[:, : classes.COUNT]).sum(0)),
        "each": {name: by_class(row) for name, row in zip(names, values, strict=True)},
    }


def _calibration(bins: BinCounts, subjects: Sequence[str]) -> dict[str, Any]:
    """Expected calibration error inside the union of the brains, and the curve."""
    _, counts = aggregate.sums(np.stack([np.asarray(part, np.float64) for part in bins], axis=1), subjects)

    def error(sums: np.ndarray) -> np.ndarray:
        return calibration.expected_calibration_error(BinCounts(*np.moveaxis(sums, -2, 0)))

    spread, total = bootstrap.interval(error, counts), BinCounts(*counts.sum(0))
    curve = calibration.curve(total)
    return {
        "expected_error": _plain(error(counts.sum(0))),
        "interval": None if spread is None else {"low": _plain(spread.low), "high": _plain(spread.high)},
        "pixels": [int(x) for x in total.pixels],
        "confidence": [_plain(x) for x in curve.confidence],
        "accuracy": [_plain(x) for x in curve.accuracy],
    }


def _over(statistic: Any, values: np.ndarray) -> np.ndarray:
    """A statistic of each column without its NaNs; NaN for a column that has nothing else."""
    columns = [column[~np.isnan(column)] for column in values.T]
    return np.array([statistic(column) if column.size else np.nan for column in columns])


def _deviation(values: np.ndarray) -> float:
    """Sample standard deviation; NaN below two values."""
    return float(np.std(values, ddof=1)) if values.size > 1 else float("nan")


def _add_foreground(values: np.ndarray) -> np.ndarray:
    """`(..., 4)` by class to `(..., 5)`: the mean over the foreground classes behind them."""
    return np.concatenate([values, values[..., list(classes.FOREGROUND)].mean(-1, keepdims=True)], axis=-1)


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _counts(values: np.ndarray) -> dict[str, int]:
    return {name: int(x) for name, x in zip(classes.NAMES, values, strict=True)}


def _foreground_counts(values: np.ndarray) -> dict[str, int]:
    return {classes.NAMES[k]: int(x) for k, x in zip(classes.FOREGROUND, values, strict=True)}


def measure(found: Evaluated) -> tuple[dict[str, Any], dict[str, Any]]:
    """All scores of an evaluation.

    Returns:
        What `metrics.json` holds as `scores`, and the content of `subjects.json`: the counts of each person, from which
        any pooled score can be had and two evaluations compared.
    """
    people = found.people
    histograms = np.stack([baselines.histogram(*found.slices[i]) for i in range(len(found.pairs))])
    confusions = {name: baselines.confusion(histograms, method) for name, (_, method) in baselines.METHODS.items()}
    units = {case: tissue.unit(spacing) for case, spacing in found.spacing.items()}
    if len({unit.name for unit in units.values()}) > 1:
        units = dict.fromkeys(units, tissue.unit(None))
    scans = tissue.measure(
        found.table.confusion,
        [pair.case for pair in found.pairs],
        found.subjects,
        {case: unit.amount for case, unit in units.items()},
    )
    surfaces, distances = None, {}
    if found.surfaces is not None:
        rows = [found.subjects[case] for case in found.cases] if found.whole else people
        surfaces = of_surfaces(found.surfaces, rows, "volume" if found.whole else "slice")
        distances = surface_sums(found.surfaces, rows)
    names, counts = aggregate.sums(found.table.confusion, people)
    return (
        {
            **summarise(found.table, people),
            "surfaces": surfaces,
            "tissue": tissue.summarise(scans, next(iter(units.values())).name, found.whole),
            "baselines": {name: of_baseline(table, people) for name, table in confusions.items()},
        },
        {
            "subjects": names,
            "spacing": {case: found.spacing[case] for case in found.cases},
            "confusion": counts.tolist(),
            "surfaces": {name: sums.tolist() for name, sums in distances.items()},
            "baselines": {name: aggregate.sums(table, people)[1].tolist() for name, table in confusions.items()},
        },
    )
