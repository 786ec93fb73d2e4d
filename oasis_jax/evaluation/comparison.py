"""Compare two evaluations of the same subjects.

The difference of pooled scores has a 95 % interval from a paired bootstrap over subjects. The paired scores of the
subjects have a Wilcoxon signed-rank test, adjusted for the three classes by Holm's method. Below 8 subjects there is no
interval and no test, only the difference of each subject.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Num

from oasis_jax import classes
from oasis_jax.classes import CLASSES, TISSUES
from oasis_jax.evaluation import record
from oasis_jax.evaluation.record import SubjectCounts, read_record
from oasis_jax.evaluation.result import ends_by_class, surface_score
from oasis_jax.evaluation.scores import ByClass, ByTissue, Ends, named
from oasis_jax.metrics import baselines, bootstrap, overlap, significance, surface
from oasis_jax.metrics.aggregate import with_foreground
from oasis_jax.metrics.bootstrap import Score
from oasis_jax.pretrained import MODELS
from oasis_jax.runs.folder import Run
from oasis_jax.system.errors import UserError

SCORES: dict[str, tuple[str, Score]] = {
    "hard_dice": ("hard Dice", with_foreground(overlap.hard_dice)),
    "surface_dice": (f"surface Dice at {surface.TOLERANCE:g} mm", surface_score),
}
"""By the name in files: the name in tables, and the score of pooled counts."""


class Evaluation(NamedTuple):
    """A run, or a baseline, on a split."""

    name: str
    counts: dict[str, Num[np.ndarray, "subjects ..."]]
    """The counts of each subject, by the names of `SCORES`; scores that were not measured are missing."""


@dataclass(frozen=True)
class ScoreComparison:
    """A score of two evaluations, pooled. Differences are ours minus theirs."""

    ours: ByClass
    theirs: ByClass
    difference: ByClass
    interval: Ends | None
    """95 % interval of the difference; None below 8 subjects."""
    p: ByTissue | None
    """p value of the Wilcoxon signed-rank test; None below 8 subjects."""
    p_holm: ByTissue | None
    """p value adjusted for the three classes; None below 8 subjects."""
    each: dict[str, ByClass]
    """Difference of each subject, by the name of the subject."""


@dataclass(frozen=True)
class Comparison:
    """Two evaluations of the same subjects: their names, and how many subjects there are."""

    ours: str
    theirs: str
    subjects: int
    scores: dict[str, ScoreComparison]
    """By the names of `SCORES`, for the scores that both evaluations have."""


def paired(ours: Evaluation, theirs: Evaluation, subjects: Sequence[str]) -> Comparison:
    """Compare two evaluations of the same subjects, which have these names, in the same order."""
    scores: dict[str, ScoreComparison] = {}
    for name in [name for name in SCORES if name in ours.counts and name in theirs.counts]:
        score, both = SCORES[name][1], (ours.counts[name], theirs.counts[name])
        pooled, each = [score(counts.sum(0)) for counts in both], [score(counts) for counts in both]
        p = significance.wilcoxon(*(values[:, classes.FOREGROUND] for values in each))
        scores[name] = ScoreComparison(
            ours=named(CLASSES, pooled[0]),
            theirs=named(CLASSES, pooled[1]),
            difference=named(CLASSES, pooled[0] - pooled[1]),
            interval=ends_by_class(bootstrap.paired_interval(score, *both)),
            p=None if p is None else named(TISSUES, p),
            p_holm=None if p is None else named(TISSUES, significance.holm(p)),
            each={subject: named(CLASSES, row) for subject, row in zip(subjects, each[0] - each[1], strict=True)},
        )
    return Comparison(ours.name, theirs.name, len(subjects), scores)


def read_evaluations(folders: Sequence[Path], split: str) -> tuple[tuple[str, ...], list[Evaluation], str]:
    """Read the evaluations of runs on a split.

    Returns:
        The names of the subjects; the evaluation of each run, then of each baseline; and a sentence that names the data
        and the checkpoints.

    Raises:
        UserError: an evaluation is missing or damaged, or two are not of the same slices.
    """
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    all_counts = [_read_counts(folder, split) for folder in folders]
    first, evaluations = all_counts[0], []
    for folder, name, counts in zip(folders, names, all_counts, strict=True):
        both = f"{folder} and {folders[0]}"
        if counts.data_fingerprint != first.data_fingerprint or counts.subjects != first.subjects:
            raise UserError(f"{both} were evaluated on different slices of {split}: use the same data.")
        if np.any(counts.confusion.sum(-1) != first.confusion.sum(-1)):
            raise UserError(f"{both} have different true pixels in the same slices: evaluate both again.")
        measured = {"hard_dice": counts.confusion}
        # With another pixel size the surfaces of two runs would differ even if their labels did not.
        if counts.surfaces is not None and counts.spacing == first.spacing:
            measured["surface_dice"] = counts.surfaces.surface_dice_pooled
        evaluations.append(Evaluation(name, measured))
    for name, (title, _) in baselines.METHODS.items():
        evaluations.append(Evaluation(title, {"hard_dice": first.baselines[name]}))
    steps = ", ".join(f"{name} of step {counts.step}" for name, counts in zip(names, all_counts, strict=True))
    sentence = f"{first.data}, {split}, {len(first.subjects)} subjects; checkpoints: {steps}."
    return first.subjects, evaluations, sentence


def _read_counts(folder: Path, split: str) -> SubjectCounts:
    """The `subjects.json` of a run's evaluation on a split."""
    run = Run.load(folder)
    path = run.evaluation(split) / record.SUBJECTS
    if path.is_file():
        return read_record(SubjectCounts, path)
    name = next((name for name, shipped in MODELS.items() if shipped == folder), folder)
    options, root = f"--split {split}", run.config.data.root
    if split == "volumes":
        options = "--images ... --labels ..."
    elif root is not None and not root.is_dir():  # as of a model: only who gave it slices knows where they are
        options += " --data-root ..."
    raise UserError(f"{name} has no evaluation on {split}: python -m oasis_jax.evaluate {name} {options}")
