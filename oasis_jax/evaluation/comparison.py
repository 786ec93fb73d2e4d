"""Is one evaluation better than another, on the same people?

A difference of pooled scores gets the 95 % interval of a paired bootstrap over subjects, and the paired scores of the
subjects a Wilcoxon signed-rank test, adjusted for the three classes by Holm's method. Below 8 subjects there is
neither; each subject's difference is all that can be shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Num

from oasis_jax import classes
from oasis_jax.evaluation import record, summary
from oasis_jax.evaluation.by_class import ByClass, ByTissue, IntervalByClass
from oasis_jax.evaluation.record import SubjectCounts
from oasis_jax.metrics import baselines, bootstrap, overlap, significance
from oasis_jax.metrics.bootstrap import Score
from oasis_jax.runs import folder as run_folder
from oasis_jax.system.errors import UserError

SCORES: dict[str, tuple[str, Score]] = {
    "hard_dice": ("hard Dice", summary.with_foreground(overlap.hard_dice)),
    "surface_dice": ("surface Dice at 1 mm", summary.surface_score),
}
"""Name in files, name for people, and the score of counts added up."""


class Evaluation(NamedTuple):
    """One run, or one baseline, on a split."""

    name: str
    counts: dict[str, Num[np.ndarray, "subjects ..."]]
    """For each of `SCORES` that it has, the counts of each subject."""


@dataclass(frozen=True)
class ScoreComparison:
    """One score of two evaluations; differences are ours minus theirs."""

    ours: ByClass
    """Pooled."""
    theirs: ByClass
    """Pooled."""
    difference: ByClass
    interval: IntervalByClass | None
    """95 %, of the difference; None below 8 subjects."""
    p: ByTissue | None
    """Of the Wilcoxon signed-rank test; None below 8 subjects."""
    p_holm: ByTissue | None
    """Adjusted for the three classes."""
    each: dict[str, ByClass]
    """Difference of each subject, by its name."""


@dataclass(frozen=True)
class Comparison:
    """Two evaluations of the same subjects."""

    ours: str
    """Name."""
    theirs: str
    """Name."""
    subjects: int
    scores: dict[str, ScoreComparison]
    """Of each of `SCORES` that both have."""


def compare(ours: Evaluation, theirs: Evaluation, subjects: Sequence[str]) -> Comparison:
    """Compare two evaluations of the same subjects.

    Args:
        ours: counts of each subject.
        theirs: the same subjects in the same order.
        subjects: their names.
    """
    shared = [name for name in SCORES if name in ours.counts and name in theirs.counts]
    scores = {name: _compare(SCORES[name][1], ours.counts[name], theirs.counts[name], subjects) for name in shared}
    return Comparison(ours.name, theirs.name, len(subjects), scores)


def _compare(
    score: Score,
    ours: Num[np.ndarray, "subjects ..."],
    theirs: Num[np.ndarray, "subjects ..."],
    subjects: Sequence[str],
) -> ScoreComparison:
    pooled = score(ours.sum(0)), score(theirs.sum(0))
    each = score(ours), score(theirs)
    p = significance.wilcoxon(*(values[:, classes.FOREGROUND] for values in each))
    return ScoreComparison(
        ours=ByClass.of(pooled[0]),
        theirs=ByClass.of(pooled[1]),
        difference=ByClass.of(pooled[0] - pooled[1]),
        interval=summary.interval_by_class(bootstrap.paired_interval(score, ours, theirs)),
        p=None if p is None else ByTissue.of(p),
        p_holm=None if p is None else ByTissue.of(significance.holm(p)),
        each={name: ByClass.of(row) for name, row in zip(subjects, each[0] - each[1], strict=True)},
    )


def read_counts(folder: Path, split: str) -> SubjectCounts:
    """The `subjects.json` of a run's evaluation.

    Raises:
        UserError: there is none, or it is damaged.
    """
    file = run_folder.load(folder).evaluation(split) / "subjects.json"
    if not file.is_file():
        how = "--images ... --labels ..." if split == "volumes" else f"--split {split}"
        raise UserError(f"{folder} has no evaluation on {split}: python -m oasis_jax.evaluate {folder} {how}")
    return record.read(SubjectCounts, file)


def evaluations(folders: Sequence[Path], split: str) -> tuple[tuple[str, ...], list[Evaluation], str]:
    """The subjects; what is known of them, of each run, then of each baseline; and a sentence on what it is of.

    Raises:
        UserError: an evaluation is missing, or two are not of the same slices.
    """
    read = [read_counts(folder, split) for folder in folders]
    first = read[0]
    for folder, counts in zip(folders, read, strict=True):
        if counts.data_fingerprint != first.data_fingerprint or counts.subjects != first.subjects:
            raise UserError(
                f"{folder} and {folders[0]} were evaluated on different slices of {split}: use the same data."
            )
        if np.any(counts.confusion.sum(-1) != first.confusion.sum(-1)):
            raise UserError(
                f"{folder} and {folders[0]} count other true pixels in the same slices: evaluate both again."
            )
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    steps = ", ".join(f"{name} of step {counts.step}" for name, counts in zip(names, read, strict=True))
    told = f"{first.data}, {split}, {len(first.subjects)} subjects; checkpoints: {steps}."
    runs = [
        Evaluation(name, {"hard_dice": counts.confusion} | _surface_counts(counts, first))
        for name, counts in zip(names, read, strict=True)
    ]
    known = [Evaluation(title, {"hard_dice": first.baselines[name]}) for name, (title, _) in baselines.METHODS.items()]
    return first.subjects, runs + known, told


def _surface_counts(counts: SubjectCounts, first: SubjectCounts) -> dict[str, np.ndarray]:
    """Nothing where surfaces were not compared, or with pixels of another size: they would differ by that alone."""
    if counts.surfaces is None or counts.spacing != first.spacing:
        return {}
    return {"surface_dice": counts.surfaces.surface_dice_pooled}
