"""Is one evaluation better than another, on the same people?

A difference of pooled scores gets the 95 % interval of a paired bootstrap over subjects, and the paired scores of the
subjects a Wilcoxon signed-rank test, adjusted for the three classes by Holm's method. Below 8 subjects there is
neither; each subject's difference is all that can be shown.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oasis_jax import classes
from oasis_jax.evaluation import summary
from oasis_jax.metrics import baselines, bootstrap, overlap, significance
from oasis_jax.runs import folder as run_folder
from oasis_jax.system.errors import UserError

SCORES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "hard_dice": ("hard Dice", summary.with_foreground(overlap.hard_dice)),
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
    p = significance.wilcoxon(*(values[:, classes.FOREGROUND] for values in each))
    return {
        "ours": classes.by_class(pooled[0]),
        "theirs": classes.by_class(pooled[1]),
        "difference": classes.by_class(pooled[0] - pooled[1]),
        "interval": summary.interval_by_class(spread),
        "p": None if p is None else _by_tissue(p),
        "p_holm": None if p is None else _by_tissue(significance.holm(p)),
        "each": {
            name: classes.by_class(difference) for name, difference in zip(subjects, each[0] - each[1], strict=True)
        },
    }


def _by_tissue(values: np.ndarray) -> dict[str, float | None]:
    return {
        classes.NAMES[k]: None if np.isnan(x) else float(x) for k, x in zip(classes.FOREGROUND, values, strict=True)
    }


def read_evaluation(folder: Path, split: str) -> dict[str, Any]:
    """The content of `subjects.json` of a run's evaluation.

    Raises:
        UserError: there is none, or it is damaged.
    """
    file = run_folder.load(folder).evaluation(split) / "subjects.json"
    if not file.is_file():
        how = "--images ... --labels ..." if split == "volumes" else f"--split {split}"
        raise UserError(f"{folder} has no evaluation on {split}: python -m oasis_jax.evaluate {folder} {how}")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        people, counts = content["subjects"], [content["confusion"], *content["baselines"].values()]
        if set(content["baselines"]) != set(baselines.METHODS) or not all(isinstance(name, str) for name in people):
            raise ValueError("its subjects or baselines are not what an evaluation writes")
        if not people or any(np.array(table, np.int64).shape != (len(people), 4, 4) for table in counts):
            raise ValueError("its counts are not of its subjects")
        if any(np.min(table) < 0 for table in counts):
            raise ValueError("it holds a count below 0")
        surfaces = [np.array(sums, np.float64) for sums in content["surfaces"].values()]
        if any(sums.shape != (len(people), 2, 3) or not np.isfinite(sums).all() for sums in surfaces):
            raise ValueError("its surfaces are not of its subjects")
        if any(np.any(np.sum(table, axis=-1) != np.sum(counts[0], axis=-1)) for table in counts):
            raise ValueError("its baselines count other true pixels")
        facts = {name: str(content[name]) for name in ("data_fingerprint", "data", "step")}
        facts |= {"spacing": dict(content["spacing"])}
        return content | facts
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{file} is damaged ({error}): evaluate {folder} again.") from error


def evaluations(folders: Sequence[Path], split: str) -> tuple[list[str], list[Evaluation], str]:
    """The subjects; what is known of them, of each run, then of each baseline; and a sentence on what it is of.

    Raises:
        UserError: an evaluation is missing, or two are not of the same slices.
    """
    found = [read_evaluation(folder, split) for folder in folders]
    for folder, one in zip(folders, found, strict=True):
        if one["data_fingerprint"] != found[0]["data_fingerprint"] or one["subjects"] != found[0]["subjects"]:
            raise UserError(
                f"{folder} and {folders[0]} were evaluated on different slices of {split}: use the same data."
            )
        if np.any(np.sum(one["confusion"], axis=-1) != np.sum(found[0]["confusion"], axis=-1)):
            raise UserError(
                f"{folder} and {folders[0]} count other true pixels in the same slices: evaluate both again."
            )
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    steps = ", ".join(f"{name} of step {one['step']}" for name, one in zip(names, found, strict=True))
    told = f"{found[0]['data']}, {split}, {len(found[0]['subjects'])} subjects; checkpoints: {steps}."
    out = [
        Evaluation(name, {"hard_dice": np.array(one["confusion"])} | _surface_counts(one, found[0]["spacing"]))
        for name, one in zip(names, found, strict=True)
    ]
    known = [
        Evaluation(title, {"hard_dice": np.array(found[0]["baselines"][name])})
        for name, (title, _) in baselines.METHODS.items()
    ]
    return found[0]["subjects"], out + known, told


def _surface_counts(content: dict[str, Any], spacing: dict[str, Any]) -> dict[str, np.ndarray]:
    """Nothing where surfaces were not compared, or with pixels of another size: they would differ by that alone."""
    sums = content["surfaces"].get("surface_dice_pooled")
    return {} if sums is None or content["spacing"] != spacing else {"surface_dice": np.array(sums)}
