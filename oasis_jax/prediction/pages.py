"""The pages of a prediction: a page for each volume, pages of all PNG slices, and an index.

Each page is one file with all its data that any browser opens, without a network.
"""

import csv
from collections.abc import Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from oasis_jax.classes import NAMES, SHORT
from oasis_jax.geometry import Axis
from oasis_jax.inference.label import Segmentation
from oasis_jax.prediction.outputs import PAGE, TISSUE, shown_slice
from oasis_jax.prediction.summary import FileSummary, SliceSummary
from oasis_jax.report import template
from oasis_jax.report.voxels import packed
from oasis_jax.system.files import printable
from oasis_jax.volumes.finding import stem
from oasis_jax.volumes.nifti import Volume

INDEX, SLICES = "index.html", "slices.html"

Row = tuple[str, list[str]]
"""The name and the cells of a row of a table."""

_LARGEST = 15_000_000
"""Maximum size of the pictures of PNG slices on a page, in characters; more of them go on several pages."""


def volume_page(file: Segmentation, volume: Volume, summary: FileSummary, axis: Axis) -> str:
    """The page of a volume: its tissue, its notes, and three views of it.

    Args:
        file: the volume and its labels.
        volume: its scan.
        summary: its values in the tables.
        axis: the plane of its slices.
    """
    data, voxels = packed(file, volume, axis)
    first, step = data["origin"][data["axis"]], data["stride"][data["axis"]]
    rows = summary.slices[first::step][: data["size"][data["axis"]]]
    data |= {"classes": template.CLASSES, "texts": [f"{axis.title()} {_sentence(file, summary, row)}" for row in rows]}
    thinned = f" One in {' x '.join(map(str, data['stride']))} voxels is shown." if max(data["stride"]) > 1 else ""
    counted = "all slices" if summary.whole else "the slices at trained heights"
    outside = f"{summary.outside} show brain outside the heights seen in training. " if summary.outside else ""
    return _page(
        "views.html",
        title=summary.file,
        introduction=f"{len(summary.slices)} slices. {outside}The table is the sum over {counted}.",
        notes=summary.notes,
        rows=[_tissue(summary)],
        data=data,
        voxels=voxels,
        thinned=thinned,
        up=summary.file.count("/"),
    )


def slice_entry(file: Segmentation, summary: FileSummary, row: SliceSummary) -> dict[str, Any]:
    """The data of a slice that `slices.js` reads.

    Args:
        file: the file and its labels.
        summary: the values of the file in the tables.
        row: the values of the slice in the tables.
    """
    grey, labels = shown_slice(file, row.number)
    return {
        "text": _sentence(file, summary, row),
        "mm": [1, 1],
        "tissue": row.tissue,
        **template.slice_pictures(grey, np.zeros_like(labels), labels),
    }


def slices_pages(slices: Sequence[tuple[FileSummary, dict[str, Any]]], number: int = 1) -> dict[str, str]:
    """Pages of all PNG slices of a prediction, by file name: `slices.html`, `slices-2.html`, ...

    Args:
        slices: summary and `slice_entry` of each file.
        number: of the first page.
    """
    pages: dict[str, str] = {}
    first = 0
    while first < len(slices):
        last, size = first, 0
        while last < len(slices) and (last == first or size + _size(slices[last][1]) <= _LARGEST):
            size += _size(slices[last][1])
            last += 1
        part = slices[first:last]
        pages[_page_name(number + len(pages))] = _page(
            "slices.html",
            title=f"PNG slices {first + 1} to {last} of {len(slices)}",
            introduction="Each file is one slice.",
            notes=[f"{summary.file}: {note}" for summary, _ in part for note in summary.notes],
            data=_slices_data([entry for _, entry in part]),
        )
        first = last
    return pages


def slices_pages_in(folder: Path) -> list[str]:
    """The file names of the pages of PNG slices that a folder holds."""
    return list(takewhile(lambda name: (folder / name).is_file(), map(_page_name, count(1))))


def index_page(folder: Path) -> str:
    """The index of a folder of predictions.

    It comes from `tissue.csv`, so it also holds the files of earlier predictions. The name of a volume links to its
    page, the name of a PNG slice to its picture.
    """
    with (folder / TISSUE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name.replace(" ", "_") for name in NAMES[1:]]
    body = []
    for row in rows:
        targets = [f"{stem(row['file'])}{suffix}" for suffix in (PAGE, "_overlay.png")]
        page = next((target for target in targets if (folder / target).is_file()), None)
        unit = "ml" if row[f"{names[0]}_ml"] else "cm2"
        values = [f"{row[f'{name}_{unit}']} {unit.replace('2', '²')}" for name in names]
        outside = int(row["slices_outside_trained_heights"] or 0)
        slices = f"{row['slices']}, {outside} at other heights" if outside else row["slices"]
        body.append((row["file"], page, [slices, *values, row["notes"] or "-"]))
    return template.render(
        "index.html",
        title="Labelled files",
        flagged=sum(row["notes"] != "" for row in rows),
        pages=slices_pages_in(folder),
        head=["file", "slices", *SHORT[1:], "notes"],
        rows=body,
    )


def _page(browser: str, title: str, notes: Sequence[str], rows: Sequence[Row] = (), up: int = 0, **values: Any) -> str:
    """A page that lies so many folders below the index; `browser` is its template, the values are what that needs."""
    return template.render(
        browser,
        title=printable(title),
        notes=list(map(printable, notes)),
        head=["", *NAMES[1:], "total"],
        rows=rows,
        up=up * "../",
        **values,
    )


def _slices_data(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What `slices.js` reads; it first shows the slice in the middle of those with tissue."""
    with_tissue = [i for i, entry in enumerate(entries) if entry["tissue"] > 0] or [0]
    return {"classes": template.CLASSES, "slices": list(entries), "first": with_tissue[len(with_tissue) // 2]}


def _tissue(summary: FileSummary) -> Row:
    """A row of the table: millilitres, or square centimetres if the slice spacing is unknown."""
    unit, values = ("cm²", summary.areas / 100) if summary.millilitres is None else ("ml", summary.millilitres)
    return unit, [f"{value:.1f}" for value in (*values, values.sum())]


def _sentence(file: Segmentation, summary: FileSummary, row: SliceSummary) -> str:
    """The text under a slice."""
    areas = ", ".join(f"{name} {area / 100:.1f}" for name, area in zip(SHORT[1:], row.areas, strict=True))
    place = f"slice {row.number}"
    if file.input.volume is None:
        place = printable(summary.file)
    if row.height is not None:
        place += f", at {100 * row.height:.0f} % of the brain's height"
    if row.in_trained_heights is False:
        place += ", outside the heights seen in training: labels are unreliable"
    unlike = " It looks unlike the training slices." if row.unlike_training else ""
    return f"{place}. {areas} cm².{unlike}"


def _page_name(number: int) -> str:
    """The file name of a page of PNG slices, counted from 1."""
    return SLICES if number == 1 else f"slices-{number}.html"


def _size(entry: dict[str, Any]) -> int:
    return len(entry["image"]) + len(entry["labels"])
