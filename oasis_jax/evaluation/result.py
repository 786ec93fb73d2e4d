"""A finished evaluation: what was evaluated, and all scores as `metrics/README.md` defines them. Pure numpy."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Num

from oasis_jax import classes
from oasis_jax.classes import CLASSES, NAMES, TISSUES
from oasis_jax.evaluation.counting import Evaluated, slice_ranking
from oasis_jax.evaluation.record import EvaluationRecord, Metrics, SubjectCounts, SurfaceSums
from oasis_jax.evaluation.scores import (
    BaselineScores,
    Calibration,
    Ends,
    Scores,
    SubjectDice,
    SurfaceScores,
    named,
    plain,
)
from oasis_jax.evaluation.tissue import tissue_scores
from oasis_jax.inference import ensemble
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.metrics import aggregate, baselines, bootstrap, calibration, surface
from oasis_jax.metrics.aggregate import add_foreground, with_foreground
from oasis_jax.metrics.bootstrap import Score
from oasis_jax.metrics.calibration import BinCounts
from oasis_jax.metrics.overlap import OVERLAP, dice, hard_dice

CAUTIONS = {
    "train": ["The network was trained on these slices: expect lower scores for other subjects."],
    "validate": ["The checkpoint was chosen by these slices: expect slightly lower scores for other subjects."],
}
"""Sentences about splits whose scores are too good."""


class Result(NamedTuple):
    """Slices, their predictions, and their scores. The report and the files are made of it alone."""

    evaluated: Evaluated
    metrics: Metrics
    """The content of `metrics.json`."""
    counts: SubjectCounts
    """The content of `subjects.json`."""
    ranking: Float[np.ndarray, " slices"]
    """The score of each slice that orders the slices, as `counting.slice_ranking` defines it."""


def finish(
    networks: Ensemble, evaluated: Evaluated, *, data: str, split: str, fingerprint: str, caveats: Sequence[str] = ()
) -> Result:
    """Compute all scores of an evaluation; for data, split and fingerprint see `EvaluationRecord`.

    `caveats` are sentences that a reader of the scores must know.
    """
    averaged, spacings = networks.averaged, set(evaluated.spacing.values())
    about = EvaluationRecord(
        run=networks.runs[0].name,
        data=data,
        split=split,
        step=networks.checkpoints[0].step,
        averaged=averaged,
        data_fingerprint=fingerprint,
        spacing_mm=spacings.pop() if len(spacings) == 1 else None,  # that of all cases
    )
    counts = _subject_counts(about, evaluated)
    scores = _scores(evaluated, counts, (*caveats, *([] if averaged is None else [ensemble.sentence(averaged)])))
    return Result(evaluated, Metrics(**vars(about), scores=scores), counts, slice_ranking(evaluated.table))


def surface_score(sums: Float[np.ndarray, "*groups 2 3"]) -> Float[np.ndarray, "*groups 5"]:
    """A surface score of each class, NaN for the background, from sums of `SurfaceSums` over any groups."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = sums[..., 0, :] / sums[..., 1, :]
    return add_foreground(np.concatenate([np.full((*values.shape[:-1], 1), np.nan), values], axis=-1))


def ends_by_class(interval: Float64[np.ndarray, "2 5"] | None) -> Ends | None:
    """The ends of an interval by class; None stays None."""
    return None if interval is None else {"low": named(CLASSES, interval[0]), "high": named(CLASSES, interval[1])}


def _subject_counts(about: EvaluationRecord, evaluated: Evaluated) -> SubjectCounts:
    subjects, cases, surfaces = evaluated.slice_subjects, sorted({pair.case for pair in evaluated.pairs}), None
    names, confusion = aggregate.sums(evaluated.table.confusion, subjects)
    histograms = np.stack([baselines.histogram(*evaluated.slices[i]) for i in range(len(evaluated.pairs))])
    if (table := evaluated.surfaces) is not None:
        finite = np.isfinite(table.hausdorff)
        pairs = (table.near, table.size), (np.where(finite, table.hausdorff, 0), finite)
        rows = [evaluated.subjects[case] for case in cases] if evaluated.whole else subjects
        surfaces = SurfaceSums(*(aggregate.sums(np.stack(pair, axis=1), rows)[1] for pair in pairs))
    return SubjectCounts(
        **vars(about),
        subjects=tuple(names),
        spacing={case: evaluated.spacing[case] for case in cases},
        confusion=confusion,
        surfaces=surfaces,
        baselines={
            name: aggregate.sums(baselines.confusion(histograms, method), subjects)[1]
            for name, (_, method) in baselines.METHODS.items()
        },
    )


def _scores(evaluated: Evaluated, counts: SubjectCounts, caveats: tuple[str, ...]) -> Scores:
    table, subjects = evaluated.table, evaluated.slice_subjects
    with np.errstate(all="ignore"):
        return Scores(
            slices=len(subjects),
            subjects=len(counts.subjects),
            loss=float(table.loss.mean(dtype=np.float64)),
            soft_dice_per_slice=named(CLASSES, add_foreground(dice(table.soft).mean(0, dtype=np.float64))),
            slices_without_class=named(NAMES, (table.soft.true <= 0).sum(0)),
            **_pooled(
                {f"{name}_pooled": (with_foreground(score), counts.confusion) for name, score in OVERLAP.items()}
            ),
            hard_dice_per_subject=_per_subject(counts.subjects, with_foreground(hard_dice)(counts.confusion)),
            calibration=_calibration(table.bins, subjects),
            surfaces=_surface_scores(evaluated, counts.surfaces),
            tissue=tissue_scores(evaluated),
            baselines={
                name: BaselineScores(**_pooled({"hard_dice_pooled": (with_foreground(hard_dice), confusion)}))
                for name, confusion in counts.baselines.items()
            },
            caveats=caveats,
        )


def _pooled(scores: dict[str, tuple[Score, Num[np.ndarray, "subjects ..."]]]) -> dict[str, Any]:
    """Scores of the summed counts of all subjects, by name, and their `intervals`."""
    intervals = {name: ends_by_class(bootstrap.interval(score, counts)) for name, (score, counts) in scores.items()}
    values = {name: named(CLASSES, score(counts.sum(0))) for name, (score, counts) in scores.items()}
    return {**values, "intervals": intervals}


def _surface_scores(evaluated: Evaluated, sums: SurfaceSums | None) -> SurfaceScores | None:
    if evaluated.surfaces is None or sums is None:
        return None
    return SurfaceScores(
        each="volume" if evaluated.whole else "slice",
        tolerance_mm=surface.TOLERANCE,
        **_pooled({name: (surface_score, both) for name, both in vars(sums).items()}),
        without_class=named(TISSUES, np.isnan(evaluated.surfaces.hausdorff).sum(0)),
        infinite=named(TISSUES, np.isinf(evaluated.surfaces.hausdorff).sum(0)),
    )


def _per_subject(names: Sequence[str], values: Float64[np.ndarray, "subjects 5"]) -> SubjectDice:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN is meant: nobody has a class, or one subject has it
        return SubjectDice(
            mean=named(CLASSES, np.nanmean(values, 0)),
            standard_deviation=named(CLASSES, np.nanstd(values, 0, ddof=1)),
            worst=named(CLASSES, np.nanmin(values, 0)),
            subjects_left_out=named(NAMES, np.isnan(values[:, : classes.COUNT]).sum(0)),
            each={name: named(CLASSES, row) for name, row in zip(names, values, strict=True)},
        )


def _calibration(bins: BinCounts, subjects: Sequence[str]) -> Calibration:
    """Expected calibration error inside the true or predicted brain, with its interval, and the reliability curve."""
    _, counts = aggregate.sums(np.stack([np.asarray(part, np.float64) for part in bins], axis=1), subjects)

    def error(sums: Float64[np.ndarray, "*groups 3 15"]) -> Float64[np.ndarray, "*groups"]:
        return calibration.expected_calibration_error(BinCounts(*np.moveaxis(sums, -2, 0)))

    interval, total = bootstrap.interval(error, counts), BinCounts(*counts.sum(0))
    confidence, accuracy = total.confidence / total.pixels, total.correct / total.pixels
    return Calibration(
        expected_error=plain(error(counts.sum(0))),
        interval=None if interval is None else named(("low", "high"), interval),
        pixels=tuple(int(x) for x in total.pixels),
        confidence=tuple(map(plain, confidence)),
        accuracy=tuple(map(plain, accuracy)),
    )
