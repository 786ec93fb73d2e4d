"""Predicted and true amounts of tissue in scans: their agreement, and the difference between two scans of a subject.

For whole volumes the amounts are millilitres of tissue. For a tree of slices they are millilitres in the slab that was
cut; if the slice spacing is unknown, areas summed over the slices; if the pixel size is unknown too, pixels.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from oasis_jax import classes
from oasis_jax.evaluation.by_class import named
from oasis_jax.evaluation.scores import Retest, RetestDifference, ScanTissue, TissueScores
from oasis_jax.geometry import Spacing
from oasis_jax.metrics import aggregate, agreement, overlap
from oasis_jax.metrics.bootstrap import FEWEST_SUBJECTS

UnitName = Literal["pixels", "cm²", "ml"]


class Unit(NamedTuple):
    """The unit of amounts of tissue."""

    name: UnitName
    amount: float
    """The amount of one pixel, in this unit."""


def unit(spacing: Spacing | None) -> Unit:
    """The unit of amounts for a spacing: ml, cm² without a slice spacing, or pixels without any spacing."""
    if spacing is None:
        return Unit("pixels", 1.0)
    row, column, slice_mm = spacing
    return Unit("cm²", row * column / 100) if slice_mm is None else Unit("ml", row * column * slice_mm / 1000)


class Scan(NamedTuple):
    """The amounts of CSF, gray matter and white matter in a scan."""

    case: str
    subject: str
    true: Float64[np.ndarray, "3"]
    """In the unit of the evaluation."""
    predicted: Float64[np.ndarray, "3"]
    """In the unit of the evaluation."""


def measure(
    confusion: Int64[np.ndarray, "slices 4 4"],
    cases: Sequence[str],
    subjects: dict[str, str],
    amounts: dict[str, float],
) -> list[Scan]:
    """Measure the tissue in each scan.

    Args:
        confusion: pixels of each slice by true class (row) and predicted class (column).
        cases: the scan of each slice.
        subjects: the subject of each scan.
        amounts: the amount of one pixel of each scan, in one unit.

    Returns:
        The scans, sorted by name.
    """
    names, counts = aggregate.sums(confusion, cases)
    sums = overlap.hard_overlap(counts)
    tissues = list(classes.FOREGROUND)
    return [
        Scan(name, subjects[name], true[tissues] * amounts[name], predicted[tissues] * amounts[name])
        for name, true, predicted in zip(names, sums.true, sums.predicted, strict=True)
    ]


def summarise(scans: Sequence[Scan], unit: UnitName, whole: bool) -> TissueScores:
    """Agreement between predicted and true amounts over scans.

    Args:
        scans: the scans.
        unit: the unit of their amounts.
        whole: whether the scans are whole volumes, not slabs.
    """
    true, predicted = (
        np.array([getattr(scan, side) for scan in scans]).reshape(-1, 3) for side in ("true", "predicted")
    )
    result = agreement.agreement(true, predicted)
    if len({scan.subject for scan in scans}) < FEWEST_SUBJECTS:  # too few to trust, as for intervals
        result = result._replace(**dict.fromkeys(("low", "high", "icc"), np.full(3, np.nan)))
    return TissueScores(
        unit=unit,
        of="whole volumes" if whole else "the slices of each scan",
        scans=len(scans),
        bias=named(classes.TISSUES, result.bias),
        low=named(classes.TISSUES, result.low),
        high=named(classes.TISSUES, result.high),
        icc=named(classes.TISSUES, result.icc),
        retest=_retest(scans),
        each={
            scan.case: ScanTissue(
                scan.subject, named(classes.TISSUES, scan.true), named(classes.TISSUES, scan.predicted)
            )
            for scan in scans
        },
    )


def _retest(scans: Sequence[Scan]) -> Retest | None:
    """The difference between the first two scans of each subject that was scanned more than once.

    The true amounts differ too, because the head has another position in the second scan, and because labels made by
    software vary. A prediction that differs no more than the truth is as repeatable as the truth.
    """
    of_subject: dict[str, list[Scan]] = {}
    for scan in scans:
        of_subject.setdefault(scan.subject, []).append(scan)
    pairs = [scans_of_subject[:2] for scans_of_subject in of_subject.values() if len(scans_of_subject) > 1]
    if not pairs:
        return None
    true, predicted = (
        _difference(*(np.array([getattr(pair[i], side) for pair in pairs]) for i in (0, 1)))
        for side in ("true", "predicted")
    )
    return Retest(len(pairs), true, predicted)


def _difference(
    first: Float64[np.ndarray, "subjects 3"], second: Float64[np.ndarray, "subjects 3"]
) -> RetestDifference:
    difference, mean = np.abs(second - first), (first + second) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        percent = (100 * difference / mean).mean(0)
    return RetestDifference(named(classes.TISSUES, difference.mean(0)), named(classes.TISSUES, percent))
