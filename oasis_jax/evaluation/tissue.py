"""How much of each tissue a scan shows, predicted and true: agreement, and how two scans of one person differ.

Of whole volumes these are millilitres of tissue. Of a tree of slices they are those of the slab that was cut; where the
distance of its slices is unknown, areas added over the slices; where nothing is known, pixels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from oasis_jax import classes
from oasis_jax.data.geometry import Spacing
from oasis_jax.metrics import aggregate, agreement, overlap
from oasis_jax.metrics.bootstrap import FEWEST_SUBJECTS


class Unit(NamedTuple):
    """What one pixel stands for."""

    name: str
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
    true: np.ndarray
    """float64 `(3,)`, in the unit."""
    predicted: np.ndarray
    """float64 `(3,)`, in the unit."""


def measure(
    confusion: np.ndarray, cases: Sequence[str], subjects: dict[str, str], amounts: dict[str, float]
) -> list[Scan]:
    """Measure each scan.

    Args:
        confusion: counts of each slice, `(N, 4, 4)`.
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


def summarise(found: Sequence[Scan], unit: str, whole: bool) -> dict[str, Any]:
    """Agreement over scans, as plain JSON values.

    Args:
        found: the scans.
        unit: of their amounts.
        whole: whether they are whole volumes, not slabs of one.
    """
    true, predicted = (np.array([getattr(scan, side) for scan in found]).reshape(-1, 3) for side in Scan._fields[2:])
    agreed = agreement.agreement(true, predicted)
    if len({scan.subject for scan in found}) < FEWEST_SUBJECTS:  # a guess, as intervals are
        agreed = agreed._replace(**dict.fromkeys(("low", "high", "icc"), np.full(3, np.nan)))
    return {
        "unit": unit,
        "of": "whole volumes" if whole else "the slices of each scan",
        "scans": len(found),
        **{name: _named(values) for name, values in agreed._asdict().items()},
        "retest": _retest(found),
        "each": {
            scan.case: {"subject": scan.subject, "true": _named(scan.true), "predicted": _named(scan.predicted)}
            for scan in found
        },
    }


def _retest(found: Sequence[Scan]) -> dict[str, Any] | None:
    """The difference between the first two scans of a person: how large, and in percent of their mean.

    Truth has one too, because a head lies otherwise in its second scan, and because labels of software vary; a
    prediction that differs no more than the truth is as repeatable.
    """
    of_subject: dict[str, list[Scan]] = {}
    for scan in found:
        of_subject.setdefault(scan.subject, []).append(scan)
    twice = [both[:2] for both in of_subject.values() if len(both) > 1]
    if not twice:
        return None
    out: dict[str, Any] = {"subjects": len(twice)}
    for side in ("true", "predicted"):
        first, second = (np.array([getattr(pair[i], side) for pair in twice]) for i in (0, 1))
        difference, middle = np.abs(second - first), (first + second) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            percent = (100 * difference / middle).mean(0)
        out[side] = {"mean_difference": _named(difference.mean(0)), "percent": _named(percent)}
    return out


def _named(values: np.ndarray) -> dict[str, float | None]:
    return {
        classes.NAMES[k]: None if np.isnan(x) else float(x) for k, x in zip(classes.FOREGROUND, values, strict=True)
    }
