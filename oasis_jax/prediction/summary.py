"""What prediction finds in a file: areas, heights, millilitres, and what the user should know."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from oasis_jax.classes import COUNT, SHORT
from oasis_jax.data import appearance
from oasis_jax.inference.label import Segmentation
from oasis_jax.runs.trained import Trained
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.anatomy import BRAIN_MM, heights, is_cut_off, narrows_upward
from oasis_jax.volumes.nifti import slice_spacing

_ROUNDING = 0.01
"""Tolerance as a share of the brain's height, about one slice: the top of the brain is known to about one slice."""

_MORE_DOUBT = 1.25
"""How much more doubt than in the most doubtful slices of validation counts as alike; doubt is 1 - confidence."""

_SAME = 0.7
"""Share of voxels with the value of the next one from which on they are labels. It was 0.83 to 0.89 in maps of tissue,
and at most 0.15 in scans."""

_LARGEST_BRAIN = 2200.0
"""Millilitres of brain and CSF. Skulls of adults hold 1,000 to 1,900."""

_SMALLEST_BRAIN = 600.0
"""Millilitres of brain and CSF of an adult, with much room for what is labelled as background by mistake."""


@dataclass(frozen=True)
class SliceSummary:
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


@dataclass(frozen=True)
class FileSummary:
    """The values of one file in the tables."""

    file: str
    """As `InputFile.shown`."""
    slices: tuple[SliceSummary, ...]
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
    def amounts(self) -> tuple[str, Float64[np.ndarray, "3"]]:
        """A unit, and how much CSF, gray matter and white matter there is: "ml", or "cm2" without millilitres."""
        return ("cm2", self.areas / 100) if self.millilitres is None else ("ml", self.millilitres)

    @property
    def outside(self) -> int:
        """Number of slices with tissue outside the heights seen in training."""
        return sum(row.in_trained_heights is False and row.tissue > 0 for row in self.slices)


def file_summary(segmentation: Segmentation, trained: Trained, all_heights: bool = False) -> FileSummary:
    """Measure a labelled file: areas, volumes and heights, and whether it looks like the training slices.

    Args:
        segmentation: the file and its labels.
        trained: how the slices of training were cut, and their range of intensities.
        all_heights: add up the tissue of all slices of a volume, not only of the slices at trained heights.

    Raises:
        UserError: the labels are more than any head holds.
    """
    file, axis = segmentation.input, trained.cut.axis
    counts = np.stack([np.bincount(classes.ravel(), minlength=COUNT) for classes in segmentation.classes])
    gap = None if file.volume is None else slice_spacing(file.volume, axis)[2]
    pixel = 1.0 if file.volume is None or gap is None else file.volume.voxel / gap
    areas = counts[:, 1:] * pixel
    brain = areas.sum(1)
    cut_off = gap is not None and is_cut_off(brain, gap, axis)
    height = None if gap is None or cut_off else heights(brain, gap, axis)
    in_heights = None
    if height is not None and trained.cut.heights is not None:
        low, high = trained.cut.heights
        in_heights = (height > low - _ROUNDING) & (height < high + _ROUNDING)
    shown = np.asarray(file.head.any(axis=(1, 2)))
    unlike, differences = _unlike(segmentation, trained, shown if in_heights is None else shown & in_heights)
    whole = in_heights is None or all_heights
    counted = areas if in_heights is None or all_heights else areas[in_heights]
    millilitres = counted.sum(0) * gap / 1000 if gap is not None and len(areas) > 1 else None
    total = 0.0 if millilitres is None else float(millilitres.sum())
    if total > _LARGEST_BRAIN:
        raise UserError(
            f"{file.source.path} would have {total / 1000:.1f} l of brain and CSF, more than any head has: "
            "is it a T1 scan of a head, without noise around it?"
        )
    notes = [*file.notes]
    if cut_off:
        notes.append("it ends inside the brain, so the heights of its slices are unknown, and all are added up")
    notes += _map_notes(segmentation) + differences
    if axis == "axial" and height is not None and not narrows_upward(brain, height):
        notes.append("its brain does not narrow upward as in an upright head: it may be upside down, or no head")
    shows_head = whole and gap is not None and len(areas) * gap >= BRAIN_MM
    if shown.any() and not brain.any():
        notes.append("no brain was found in it, so nothing is labelled")
    elif shows_head and total < _SMALLEST_BRAIN:
        notes.append(f"{total:.0f} ml of brain and CSF were found in it, less than any adult has: it may be no head")
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
    return FileSummary(file.source.shown, tuple(slices), millilitres, whole, tuple(notes))


def _unlike(
    segmentation: Segmentation, trained: Trained, expected: Bool[np.ndarray, " slices"]
) -> tuple[Bool[np.ndarray, " slices"], list[str]]:
    """Whether the intensities of each slice, or the confidence of its labels, are outside the range of training.

    There is a note on each that is outside in most of the `expected` slices, those that show a head at trained heights.
    """
    intensities = np.array(appearance.out_of_range(list(segmentation.input.slices), trained.ranges))
    lowest = 0.0 if trained.confidence is None else trained.confidence
    doubtful = 1 - segmentation.confidence > _MORE_DOUBT * (1 - lowest)
    notes = []
    if 2 * intensities[expected].sum() > expected.sum():
        notes.append("it looks unlike the training slices (mean and standard deviation of intensity)")
    if 2 * doubtful[expected].sum() > expected.sum():
        confidence = float(np.median(segmentation.confidence[expected]))
        notes.append(
            f"its labels are doubtful: their confidence is {confidence:.3f} in the median slice; in validation, nearly "
            f"always {lowest:.3f} or more"
        )
    return intensities | doubtful, notes


def _map_notes(segmentation: Segmentation) -> list[str]:
    """A note on a file of labels, in which neighbours are mostly equal. The background does not count."""
    volume = segmentation.input.volume
    values = segmentation.input.slices if volume is None else volume.values
    here, same = values[:, 1:], values[:, 1:] == values[:, :-1]
    shown = (here != 0) & (here != values.min())
    if not shown.any() or same[shown].mean() < _SAME:
        return []
    return ["most of its voxels equal their neighbours, as in a map of labels: give the scan itself"]


def screen_line(summary: FileSummary) -> str:
    """One line about a file for the screen."""
    unit, values = summary.amounts
    tissue = ", ".join(f"{name} {value:.1f}" for name, value in zip(SHORT[1:], values, strict=True))
    slices = "" if len(summary.slices) == 1 else f"{len(summary.slices)} slices, "
    added = "and are added up" if summary.whole else "and are left out"
    outside = f" ({summary.outside} slices lie outside the heights seen in training {added})" if summary.outside else ""
    notes = "".join(f"; note: {note}" for note in summary.notes)
    return f"{summary.file}: {slices}{tissue} {unit}{outside}{notes}"
