"""All scores of an evaluation, as `metrics/README.md` defines them. Pure numpy."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float64, Int64, Num

from oasis_jax import classes
from oasis_jax.classes import CLASSES, NAMES, TISSUES
from oasis_jax.evaluation import tissue
from oasis_jax.evaluation.by_class import ByClass, Interval, named
from oasis_jax.evaluation.evaluated import Evaluated
from oasis_jax.evaluation.record import Counts, SurfaceSums
from oasis_jax.evaluation.score import SliceTable
from oasis_jax.evaluation.scores import (
    BaselineScores,
    Calibration,
    Scores,
    SubjectDice,
    SurfaceScores,
    TissueScores,
)
from oasis_jax.metrics import aggregate, baselines, bootstrap, calibration, surface
from oasis_jax.metrics.bootstrap import Score
from oasis_jax.metrics.calibration import BinCounts
from oasis_jax.metrics.overlap import OVERLAP, dice, hard_dice
from oasis_jax.metrics.surface import SurfaceTable

CAUTIONS = {
    "train": ["The network was trained on these slices: expect lower scores for other subjects."],
    "validate": ["The checkpoint was chosen by these slices: expect slightly lower scores for other subjects."],
}
"""Sentences about splits whose scores are too good."""


def measure(evaluated: Evaluated, caveats: Sequence[str] = ()) -> tuple[Scores, Counts]:
    """Compute all scores of an evaluation, and the counts of each subject.

    Args:
        evaluated: slices, predictions and their counts.
        caveats: sentences that a reader of the scores must know.
    """
    subjects = evaluated.slice_subjects
    histograms = np.stack([baselines.histogram(*evaluated.slices[i]) for i in range(len(evaluated.pairs))])
    tables: dict[baselines.Baseline, np.ndarray] = {
        name: baselines.confusion(histograms, method) for name, (_, method) in baselines.METHODS.items()
    }
    names, confusion = aggregate.sums(evaluated.table.confusion, subjects)
    counts = Counts(
        subjects=tuple(names),
        spacing={case: evaluated.spacing[case] for case in evaluated.cases},
        confusion=confusion,
        surfaces=None if evaluated.surfaces is None else surface_sums(evaluated.surfaces, _surface_subjects(evaluated)),
        baselines={name: aggregate.sums(table, subjects)[1] for name, table in tables.items()},
    )
    surfaces, tissues = of_surfaces(evaluated, counts), of_tissue(evaluated)
    return score(evaluated.table, subjects, counts, surfaces, tissues, caveats), counts


def score(
    table: SliceTable,
    subjects: Sequence[str],
    counts: Counts,
    surfaces: SurfaceScores | None,
    tissues: TissueScores,
    caveats: Sequence[str] = (),
) -> Scores:
    """Compute the overlap scores of a split, and put all its scores together.

    Args:
        table: losses and counts of each slice.
        subjects: the subject of each slice.
        counts: counts of each subject, from the same slices.
        surfaces: surface scores.
        tissues: amounts of tissue.
        caveats: sentences that a reader of the scores must know.
    """
    values, intervals = {}, {}
    for name, overlap in OVERLAP.items():
        values[f"{name}_pooled"], intervals[f"{name}_pooled"] = _pooled(with_foreground(overlap), counts.confusion)
    with np.errstate(all="ignore"):
        return Scores(
            slices=len(subjects),
            subjects=len(counts.subjects),
            loss=float(table.loss.mean(dtype=np.float64)),
            soft_dice_per_slice=named(CLASSES, _add_foreground(dice(table.soft).mean(0, dtype=np.float64))),
            slices_without_class=named(NAMES, (table.soft.true <= 0).sum(0)),
            **values,
            intervals=intervals,
            hard_dice_per_subject=_per_subject(counts.subjects, with_foreground(hard_dice)(counts.confusion)),
            calibration=_calibration(table.bins, subjects),
            surfaces=surfaces,
            tissue=tissues,
            baselines={name: of_baseline(confusion) for name, confusion in counts.baselines.items()},
            caveats=tuple(caveats),
        )


def of_surfaces(evaluated: Evaluated, counts: Counts) -> SurfaceScores | None:
    """Surface scores; None if the pixel size is unknown."""
    if evaluated.surfaces is None or counts.surfaces is None:
        return None
    each: Literal["slice", "volume"] = "volume" if evaluated.whole else "slice"
    dice, dice_interval = _pooled(surface_score, counts.surfaces.surface_dice_pooled)
    distance, distance_interval = _pooled(surface_score, counts.surfaces.hausdorff95_mm)
    average = aggregate.average(evaluated.surfaces.hausdorff)
    return SurfaceScores(
        each=each,
        tolerance_mm=surface.TOLERANCE,
        surface_dice_pooled=dice,
        hausdorff95_mm=distance,
        intervals={"surface_dice_pooled": dice_interval, "hausdorff95_mm": distance_interval},
        without_class=named(TISSUES, average.undefined),
        infinite=named(TISSUES, average.infinite),
    )


def surface_sums(table: SurfaceTable, subjects: Sequence[str]) -> SurfaceSums:
    """Sums for `surface_score` of each subject, sorted by name.

    Args:
        table: a row for each slice (in 2D) or each volume (in 3D).
        subjects: the subject of each row.
    """
    finite = np.isfinite(table.hausdorff)
    near, distance = (
        aggregate.sums(np.stack(pair, axis=1), subjects)[1]
        for pair in ((table.near, table.size), (np.where(finite, table.hausdorff, 0), finite))
    )
    return SurfaceSums(near, distance)


def surface_score(sums: Float[np.ndarray, "*groups 2 3"]) -> Float[np.ndarray, "*groups 5"]:
    """A surface score of each class, NaN for the background, from sums of `SurfaceSums` over any groups."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = sums[..., 0, :] / sums[..., 1, :]
    return _add_foreground(np.concatenate([np.full((*values.shape[:-1], 1), np.nan), values], axis=-1))


def of_tissue(evaluated: Evaluated) -> TissueScores:
    """Amounts of tissue in all scans, in one unit; in pixels if the units of the scans differ."""
    units = {case: tissue.unit(spacing) for case, spacing in evaluated.spacing.items()}
    if len({unit.name for unit in units.values()}) > 1:
        units = dict.fromkeys(units, tissue.unit(None))
    names: set[tissue.UnitName] = {unit.name for unit in units.values()}
    scans = tissue.measure(
        evaluated.table.confusion,
        [pair.case for pair in evaluated.pairs],
        evaluated.subjects,
        {case: unit.amount for case, unit in units.items()},
    )
    return tissue.summarise(scans, names.pop(), evaluated.whole)


def of_baseline(confusion: Int64[np.ndarray, "subjects 4 4"]) -> BaselineScores:
    """Pooled hard Dice of a baseline, from the counts of each subject."""
    value, interval = _pooled(with_foreground(hard_dice), confusion)
    return BaselineScores(value, {"hard_dice_pooled": interval})


def with_foreground(score: Score) -> Score:
    """Extend a score of the four classes by the mean over the foreground classes: `(..., 5)`."""
    return lambda counts: _add_foreground(score(counts))


def interval_by_class(interval: bootstrap.Interval | None) -> Interval[ByClass] | None:
    """The ends of an interval by class; None stays None."""
    return None if interval is None else {"low": named(CLASSES, interval.low), "high": named(CLASSES, interval.high)}


def _surface_subjects(evaluated: Evaluated) -> list[str]:
    """The subject of each row of the surface table."""
    return [evaluated.subjects[case] for case in evaluated.cases] if evaluated.whole else evaluated.slice_subjects


def _pooled(score: Score, counts: Num[np.ndarray, "subjects ..."]) -> tuple[ByClass, Interval[ByClass] | None]:
    """A score of the summed counts of all subjects, and its interval."""
    return named(CLASSES, score(counts.sum(0))), interval_by_class(bootstrap.interval(score, counts))


def _per_subject(names: Sequence[str], values: Float64[np.ndarray, "subjects 5"]) -> SubjectDice:
    return SubjectDice(
        mean=named(CLASSES, _over(np.mean, values)),
        standard_deviation=named(CLASSES, _over(_deviation, values)),
        worst=named(CLASSES, _over(np.min, values)),
        subjects_left_out=named(NAMES, np.isnan(values[:, : classes.COUNT]).sum(0)),
        each={name: named(CLASSES, row) for name, row in zip(names, values, strict=True)},
    )


def _calibration(bins: BinCounts, subjects: Sequence[str]) -> Calibration:
    """Expected calibration error inside the true or predicted brain, with its interval, and the reliability curve."""
    _, counts = aggregate.sums(np.stack([np.asarray(part, np.float64) for part in bins], axis=1), subjects)

    def error(sums: Float64[np.ndarray, "*groups 3 15"]) -> Float64[np.ndarray, "*groups"]:
        return calibration.expected_calibration_error(BinCounts(*np.moveaxis(sums, -2, 0)))

    interval, total = bootstrap.interval(error, counts), BinCounts(*counts.sum(0))
    curve = calibration.curve(total)
    return Calibration(
        expected_error=_plain(error(counts.sum(0))),
        interval=None if interval is None else {"low": _plain(interval.low), "high": _plain(interval.high)},
        pixels=tuple(int(x) for x in total.pixels),
        confidence=tuple(_plain(x) for x in curve.confidence),
        accuracy=tuple(_plain(x) for x in curve.accuracy),
    )


def _over(
    statistic: Callable[[np.ndarray], Any], values: Float64[np.ndarray, "subjects classes"]
) -> Float64[np.ndarray, " classes"]:
    """A statistic of each column without its NaNs; NaN if the whole column is NaN."""
    columns = [column[~np.isnan(column)] for column in values.T]
    return np.array([statistic(column) if column.size else np.nan for column in columns])


def _deviation(values: Float64[np.ndarray, " subjects"]) -> float:
    """Sample standard deviation; NaN below two values."""
    return float(np.std(values, ddof=1)) if values.size > 1 else float("nan")


def _add_foreground(values: Float[np.ndarray, "*groups 4"]) -> Float[np.ndarray, "*groups 5"]:
    """Append the mean over the foreground classes."""
    return np.concatenate([values, values[..., list(classes.FOREGROUND)].mean(-1, keepdims=True)], axis=-1)


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
