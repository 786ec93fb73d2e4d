"""Cut a study of volumes into slices and write them as a tree, with a picture that shows what was cut."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import tyro
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from oasis_jax import geometry, overlays
from oasis_jax.classes import COUNT
from oasis_jax.config import SPLITS
from oasis_jax.data.slices import check_sides, make_folders, write_pair
from oasis_jax.data.study import LabelValues, Scan, classes_on
from oasis_jax.geometry import Axis, Size
from oasis_jax.system.console import Tracker, silent
from oasis_jax.system.errors import UserError, describe
from oasis_jax.system.files import atomic_folder, csv_text, printable, write_text
from oasis_jax.volumes.anatomy import brain_span, find_head, gap_notes
from oasis_jax.volumes.frame import fit, put, volume_grey
from oasis_jax.volumes.nifti import (
    check_orientation,
    check_slices,
    planes,
    read_volume,
    slice_spacing,
    thickness_notes,
)
from oasis_jax.volumes.resample import Grid, resample


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
    every_height: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
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


class CutScan(NamedTuple):
    """The slices of one scan."""

    images: UInt8[np.ndarray, "slices rows columns"]
    classes: UInt8[np.ndarray, "slices rows columns"]
    first: int
    """Number of the first slice along the volume's axis."""
    spacing: tuple[float, float, float]
    """Of the volume's rows, columns and slices, mm."""
    heights: tuple[float, float]
    """Of the first and the last slice."""
    notes: tuple[str, ...]


def cut_scan(scan: Scan, rule: Rule) -> CutScan:
    """Read one scan and cut it.

    Raises:
        UserError: a volume cannot be read, the two do not belong together, the labels have values that belong to no
            class, or the head does not fit.
    """
    image = read_volume(scan.image, rule.orientation)
    truth = read_volume(scan.label, rule.orientation)
    classes = planes(classes_on(image, truth, rule.values.by_class()), rule.axis)
    *pixel, gap = slice_spacing(image, rule.axis)
    span = brain_span((classes > 0).sum(axis=(1, 2)), gap, rule.axis)
    if span is None:
        raise UserError(f"{scan.label} labels no brain in {rule.axis} slices: is it the right file?")
    check_slices(image, rule.axis)
    base, top = span
    sides = Grid(classes.shape[1], pixel[0]), Grid(classes.shape[2], pixel[1])
    values = resample(planes(image.values, rule.axis), sides[0].to_mm(), sides[1].to_mm())
    head = find_head(values)
    if rule.every_height:
        shown = np.flatnonzero(head.mask.any(axis=(1, 2)) | classes.any(axis=(1, 2)))
        numbers = np.arange(shown[0], shown[-1] + 1)
    else:
        first = int(base + rule.start * (top - base))
        numbers = np.arange(first, min(first + max(1, round(rule.extent / gap)), top + 1))
    place = fit((sides[0].mm, sides[1].mm), (head.rows, head.columns), rule.frame, rule.frame)
    if place.frame != rule.frame:
        needed = f"{place.frame[0]} {place.frame[1]}"
        raise UserError(f"The head in {scan.image} does not fit into the slices: set --frame {needed}.")
    indicators = np.stack([classes[numbers] == k for k in range(COUNT)])
    shares = resample(indicators.reshape(-1, *indicators.shape[2:]), sides[0].to_mm(), sides[1].to_mm())
    resampled = shares.reshape(COUNT, len(numbers), *shares.shape[1:]).argmax(0).astype(np.uint8)
    height = (numbers[[0, -1]] - base) / (top - base)
    return CutScan(
        images=np.stack([put(plane, place) for plane in volume_grey(values)[numbers]]),
        classes=np.stack([put(plane, place) for plane in resampled]),
        first=int(numbers[0]),
        spacing=(pixel[0], pixel[1], gap),
        heights=(float(height[0]), float(height[1])),
        notes=(*image.notes, *gap_notes(head), *thickness_notes(image, rule.axis)),
    )


_SHOWN = 12
"""Most scans in the contact sheet."""

_SAME = 0.01
"""mm below which two distances of slices count as the same."""


class Written(NamedTuple):
    """What was written as a tree."""

    scans: int
    splits: dict[str, str]
    """The split of each subject."""
    notes: list[str]
    """What the user should know about some of the scans."""
    problems: list[str]
    """A sentence about each scan that could not be cut. Such scans are left out."""


def write_study(
    root: Path, scans: Sequence[Scan], splits: dict[str, str], rule: Rule, track: Tracker = silent
) -> Written:
    """Cut every scan and write the tree `root`, which must not exist yet; it appears complete or not at all.

    Beside the slices lie `subjects.csv`, `volumes.csv` (the origin of each case), `cut.json` (for prediction) and
    `contact_sheet.png`.

    Args:
        root: the tree.
        scans: to cut.
        splits: the split of each subject.
        rule: how to cut them.
        track: shows progress over the scans.

    Returns:
        What was written, and what was left out.

    Raises:
        UserError: a split has no scan left; lists every scan that cannot be cut.
    """
    rows, notes, strips, heights, gaps, problems = [], [], [], [], [], []
    sampled = {scans[int(i)] for i in np.linspace(0, len(scans) - 1, min(_SHOWN, len(scans)))}

    def fill(part: Path) -> None:
        make_folders(part)
        for scan in track(scans, len(scans), "Cutting volumes"):
            try:
                cut = cut_scan(scan, rule)
            except Exception as error:  # one broken scan must not stop the others
                problems.append(describe(scan.image, error))
                continue
            split = splits[scan.subject]
            for k, (image, classes) in enumerate(zip(cut.images, cut.classes, strict=True)):
                write_pair(part, split, scan.case, k, image, classes)
            origin = [scan.case, scan.subject, split, scan.image, scan.label, cut.first, len(cut.images)]
            rows.append([*origin, *(f"{mm:.4g}" for mm in cut.spacing)])
            notes.extend(f"{scan.image}: {note}" for note in cut.notes)
            heights.append(cut.heights)
            gaps.append(cut.spacing[2])
            if scan in sampled or not strips:
                strips.append(_strip(printable(f"{scan.case}, {split}"), cut))
        if empty := [s for s in SPLITS if s in splits.values() and s not in {row[2] for row in rows}]:
            listing = "\n".join(f"  {problem}" for problem in problems)
            raise UserError(
                f"{root.name} was not written: no scan is left for {' and '.join(empty)}. {len(problems)} problem(s):\n"
                f"{listing}"
            )
        lowest, highest = zip(*heights, strict=True)
        gap = gaps[0] if max(gaps) - min(gaps) < _SAME else None
        seen = None if rule.every_height else (min(lowest), max(highest))
        geometry.write_cut(part, geometry.Cut(rule.axis, seen, (1.0, 1.0, gap)))
        origins = ["case", "subject", "split", "image", "label", "first_slice", "slices"]
        write_text(part / "volumes.csv", csv_text([*origins, "row_mm", "column_mm", "slice_mm"], rows))
        write_text(part / "subjects.csv", csv_text(["case", "oasis_subject"], [row[:2] for row in rows]))
        overlays.write_picture(part / "contact_sheet.png", overlays.mosaic(strips, columns=1))

    atomic_folder(root, fill)
    return Written(len(rows), {row[1]: row[2] for row in rows}, notes, problems)


def _strip(title: str, cut: CutScan) -> UInt8[np.ndarray, "rows columns"]:
    """One scan: its first, middle and last slice, each beside its labels, as indices into the palette."""
    tiles = [overlays.beside(cut.images[k], cut.classes[k]) for k in (0, len(cut.images) // 2, -1)]
    image = Image.fromarray(np.concatenate(tiles, axis=1))
    ImageDraw.Draw(image).text((6, 4), title, fill=63)
    return np.asarray(image)
