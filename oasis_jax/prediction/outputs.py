"""The outputs of prediction: label maps, pictures, probabilities and tables of tissue."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from oasis_jax import overlays
from oasis_jax.classes import COLOURS, NAMES, STEP
from oasis_jax.geometry import Axis
from oasis_jax.inference.label import Segmentation
from oasis_jax.prediction.summary import FileSummary, SliceSummary
from oasis_jax.runs.trained import Trained
from oasis_jax.system.files import atomic_write, csv_text, printable, write_text
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.frame import take
from oasis_jax.volumes.nifti import is_volume, stacked, write_volume

_TILES = 24
"""Maximum number of slices in the picture of a volume."""

_DARKER = 3
"""Divides the grey levels of slices at untrained heights in that picture."""

PAGE = "_view.html"
"""The page of a volume has the name of the volume and this suffix."""


def names(file: InputFile, probabilities: bool) -> list[str]:
    """Names of the files that a prediction writes: labels, overlay, probabilities if requested, page of a volume."""
    volume = is_volume(file.path)
    pictures = [f"{file.name}_labels" + (".nii.gz" if volume else ".png"), f"{file.name}_overlay.png"]
    arrays = [f"{file.name}_probabilities" + (".nii.gz" if volume else ".npy")] if probabilities else []
    pages = [f"{file.name}{PAGE}"] if volume else []
    return [*pictures, *arrays, *pages]


TABLES = (TISSUE, SLICES) = ("tissue.csv", "slices.csv")

LABELS = "labels.tsv"

_TISSUES = [name.replace(" ", "_") for name in NAMES[1:]]

_TISSUE_HEADER = [
    *("file", "slices", "slices_outside_trained_heights", "heights_added_up"),
    *(f"{name}_{unit}" for unit in ("ml", "cm2") for name in _TISSUES),
    "notes",
]

_SLICES_HEADER = [
    *("file", "slice", "height", "in_trained_heights", "unlike_training", "confidence"),
    *(f"{name}_mm2" for name in _TISSUES),
]


def write(segmentation: Segmentation, summary: FileSummary, folder: Path, trained: Trained) -> None:
    """Write the outputs of one file; each appears whole or not at all."""
    file, probabilities = segmentation.input, segmentation.probabilities
    paths = [folder / name for name in names(file.source, probabilities is not None)]
    if file.volume is None:
        grey = Image.fromarray(segmentation.classes[0] * np.uint8(STEP))
        atomic_write(paths[0], lambda part: grey.save(part, format="PNG", compress_level=1))
    else:
        volume, classes = file.volume, stacked(segmentation.classes, trained.cut.axis)
        atomic_write(paths[0], lambda part: write_volume(part, classes, volume, names=True))
    write_overlay(paths[1], segmentation, summary, trained.cut.axis)
    if probabilities is not None:
        if file.volume is None:
            atomic_write(paths[2], lambda part: _save_array(part, probabilities[0]))
        else:
            volume = file.volume
            atomic_write(paths[2], lambda part: write_volume(part, stacked(probabilities, trained.cut.axis), volume))


def write_overlay(path: Path, segmentation: Segmentation, summary: FileSummary, axis: Axis) -> None:
    """Write the picture of the labels of one file; it appears whole or not at all."""
    atomic_write(path, lambda part: overlays.write_picture(part, _picture(segmentation, summary, axis)))


def write_tables(folder: Path, summaries: list[FileSummary]) -> list[str]:
    """Write `tissue.csv` (a line for each file) and `slices.csv` (a line for each slice).

    Earlier predictions may have written lines to the same folder. Lines of files that are not in `summaries` stay.

    Returns:
        A sentence for each table whose earlier lines could not be read.
    """
    lines = [
        [
            summary.file,
            len(summary.slices),
            *(["", ""] if summary.millilitres is None else [summary.outside, "all" if summary.whole else "trained"]),
            *(["", "", ""] if summary.millilitres is None else [f"{x:.2f}" for x in summary.millilitres]),
            *([f"{x / 100:.2f}" for x in summary.areas] if summary.millilitres is None else ["", "", ""]),
            "; ".join(summary.notes),
        ]
        for summary in summaries
    ]
    problems = _continue_table(folder / TISSUE, _TISSUE_HEADER, lines)  # first: see `holds_tables`
    rows = [_slice_row(summary.file, row) for summary in summaries for row in summary.slices]
    problems += _continue_table(folder / SLICES, _SLICES_HEADER, rows)
    return problems


def describe(folder: Path) -> None:
    """Write `labels.tsv`: the meaning of each label value."""
    colours = ["#{:02X}{:02X}{:02X}".format(*colour) for colour in COLOURS]
    table = [f"{k}\t{name}\t{colours[k]}\n" for k, name in enumerate(NAMES)]
    write_text(folder / LABELS, "index\tname\tcolor\n" + "".join(table))


def holds_tables(folder: Path) -> bool:
    """Whether an earlier prediction wrote tables to a folder, so that another one adds its lines to them."""
    try:
        with (folder / TISSUE).open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), None) == _TISSUE_HEADER
    except (OSError, ValueError, csv.Error):
        return False


def _slice_row(file: str, row: SliceSummary) -> list[Any]:
    height = None if row.height is None else round(row.height, 3)
    values = (row.number, height, row.in_trained_heights, row.unlike_training, round(row.confidence, 4))
    return [file, *("" if value is None else value for value in values), *row.areas]


def _continue_table(path: Path, header: list[str], lines: list[list[Any]]) -> list[str]:
    """Replace the lines of some files in a table and keep those of all other files; the first column names the file.

    If the file at `path` is not such a table, it gets another name.

    Returns:
        A sentence if a file was renamed.
    """
    replaced, problems = {printable(str(line[0])) for line in lines}, []
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
        problems = [f"{path} held something else than its table, which is now called {aside.name}."]
    write_text(path, csv_text(header, [row for row in kept if row[0] not in replaced] + lines))
    return problems


def _picture(segmentation: Segmentation, summary: FileSummary, axis: Axis) -> np.ndarray:
    """The overlay: a PNG slice with its labels, or some slices of a volume that show brain, without and with labels.

    Slices of a volume are upright and lettered; at heights that training did not see, they are dark.
    """
    if segmentation.input.volume is None:
        return overlays.tinted(*shown_slice(segmentation, 0))
    brain = [row for row in summary.slices if row.tissue] or summary.slices
    tiles = []
    for i in np.linspace(0, len(brain) - 1, min(_TILES, len(brain))).round().astype(int):
        grey, classes = map(overlays.upright, shown_slice(segmentation, brain[i].number))
        grey = overlays.lettered(grey // _DARKER if brain[i].in_trained_heights is False else grey, axis)
        tiles.append(overlays.beside(grey, classes))
    return overlays.mosaic(tiles, columns=4)


def shown_slice(
    segmentation: Segmentation, k: int
) -> tuple[UInt8[np.ndarray, "rows columns"], UInt8[np.ndarray, "rows columns"]]:
    """Grey levels and classes of slice `k` of a file, both in pixels of 1 mm."""
    file, classes = segmentation.input, segmentation.classes[k]
    grey = take(file.slices[k], file.place, file.head.shape[1:], 0)
    if classes.shape != grey.shape:
        row = np.linspace(0, classes.shape[0] - 1, grey.shape[0]).round().astype(int)
        column = np.linspace(0, classes.shape[1] - 1, grey.shape[1]).round().astype(int)
        classes = classes[row][:, column]
    return grey, classes


def _save_array(path: Path, values: np.ndarray) -> None:
    content = io.BytesIO()  # when the disk is full, np.save to a file would lose the reason that the system gives
    np.save(content, values, allow_pickle=False)
    path.write_bytes(content.getvalue())
