"""Predicted and true amounts of tissue in scans: their agreement, and the difference between two scans of a subject.

For whole volumes the amounts are millilitres of tissue. For a tree of slices they are millilitres in the slab that was
cut; if the slice spacing is unknown, areas summed over the slices; if the pixel size is unknown too, pixels.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from oasis_jax.classes import TISSUES
from oasis_jax.evaluation.counting import Evaluated
from oasis_jax.evaluation.scores import Retest, RetestDifference, ScanTissue, TissueScores, Unit, named
from oasis_jax.geometry import Spacing
from oasis_jax.metrics import aggregate, overlap
from oasis_jax.metrics.agreement import agreement
from oasis_jax.metrics.bootstrap import FEWEST_SUBJECTS


def unit(spacing: Spacing | None) -> tuple[Unit, float]:
    """The unit of amounts, and the amount of one pixel: ml, cm² without a slice spacing, or pixels without any."""
    if spacing is None:
        return "pixels", 1.0
    row, column, slice_mm = spacing
    return ("cm²", row * column / 100) if slice_mm is None else ("ml", row * column * slice_mm / 1000)


def tissue_scores(evaluated: Evaluated) -> TissueScores:
    """Agreement between predicted and true amounts over all scans, in one unit; in pixels if the units differ."""
    cases, confusion = aggregate.sums(evaluated.table.confusion, [pair.case for pair in evaluated.pairs])
    units, amounts = zip(*(unit(evaluated.spacing[case]) for case in cases), strict=True)
    if len(set(units)) > 1:
        units, amounts = zip(*[unit(None)] * len(cases), strict=True)
    sums, subjects = overlap.hard_overlap(confusion), [evaluated.subjects[case] for case in cases]
    true, predicted = (side[:, 1:] * np.array(amounts)[:, None] for side in (sums.true, sums.predicted))
    found = agreement(true, predicted)
    if len(set(subjects)) < FEWEST_SUBJECTS:  # too few to trust, as for intervals
        found = found._replace(**dict.fromkeys(("low", "high", "icc"), np.full(3, np.nan)))
    return TissueScores(
        unit=units[0],
        of="whole volumes" if evaluated.whole else "the slices of each scan",
        scans=len(cases),
        **{name: named(TISSUES, values) for name, values in found._asdict().items()},
        retest=retest(subjects, true, predicted),
        each={
            case: ScanTissue(subject, *(named(TISSUES, amounts) for amounts in sides))
            for case, subject, *sides in zip(cases, subjects, true, predicted, strict=True)
        },
    )


def retest(
    subjects: Sequence[str], true: Float64[np.ndarray, "scans 3"], predicted: Float64[np.ndarray, "scans 3"]
) -> Retest | None:
    """The difference between the first two scans of each subject that was scanned more than once; None without any.

    The true amounts differ too, because the head has another position in the second scan, and because labels made by
    software vary. A prediction that differs no more than the truth is as repeatable as the truth. Amounts are those of
    CSF, gray matter and white matter.
    """
    scans = {subject: [i for i, name in enumerate(subjects) if name == subject] for subject in subjects}
    pairs = [own[:2] for own in scans.values() if len(own) > 1]
    if not pairs:
        return None
    differences = []
    for amounts in (true, predicted):
        first, second = np.moveaxis(amounts[pairs], 1, 0)
        difference, mean = np.abs(second - first), (first + second) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            percent = (100 * difference / mean).mean(0)
        differences.append(RetestDifference(named(TISSUES, difference.mean(0)), named(TISSUES, percent)))
    return Retest(len(pairs), *differences)
