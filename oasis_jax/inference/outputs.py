"""What prediction writes: label maps, pictures, probabilities and tables of tissue."""

import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from oasis_jax.classes import COLOURS, COUNT, NAMES, SHORT, STEP
from oasis_jax.data import appearance, overlays
from oasis_jax.data.volumes.anatomy import heights, is_cut_off
from oasis_jax.data.volumes.finding import InputFile
from oasis_jax.data.volumes.frame import take
from oasis_jax.data.volumes.nifti import is_volume, slice_spacing, stacked, write_volume
from oasis_jax.inference.label import Segmentation
from oasis_jax.runs.folder import Trained
from oasis_jax.system.files import atomic_write, csv_text, printable, write_text

_TILES = 24
"""Slices that the picture of a volume shows at most."""

_ROUNDING = 0.01
"""Of a brain's height, about one slice: the brain's top is found to within a slice or so."""


class SliceSummary(NamedTuple):
    """What the tables say of one slice."""

    number: int
    height: float | None
    """From the base of the brain, 0, to its top, 1; None where that is unknown, as of a PNG file."""
    in_trained_heights: bool | None
    unlike_training: bool
    areas: tuple[float, ...]
    """Of CSF, gray and white matter, mm^2."""

    @property
    def tissue(self) -> float:
        """Area of all three, mm^2."""
        return sum(self.areas)


class FileSummary(NamedTuple):
    """What the tables say of one file."""

    file: str
    slices: list[SliceSummary]
    millilitres: np.ndarray | None
    """Volume of CSF, gray and white matter over the slices that count; None where the distance of slices is unknown."""
    whole: bool
    """Whether all slices count, or only those at heights that training saw."""
    notes: tuple[str, ...]

    @property
    def areas(self) -> np.ndarray:
        """Area of CSF, gray and white matter over all slices, mm^2."""
        return np.sum([one.areas for one in self.slices], axis=0)

    @property
    def outside(self) -> int:
        """Slices with brain outside the heights seen in training."""
        return sum(one.in_trained_heights is False and one.tissue > 0 for one in self.slices)


def names(found: InputFile, probabilities: bool) -> list[str]:
    """The files, relative to the output folder, that a prediction writes: labels, overlay, and maybe probabilities."""
    volume = is_volume(found.path)
    wanted = [f"{found.name}_labels" + (".nii.gz" if volume else ".png"), f"{found.name}_overlay.png"]
    return [*wanted, f"{found.name}_probabilities" + (".nii.gz" if volume else ".npy")] if probabilities else wanted


TABLES = ("tissue.csv", "slices.csv", "labels.tsv")


def report(one: Segmentation, trained: Trained, all_heights: bool = False) -> FileSummary:
    """Measure one file: areas and volumes, heights, likeness to the training slices.

    Args:
        one: the file and its labels.
        trained: what the run remembers.
        all_heights: add up the tissue of all slices of a volume, not only of those at heights that training saw.
    """
    item, notes = one.input, list(one.input.notes)
    counts = np.stack([np.bincount(classes.ravel(), minlength=COUNT) for classes in one.classes])
    gap = None if item.volume is None else slice_spacing(item.volume, trained.cut.axis)[2]
    pixel = 1.0 if item.volume is None or gap is None else item.volume.voxel / gap
    areas = counts[:, 1:] * pixel
    brain, axis = areas.sum(1), trained.cut.axis
    height = None if gap is None or is_cut_off(brain, gap, axis) else heights(brain, gap, axis)
    if gap is not None and is_cut_off(brain, gap, axis):
        notes.append("it ends inside the brain, so the heights of its slices are unknown, and all are added up")
    low, high = trained.cut.heights
    trusted = None if height is None else (height > low - _ROUNDING) & (height < high + _ROUNDING)
    strange = appearance.out_of_range(list(item.slices), trained.ranges)
    judged = [s for k, s in enumerate(strange) if item.head[k].any() and (trusted is None or trusted[k])]
    if sum(judged) > len(judged) / 2:
        notes.append("it looks unlike the training slices (share of the frame above air, mean and spread of grey)")
    slices = [
        SliceSummary(
            number=k,
            height=None if height is None else float(height[k]),
            in_trained_heights=None if trusted is None else bool(trusted[k]),
            unlike_training=strange[k],
            areas=tuple(map(float, areas[k])),
        )
        for k in range(len(areas))
    ]
    counted = areas if trusted is None or all_heights else areas[trusted]
    millilitres = counted.sum(0) * gap / 1000 if gap is not None and len(areas) > 1 else None
    return FileSummary(item.file.path.name, slices, millilitres, trusted is None or all_heights, tuple(notes))


def write(one: Segmentation, facts: FileSummary, folder: Path, trained: Trained) -> None:
    """Write the files of one prediction, each whole or not at all."""
    item = one.input
    files = [folder / name for name in names(item.file, one.probabilities is not None)]
    if item.volume is None:
        grey = Image.fromarray(one.classes[0] * np.uint8(STEP))
        atomic_write(files[0], lambda part: grey.save(part, format="PNG", compress_level=1))
    else:
        volume, classes = item.volume, stacked(one.classes, trained.cut.axis)
        atomic_write(files[0], lambda part: write_volume(part, classes, volume, names=True))
    atomic_write(files[1], lambda part: overlays.write_picture(part, _picture(one, facts)))
    if one.probabilities is not None:
        values = one.probabilities
        if item.volume is None:
            atomic_write(files[2], lambda part: _save_array(part, values[0]))
        else:
            volume = item.volume
            atomic_write(files[2], lambda part: write_volume(part, stacked(values, trained.cut.axis), volume))


def write_tables(folder: Path, reports: list[FileSummary]) -> list[str]:
    """Write `tissue.csv` (a line a file), `slices.csv` (a line a slice), `labels.tsv` (what a label value means).

    Lines of other files, from earlier predictions into the same folder, stay.

    Returns:
        A sentence for each table whose earlier lines could not be read.
    """
    tissues = [name.replace(" ", "_") for name in NAMES[1:]]
    lines = [
        [
            one.file,
            len(one.slices),
            one.outside,
            "all" if one.whole else "trained",
            *(["", "", ""] if one.millilitres is None else [f"{x:.2f}" for x in one.millilitres]),
            *([f"{x / 100:.2f}" for x in one.areas] if one.millilitres is None else ["", "", ""]),
            "; ".join(one.notes),
        ]
        for one in reports
    ]
    units = [f"{name}_ml" for name in tissues] + [f"{name}_cm2" for name in tissues]
    header = ["file", "slices", "slices_outside_trained_heights", "heights_added_up", *units, "notes"]
    told = _continue_table(folder / TABLES[0], header, lines)
    rows = [_slice_row(one.file, each) for one in reports for each in one.slices]
    header = ["file", "slice", "height", "in_trained_heights", "unlike_training", *(f"{name}_mm2" for name in tissues)]
    told += _continue_table(folder / TABLES[1], header, rows)
    colours = ["#{:02X}{:02X}{:02X}".format(*colour) for colour in COLOURS]
    table = [f"{k}\t{name}\t{colours[k]}\n" for k, name in enumerate(NAMES)]
    write_text(folder / TABLES[2], "index\tname\tcolor\n" + "".join(table))
    return told


def _slice_row(file: str, one: SliceSummary) -> list[Any]:
    height = None if one.height is None else round(one.height, 3)
    known = (one.number, height, one.in_trained_heights, one.unlike_training)
    return [file, *("" if value is None else value for value in known), *one.areas]


def _continue_table(path: Path, header: list[str], lines: list[list[Any]]) -> list[str]:
    """Write lines, the first column of which names their file, behind those of other files that a table holds.

    A table that is no such table is kept under another name, and a sentence says so.
    """
    anew, told = {printable(str(line[0])) for line in lines}, []
    kept: list[list[str]] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            first, *kept = csv.reader(file, strict=True)
        if first != header or any(len(row) != len(header) for row in kept):
            raise ValueError
    except FileNotFoundError:
        kept = []
    except (ValueError, csv.Error):
        kept, aside = [], path.with_name(f"old-{path.name}")
        path.replace(aside)
        told = [f"{path} held something else than its table, which is now called {aside.name}."]
    write_text(path, csv_text(header, [row for row in kept if row[0] not in anew] + lines))
    return told


def sentence(one: FileSummary) -> str:
    """One line about one file."""
    unit, values = ("cm2", one.areas / 100) if one.millilitres is None else ("ml", one.millilitres)
    tissue = ", ".join(f"{name} {value:.1f}" for name, value in zip(SHORT[1:], values, strict=True))
    slices = "" if len(one.slices) == 1 else f"{len(one.slices)} slices, "
    added = "and are added up" if one.whole else "and are left out"
    outside = f" ({one.outside} slices lie outside the heights seen in training {added})" if one.outside else ""
    notes = "".join(f"; note: {note}" for note in one.notes)
    return f"{one.file}: {slices}{tissue} {unit}{outside}{notes}"


def _picture(one: Segmentation, facts: FileSummary) -> np.ndarray:
    """A PNG slice under its labels; of a volume, a choice of slices that show any brain, each beside itself."""
    if one.input.volume is None:
        return overlays.tinted(*_same_size(one, 0))
    shown = [each.number for each in facts.slices if each.tissue] or list(range(len(one.classes)))
    chosen = [shown[i] for i in np.linspace(0, len(shown) - 1, min(_TILES, len(shown))).round().astype(int)]
    return overlays.mosaic([overlays.beside(*_same_size(one, k)) for k in chosen], columns=4)


def _same_size(one: Segmentation, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey levels and classes of a slice in pixels of 1 mm."""
    item = one.input
    grey = take(item.slices[k], item.place, item.head.shape[1:], 0)
    classes = one.classes[k]
    if classes.shape != grey.shape:
        row = np.linspace(0, classes.shape[0] - 1, grey.shape[0]).round().astype(int)
        column = np.linspace(0, classes.shape[1] - 1, grey.shape[1]).round().astype(int)
        classes = classes[row][:, column]
    return grey, classes


def _save_array(path: Path, values: np.ndarray) -> None:
    content = io.BytesIO()  # straight to a file, numpy loses the system's reason when the disk is full
    np.save(content, values, allow_pickle=False)
    path.write_bytes(content.getvalue())
