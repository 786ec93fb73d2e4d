"""What prediction finds in a file: areas, millilitres, and what the user should know."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from oasis_jax.classes import COUNT, SHORT
from oasis_jax.data import appearance
from oasis_jax.inference.label import Segmentation
from oasis_jax.runs.trained import Trained
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.anatomy import BRAIN_MM, brain_notes
from oasis_jax.volumes.nifti import slice_spacing

_MORE_DOUBT = 1.25
"""How much more doubt than in the most doubtful slices of validation counts as alike; doubt is 1 - confidence."""

_SAME = 0.7
"""Share of voxels with the value of the next one from which on they are labels. It was 0.83 to 0.89 in maps of tissue,
and at most 0.15 in scans."""

_LARGEST_BRAIN = 2200.0
"""Millilitres of brain and CSF. Skulls of adults hold 1,000 to 1,900."""

_SMALLEST_BRAIN = 600.0
"""Millilitres of brain and CSF of an adult, with much room for what is labelled as background by mistake."""

_SLAB = (
    "the network was trained on slices from {:.2f} to {:.2f} of the brain's height: labels at other heights are "
    "unreliable, and all slices are added up (pretrained labels whole heads)"
)


@dataclass(frozen=True)
class SliceSummary:
    """The values of one slice in the tables."""

    number: int
    """Of the plane along the file's own axis, from 0; a PNG slice has 0."""
    unlike_training: bool
    """Whether its intensities or the confidence of its labels are outside the range of training."""
    confidence: float
    """Mean probability of the classes inside the labelled brain; 1 if it has none."""
    areas: tuple[float, ...]
    """Areas of CSF, gray matter and white matter, mm²."""


@dataclass(frozen=True)
class FileSummary:
    """The values of one file in the tables."""

    file: str
    """As `InputFile.shown`."""
    slices: tuple[SliceSummary, ...]
    millilitres: Float64[np.ndarray, "3"] | None
    """Volumes of CSF, gray matter and white matter over all slices; None for one slice."""
    notes: tuple[str, ...]
    """What the user should know about this file."""

    @property
    def amounts(self) -> tuple[str, Float64[np.ndarray, "3"]]:
        """A unit, and how much CSF, gray matter and white matter there is: "ml", or "cm2" without millilitres."""
        if self.millilitres is None:
            return "cm2", np.sum([row.areas for row in self.slices], axis=0) / 100
        return "ml", self.millilitres


def file_summary(segmentation: Segmentation, trained: Trained) -> FileSummary:
    """Measure a labelled file: areas and volumes, and whether it looks like the training slices.

    Raises:
        UserError: the labels of a network that saw every height are more than any head holds.
    """
    file, axis = segmentation.input, segmentation.input.axis
    counts = np.stack([np.bincount(classes.ravel(), minlength=COUNT) for classes in segmentation.classes])
    gap = None if file.volume is None else slice_spacing(file.volume, axis)[2]
    pixel = 1.0 if file.volume is None or gap is None else file.volume.voxel / gap
    areas = counts[:, 1:] * pixel
    millilitres = areas.sum(0) * gap / 1000 if gap is not None and len(areas) > 1 else None
    total = 0.0 if millilitres is None else float(millilitres.sum())
    slab = None if gap is None or trained.cut.heights is None else _SLAB.format(*trained.cut.heights)
    if total > _LARGEST_BRAIN and slab is None:
        raise UserError(
            f"{file.source.path} would have {total / 1000:.1f} l of brain and CSF, more than any head has: "
            "is it a T1 scan of a head, without noise around it?"
        )
    unlike, differences = _unlike(segmentation, trained)
    notes = [*file.notes, *([slab] if slab else []), *_map_notes(segmentation), *differences]
    if file.head.any() and not areas.any():
        notes.append("no brain was found in it, so nothing is labelled")
    elif gap is not None:
        notes += brain_notes(areas.sum(1), gap, axis)
        if len(areas) * gap >= BRAIN_MM and total < _SMALLEST_BRAIN:
            notes.append(f"{total:.0f} ml of brain and CSF were found, less than any adult has: it may be no head")
    numbers = [0] if file.volume is None else file.volume.numbers(axis)
    slices = [
        SliceSummary(number, bool(unlike[k]), float(segmentation.confidence[k]), tuple(map(float, areas[k])))
        for k, number in enumerate(numbers)
    ]
    return FileSummary(file.source.shown, tuple(slices), millilitres, tuple(notes))


def _unlike(segmentation: Segmentation, trained: Trained) -> tuple[Bool[np.ndarray, " slices"], list[str]]:
    """Whether the intensities of each slice, or the confidence of its labels, are outside the range of training.

    There is a note on each that is outside in most of the slices that show a head.
    """
    shown = segmentation.input.head.any(axis=(1, 2))
    intensities = np.array(appearance.out_of_range(list(segmentation.input.slices), trained.ranges))
    lowest = 0.0 if trained.confidence is None else trained.confidence
    doubtful = 1 - segmentation.confidence > _MORE_DOUBT * (1 - lowest)
    notes = []
    if 2 * intensities[shown].sum() > shown.sum():
        notes.append("it looks unlike the training slices (mean and standard deviation of intensity)")
    if 2 * doubtful[shown].sum() > shown.sum():
        confidence = float(np.median(segmentation.confidence[shown]))
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
    notes = "".join(f"; note: {note}" for note in summary.notes)
    return f"{summary.file}: {slices}{tissue} {unit}{notes}"
