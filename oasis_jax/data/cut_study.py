"""Cut a study of volumes into slices of a tree."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import tyro

from oasis_jax.classes import COUNT
from oasis_jax.data.slices import check_sides
from oasis_jax.data.study import LabelValues, Scan, classes_on
from oasis_jax.data.tree import Broken, Case
from oasis_jax.geometry import Axis, Size
from oasis_jax.system import console
from oasis_jax.system.errors import UserError, describe
from oasis_jax.volumes.anatomy import brain_span, find_head, gap_notes
from oasis_jax.volumes.frame import fit, put, volume_grey
from oasis_jax.volumes.nifti import check_orientation, planes, read_volume, thickness_notes
from oasis_jax.volumes.resample import planes_in_mm, resample


@dataclass(frozen=True)
class Rule:
    """How slices are cut from every scan; also options of a command."""

    values: Annotated[LabelValues, tyro.conf.arg(name="")] = LabelValues()  # noqa: RUF009
    orientation: str | None = None
    """Directions of the axes, such as RAS or LPI, for volumes whose header does not give them."""
    axis: Axis = "axial"
    """The plane that slices show."""
    start: float = 0.5
    """Height of the first slice: 0 is the base of the labelled brain, 1 its top. OASIS slices start half-way up."""
    extent: float = 32.0
    """How far up from there the slices reach, mm, but not beyond the brain."""
    every_height: bool = False
    """Cut all slices that show the head, from the neck to the vertex, whatever --start and --extent say."""
    frame: Size = (256, 256)
    """Rows and columns of the slices, multiples of 16, 1 mm each; the scans are centred in them."""

    def check(self) -> None:
        """Raise `UserError` if a setting is out of its range."""
        check_sides(self.frame)
        if not (0 <= self.start < 1 and 0 < self.extent < math.inf):
            raise UserError("--start must be from 0 to below 1, --extent above 0.")
        check_orientation(self.orientation)
        self.values.by_class()


def cut_study(scans: Sequence[Scan], splits: Mapping[str, str], rule: Rule) -> Iterator[Case | Broken]:
    """Cut every scan, for the split of its subject."""
    for scan in console.track(scans, len(scans), "Cutting volumes"):
        try:
            yield cut_scan(scan, splits[scan.subject], rule)
        except Exception as error:  # one broken scan must not stop the others
            yield Broken(splits[scan.subject], describe(scan.image, error))


def cut_scan(scan: Scan, split: str, rule: Rule) -> Case:
    """Read one scan and cut it.

    Raises:
        UserError: a volume cannot be read, the two do not belong together, the labels have values that belong to no
            class, or the head does not fit.
    """
    image = read_volume(scan.image, rule.orientation)
    truth = read_volume(scan.label, rule.orientation)
    labels = planes(classes_on(image, truth, rule.values.by_class()), rule.axis)
    values, (rows, columns), gap = planes_in_mm(image, rule.axis)
    span = brain_span((labels > 0).sum(axis=(1, 2)), gap, rule.axis)
    if span is None:
        raise UserError(f"{scan.label} labels no brain in {rule.axis} slices: is it the right file?")
    base, top = span
    head = find_head(values)
    if rule.every_height:
        shown = np.flatnonzero(head.mask.any(axis=(1, 2)) | labels.any(axis=(1, 2)))
        numbers = np.arange(shown[0], shown[-1] + 1)
    else:
        first = int(base + rule.start * (top - base))
        numbers = np.arange(first, min(first + max(1, round(rule.extent / gap)), top + 1))
    place = fit((rows.mm, columns.mm), head.box, rule.frame, rule.frame)
    if place.frame != rule.frame:
        needed = " ".join(map(str, place.frame))
        raise UserError(f"The head in {scan.image} does not fit into the slices: set --frame {needed}.")
    shares = [resample(labels[numbers] == k, rows.to_mm(), columns.to_mm()) for k in range(COUNT)]
    pairs = zip(volume_grey(values)[numbers], np.argmax(shares, axis=0).astype(np.uint8), strict=True)
    slices = [(put(grey, place), put(classes, place)) for grey, classes in pairs]
    lowest, highest = (float(number - base) / (top - base) for number in (numbers[0], numbers[-1]))
    heights = None if rule.every_height else (lowest, highest)
    origin = {"image": scan.image, "label": scan.label, "first_slice": int(numbers[0]), "slices": len(numbers)}
    origin |= {"row_mm": f"{rows.spacing:.4g}", "column_mm": f"{columns.spacing:.4g}", "slice_mm": f"{gap:.4g}"}
    said = (*image.notes, *gap_notes(head, image.numbers(rule.axis)), *thickness_notes(image, rule.axis))
    notes = [f"{scan.image}: {note}" for note in said]
    return Case(scan.case, scan.subject, split, slices, heights, gap, origin, notes)
