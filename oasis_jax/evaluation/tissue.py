"""How much of each tissue a scan shows, predicted and true: agreement, and how two scans of one person differ.

Of whole volumes these are millilitres of tissue. Of a tree of slices they are those of the slab that was cut; where the
distance of its slices is unknown, areas added over the slices; where nothing is known, pixels.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from oasis_jax import classes
from oasis_jax.data.geometry import Spacing
from oasis_jax.evaluation.by_class import ByTissue
from oasis_jax.evaluation.scores import Retest, RetestDifference, ScanTissue, TissueScores
from oasis_jax.metrics import aggregate, agreement, overlap
from oasis_jax.metrics.bootstrap import FEWEST_SUBJECTS

UnitName = Literal["pixels", "cm²", "ml"]


class Unit(NamedTuple):
    """What one pixel stands for."""

    name: UnitName
    amount: float
    """Of one pixel, in this unit."""


def unit(spacing: Spacing | None) -> Unit:
    """The unit in which pixels of a spacing can be measured."""
    if spacing is None:
        return Unit("pixels", 1.0)
    row, column, slice_mm = spacing
    return Unit("cm²", row * column / 100) if slice_mm is None else Unit("ml", row * column * slice_mm / 1000)


class Scan(NamedTuple):
    """One scan's tissue: CSF, gray matter and white matter."""

    case: str
    subject: str
    true: Float64[np.ndarray, "3"]
    """In the unit."""
    predicted: Float64[np.ndarray, "3"]
    """In the unit."""


def measure(
    confusion: Int64[np.ndarray, "slices 4 4"],
    cases: Sequence[str],
    subjects: dict[str, str],
    amounts: dict[str, float],
) -> list[Scan]:
    """Measure each scan.

    Args:
        confusion: pixels of each slice by true class (row) and predicted class (column).
        cases: the scan of each slice.
        subjects: the person of each scan.
        amounts: what one pixel of each scan stands for.
    """
    names, counts = aggregate.sums(confusion, cases)
    sums = overlap.hard_overlap(counts)
    shown = list(classes.FOREGROUND)
    return [
        Scan(name, subjects[name], true[shown] * amounts[name], predicted[shown] * amounts[name])
        for name, true, predicted in zip(names, sums.true, sums.predicted, strict=True)
    ]


def summarise(scans: Sequence[Scan], unit: UnitName, whole: bool) -> TissueScores:
    """Agreement over scans.

    Args:
        scans: the scans.
        unit: of their amounts.
        whole: whether they are whole volumes, not slabs of one.
    """
    true, predicted = (
        np.array([getattr(scan, side) for scan in scans]).reshape(-1, 3) for side in ("true", "predicted")
    )
    agreed = agreement.agreement(true, predicted)
    if len({scan.subject for scan in scans}) < FEWEST_SUBJECTS:  # a guess, as intervals are
        agreed = agreed._replace(**dict.fromkeys(("low", "high", "icc"), np.full(3, np.nan)))
    return TissueScores(
        unit=unit,
        of="whole volumes" if whole else "the slices of each scan",
        scans=len(scans),
        bias=ByTissue.of(agreed.bias),
        low=ByTissue.of(agreed.low),
        high=ByTissue.of(agreed.high),
        icc=ByTissue.of(agreed.icc),
        retest=_retest(scans),
        each={
            scan.case: ScanTissue(scan.subject, ByTissue.of(scan.true), ByTissue.of(scan.predicted)) for scan in scans
        },
    )


def _retest(scans: Sequence[Scan]) -> Retest | None:
    """The difference between the first two scans of each subject that was scanned again.

    Truth has one too, because a head lies otherwise in its second scan, and because labels of software vary; a
    prediction that differs no more than the truth is as repeatable.
    """
    of_subject: dict[str, list[Scan]] = {}
    for scan in scans:
        of_subject.setdefault(scan.subject, []).append(scan)
    twice = [both[:2] for both in of_subject.values() if len(both) > 1]
    if not twice:
        return None
    true, predicted = (
        _difference(*(np.array([getattr(pair[i], side) for pair in twice]) for i in (0, 1)))
        for side in ("true", "predicted")
    )
    return Retest(len(twice), true, predicted)


def _difference(
    first: Float64[np.ndarray, "subjects 3"], second: Float64[np.ndarray, "subjects 3"]
) -> RetestDifference:
    difference, middle = np.abs(second - first), (first + second) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        percent = (100 * difference / middle).mean(0)
    return RetestDifference(ByTissue.of(difference.mean(0)), ByTissue.of(percent))
