"""Is one evaluation better than another, on the same people? Pure numpy.

A difference of pooled scores gets the 95 % interval of a paired bootstrap over subjects, and the paired scores of the
subjects a Wilcoxon signed-rank test, adjusted for the three classes by Holm's method. Below 8 subjects there is
neither; each subject's difference is all that can be shown.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from oasis_jax import bootstrap, labels, scores, summary

SCORES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "hard_dice": ("hard Dice", summary.with_foreground(scores.hard_dice)),
    "surface_dice": ("surface Dice at 1 mm", summary.surface_score),
}
"""Name in files, name for people, and the score of counts added up."""


class Evaluation(NamedTuple):
    """One run, or one baseline, on a split."""

    name: str
    counts: dict[str, np.ndarray]
    """For each of `SCORES` that it has, the counts of each subject, `(S, ...)`."""


def compare(ours: Evaluation, theirs: Evaluation, subjects: list[str]) -> dict[str, Any]:
    """Compare two evaluations of the same subjects, as plain JSON values; differences are ours minus theirs.

    Args:
        ours: counts of each subject.
        theirs: the same subjects in the same order.
        subjects: their names.
    """
    shared = [name for name in SCORES if name in ours.counts and name in theirs.counts]
    return {
        "ours": ours.name,
        "theirs": theirs.name,
        "subjects": len(subjects),
        "scores": {name: _score(SCORES[name][1], ours.counts[name], theirs.counts[name], subjects) for name in shared},
    }


def _score(
    score: Callable[[np.ndarray], np.ndarray], ours: np.ndarray, theirs: np.ndarray, subjects: list[str]
) -> dict[str, Any]:
    pooled = score(ours.sum(0)), score(theirs.sum(0))
    each = score(ours), score(theirs)
    spread = bootstrap.paired_interval(score, ours, theirs)
    p = bootstrap.wilcoxon(*(values[:, labels.FOREGROUND] for values in each))
    return {
        "ours": summary.by_class(pooled[0]),
        "theirs": summary.by_class(pooled[1]),
        "difference": summary.by_class(pooled[0] - pooled[1]),
        "interval": summary.interval_by_class(spread),
        "p": None if p is None else _by_tissue(p),
        "p_holm": None if p is None else _by_tissue(bootstrap.holm(p)),
        "each": {
            name: summary.by_class(difference) for name, difference in zip(subjects, each[0] - each[1], strict=True)
        },
    }


def _by_tissue(values: np.ndarray) -> dict[str, float | None]:
    return {labels.NAMES[k]: None if np.isnan(x) else float(x) for k, x in zip(labels.FOREGROUND, values, strict=True)}
