"""The tables of `tools.py`, from counts of voxels.

Dice is hard and pooled over scans, with 95 % bootstrap intervals over people. The experts call only the ventricles CSF.
So beside them there is no Dice of CSF, but the share of the ventricles that a tool calls CSF.
"""

from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import figures
import numpy as np

from oasis_jax import classes
from oasis_jax.evaluation import tissue
from oasis_jax.metrics import aggregate, bootstrap, overlap, significance
from oasis_jax.report import tables

UNCOUNTED = 255
"""The true class of a voxel that scores leave out."""

SHORT = classes.SHORT[1:]
SCANS_HEAD = [
    *("tool", "needs", *(f"{name}, FAST" for name in SHORT), *(f"{name}, experts" for name in SHORT[1:])),
    *("ventricles found", "outside the brain", "rescan, ml (%)", "seconds", "MiB"),
]
COLIN_HEAD = [
    *("tool", "brain mask", *SHORT, *(f"{name}, upper" for name in SHORT)),
    *("outside the brain", "seconds", "MiB"),
]
FIFTHS = tuple(f"{place} fifth" for place in ("first", "second", "third", "fourth", "last"))
"""Of the heights that FAST labels in a scan, from below."""

FIFTHS_HEAD = ["ours, against FAST", *SHORT]
PAIRED_HEAD = ["ours minus", "against", *SHORT]

Score = Callable[[np.ndarray], np.ndarray]
"""From counts `(..., 4, 4)` to scores `(..., n)`."""


class Labelled(NamedTuple):
    """A scan that a tool labelled."""

    subject: str
    case: str
    millilitres: float
    """Volume of a voxel."""
    counts: dict[str, np.ndarray]
    """Voxels by true class (row) and label (column), `(4, 4)`, by the name of who made the true labels."""
    took: dict[str, float]
    """Seconds and peak_bytes; empty if unknown."""


def count(truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Voxels by true class (row) and label (column)."""
    counted = truth != UNCOUNTED
    pairs = truth[counted].astype(int) * classes.COUNT + labels[counted]
    return np.bincount(pairs, minlength=classes.COUNT**2).reshape(classes.COUNT, classes.COUNT)


def dice_of_tissues(counts: np.ndarray) -> np.ndarray:
    """Dice of CSF, gray and white matter."""
    return overlap.hard_dice(counts)[..., 1:]


def dice_of_matter(counts: np.ndarray) -> np.ndarray:
    """Dice of gray and white matter."""
    return overlap.hard_dice(counts)[..., 2:]


def csf_found(counts: np.ndarray) -> np.ndarray:
    """The share of the true CSF that has its label."""
    return overlap.recall(counts)[..., 1:2]


def outside(counts: np.ndarray) -> np.ndarray:
    """The share of what has a label that lies outside the brain."""
    labelled = counts[..., 1:].sum(-1)
    return labelled[..., :1] / labelled.sum(-1, keepdims=True)


def _by_person(runs: Sequence[Labelled], truth: str) -> np.ndarray:
    """The counts of each person, in the order of their names."""
    return aggregate.sums(np.array([run.counts[truth] for run in runs]), [run.subject for run in runs])[1]


def _scored(score: Score, counts: np.ndarray) -> list[str]:
    """A pooled score with its intervals, from the counts of each person."""
    return _with_ends(score(counts.sum(0)), bootstrap.interval(score, counts), "")


def _with_ends(values: np.ndarray, interval: np.ndarray | None, sign: str) -> list[str]:
    texts = [f"{value:{sign}.3f}" for value in values]
    if interval is None:
        return texts
    ends = [f"{low:{sign}.3f} to {high:{sign}.3f}" for low, high in zip(*interval, strict=True)]
    return [f"{text}<br>{both}" for text, both in zip(texts, ends, strict=True)]


def _took(runs: Sequence[Labelled]) -> list[str]:
    """Median seconds and the largest peak of memory, MiB."""
    if not all(run.took for run in runs):
        return ["-", "-"]
    peak = max(run.took["peak_bytes"] for run in runs)
    return [f"{median(run.took['seconds'] for run in runs):.0f}", figures.mebibytes(int(peak))]


def _rescan(runs: Sequence[Labelled]) -> str:
    """The difference of two scans of a person in each tissue, ml and % of their mean: mean over people."""
    runs = sorted(runs, key=lambda run: (run.subject, run.case))
    sums = overlap.hard_overlap(np.array([run.counts["FAST"] for run in runs]))
    true, found = (side[:, 1:] * np.array([[run.millilitres] for run in runs]) for side in (sums.true, sums.predicted))
    retest = tissue.retest([run.subject for run in runs], true, found)
    if retest is None:
        return "-"
    both = (tables.texts(values, 1)[1:4] for values in (retest.predicted.mean_difference, retest.predicted.percent))
    lines = zip(SHORT, *both, strict=True)
    return "<br>".join(f"{name} {millilitres} ({percent})" for name, millilitres, percent in lines)


def scans_row(name: str, needs: str, runs: Sequence[Labelled]) -> list[str]:
    """The row of a tool on scans."""
    fast, experts = _by_person(runs, "FAST"), _by_person(runs, "experts")
    dice = [*_scored(dice_of_tissues, fast), *_scored(dice_of_matter, experts)]
    return [name, needs, *dice, *_scored(csf_found, experts), *_scored(outside, fast), _rescan(runs), *_took(runs)]


def fifth_row(name: str, runs: Sequence[Labelled]) -> list[str]:
    """The row of one of `FIFTHS`."""
    return [name, *_scored(dice_of_tissues, _by_person(runs, name))]


def each_row(runs: Sequence[Labelled]) -> list[str]:
    """The row of one scan that each tool labelled: Dice of gray and white matter with the labels of the experts."""
    dice = [", ".join(f"{value:.3f}" for value in dice_of_matter(run.counts["experts"])) for run in runs]
    return [f"{runs[0].subject} {runs[0].case}", *dice]


def colin_row(name: str, mask: str, run: Labelled) -> list[str]:
    """The row of a tool on Colin27."""
    whole, upper = (_by_person([run], truth) for truth in ("map", "upper map"))
    dice = [*_scored(dice_of_tissues, whole), *_scored(dice_of_tissues, upper)]
    return [name, mask, *dice, *_scored(outside, whole), *_took([run])]


def paired_row(name: str, truth: str, ours: Sequence[Labelled], theirs: Sequence[Labelled]) -> list[str]:
    """Differences of Dice, their intervals, and p of Wilcoxon's test on people, adjusted by Holm's method."""
    score = dice_of_matter if truth == "experts" else dice_of_tissues
    our_counts, their_counts = (_by_person(runs, truth) for runs in (ours, theirs))
    difference = score(our_counts.sum(0)) - score(their_counts.sum(0))
    texts = _with_ends(difference, bootstrap.paired_interval(score, our_counts, their_counts), "+")
    p = significance.wilcoxon(score(our_counts), score(their_counts))
    if p is not None:
        texts = [f"{text}<br>p {value:.2g}" for text, value in zip(texts, significance.holm(p), strict=True)]
    return [name, truth, *["-"] * (len(SHORT) - len(texts)), *texts]
