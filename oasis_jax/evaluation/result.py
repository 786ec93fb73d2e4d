"""A finished evaluation: what was evaluated, and all scores. The report and the files are made of it alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from oasis_jax.evaluation import score, summary
from oasis_jax.evaluation.evaluated import Evaluated
from oasis_jax.evaluation.record import EvaluationRecord, Metrics, SubjectCounts
from oasis_jax.geometry import common
from oasis_jax.inference import ensemble
from oasis_jax.inference.ensemble import Ensemble


class Result(NamedTuple):
    """Slices, their predictions, and their scores."""

    evaluated: Evaluated
    metrics: Metrics
    """The content of `metrics.json`."""
    counts: SubjectCounts
    """The content of `subjects.json`."""
    ranking: Float[np.ndarray, " slices"]
    """The score of each slice that orders the slices, as `score.slice_ranking` defines it."""


def finish(
    networks: Ensemble, evaluated: Evaluated, *, data: str, split: str, fingerprint: str, caveats: Sequence[str] = ()
) -> Result:
    """Compute all scores of an evaluation.

    Args:
        networks: the networks that were evaluated.
        evaluated: slices, predictions and their counts.
        data: name of the data, shown in tables.
        split: train, validate, test or volumes.
        fingerprint: SHA-256 of the data.
        caveats: sentences that a reader of the scores must know.
    """
    return of_record(
        EvaluationRecord(
            run=networks.runs[0].name,
            data=data,
            split=split,
            step=networks.checkpoints[0].step,
            averaged=networks.averaged,
            data_fingerprint=fingerprint,
            spacing_mm=common(evaluated.spacing.values()),
        ),
        evaluated,
        caveats,
    )


def of_record(about: EvaluationRecord, evaluated: Evaluated, caveats: Sequence[str] = ()) -> Result:
    """`finish` where it is known what was evaluated."""
    averaging = [] if about.averaged is None else [ensemble.sentence(about.averaged)]
    scores, counts = summary.measure(evaluated, [*caveats, *averaging])
    return Result(
        evaluated=evaluated,
        metrics=Metrics(**vars(about), scores=scores),
        counts=SubjectCounts(**vars(about), **vars(counts)),
        ranking=score.slice_ranking(evaluated.table),
    )
