"""What prediction finds in a file: areas, heights, millilitres, and what the user should know."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from oasis_jax.classes import COUNT, SHORT
from oasis_jax.inference.label import Segmentation
from oasis_jax.prediction.unlike import judge
from oasis_jax.runs.trained import Trained
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.anatomy import BRAIN_MM, heights, is_cut_off
from oasis_jax.volumes.nifti import slice_spacing

_ROUNDING = 0.01
"""Tolerance as a share of the brain's height, about one slice: the top of the brain is known to about one slice."""


_LARGEST_BRAIN = 2200.0
"""Millilitres of brain and CSF. Skulls of adults hold 1,000 to 1,900."""

_SMALLEST_BRAIN = 600.0
"""Millilitres of brain and CSF of an adult, with much room for what is labelled as background by mistake."""


class SliceSummary(NamedTuple):
    """The values of one slice in the tables."""

    number: int
    height: float | None
    """From the base of the brain, 0, to its top, 1; None if it is unknown, for example for a PNG file."""
    in_trained_heights: bool | None
    """Whether training saw slices at this height; None if the height is unknown."""
    unlike_training: bool
    """Whether its intensities or the confidence of its labels are outside the range of training."""
    confidence: float
    """Mean probability of the classes inside the labelled brain; 1 if it has none."""
    areas: tuple[float, ...]
    """Areas of CSF, gray matter and white matter, mm²."""

    @property
    def tissue(self) -> float:
        """Area of the three tissues together, mm²."""
        return sum(self.areas)


class FileSummary(NamedTuple):
    """The values of one file in the tables."""

    file: str
    """As `InputFile.shown`."""
    slices: list[SliceSummary]
    millilitres: Float64[np.ndarray, "3"] | None
    """Volumes of CSF, gray matter and white matter over the counted slices; None for one slice, or if the slice
    spacing is unknown."""
    whole: bool
    """True if all slices are counted, False if only slices at trained heights are."""
    notes: tuple[str, ...]
    """What the user should know about this file."""

    @property
    def areas(self) -> Float64[np.ndarray, "3"]:
        """Areas of CSF, gray matter and white matter over all slices, mm²."""
        return np.sum([row.areas for row in self.slices], axis=0)

    @property
    def outside(self) -> int:
        """Number of slices with tissue outside the heights seen in training."""
        return sum(row.in_trained_heights is False and row.tissue > 0 for row in self.slices)


def summarise(segmentation: Segmentation, trained: Trained, all_heights: bool = False) -> FileSummary:
    """Measure a labelled file: areas, volumes and heights, and whether it looks like the training slices.

    Args:
        segmentation: the file and its labels.
        trained: how the slices of training were cut, and their range of intensities.
        all_heights: add up the tissue of all slices of a volume, not only of the slices at trained heights.

    Raises:
        UserError: the labels are more than any head holds.
    """
    file, notes = segmentation.input, list(segmentation.input.notes)
    counts = np.stack([np.bincount(classes.ravel(), minlength=COUNT) for classes in segmentation.classes])
    gap = None if file.volume is None else slice_spacing(file.volume, trained.cut.axis)[2]
    pixel = 1.0 if file.volume is None or gap is None else file.volume.voxel / gap
    areas = counts[:, 1:] * pixel
    brain, axis = areas.sum(1), trained.cut.axis
    height = None if gap is None or is_cut_off(brain, gap, axis) else heights(brain, gap, axis)
    if gap is not None and is_cut_off(brain, gap, axis):
        notes.append("it ends inside the brain, so the heights of its slices are unknown, and all are added up")
    in_heights = None
    if height is not None and trained.cut.heights is not None:
        low, high = trained.cut.heights
        in_heights = (height > low - _ROUNDING) & (height < high + _ROUNDING)
    shown = np.asarray(file.head.any(axis=(1, 2)))
    expected = shown if in_heights is None else shown & in_heights
    unlike, differences = judge(segmentation, trained, expected, brain, height)
    notes += differences
    slices = [
        SliceSummary(
            number=k,
            height=None if height is None else float(height[k]),
            in_trained_heights=None if in_heights is None else bool(in_heights[k]),
            unlike_training=bool(unlike[k]),
            confidence=float(segmentation.confidence[k]),
            areas=tuple(map(float, areas[k])),
        )
        for k in range(len(areas))
    ]
    whole = in_heights is None or all_heights
    counted = areas if in_heights is None or all_heights else areas[in_heights]
    millilitres = counted.sum(0) * gap / 1000 if gap is not None and len(areas) > 1 else None
    total = 0.0 if millilitres is None else float(millilitres.sum())
    if total > _LARGEST_BRAIN:
        raise UserError(
            f"{file.source.path} would have {total / 1000:.1f} l of brain and CSF, more than any head has: "
            "is it a T1 scan of a head, without noise around it?"
        )
    shows_head = whole and gap is not None and len(areas) * gap >= BRAIN_MM
    if shown.any() and not brain.any():
        notes.append("no brain was found in it, so nothing is labelled")
    elif shows_head and total < _SMALLEST_BRAIN:
        notes.append(f"{total:.0f} ml of brain and CSF were found in it, less than any adult has: it may be no head")
    return FileSummary(file.source.shown, slices, millilitres, whole, tuple(notes))


def screen_line(summary: FileSummary) -> str:
    """One line about a file for the screen."""
    unit, values = ("cm2", summary.areas / 100) if summary.millilitres is None else ("ml", summary.millilitres)
    tissue = ", ".join(f"{name} {value:.1f}" for name, value in zip(SHORT[1:], values, strict=True))
    slices = "" if len(summary.slices) == 1 else f"{len(summary.slices)} slices, "
    added = "and are added up" if summary.whole else "and are left out"
    outside = f" ({summary.outside} slices lie outside the heights seen in training {added})" if summary.outside else ""
    notes = "".join(f"; note: {note}" for note in summary.notes)
    return f"{summary.file}: {slices}{tissue} {unit}{outside}{notes}"
