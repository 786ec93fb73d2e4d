"""What a user looks at after a prediction: a page for each volume, pages of all PNG slices, and an index.

Each page is one file that holds all it shows, and opens in any browser without a network.
"""

import csv
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oasis_jax.classes import NAMES, SHORT
from oasis_jax.data.volumes.finding import stem
from oasis_jax.inference.label import Segmentation
from oasis_jax.inference.outputs import PAGE, FileSummary, SliceSummary, shown_slice
from oasis_jax.report import template
from oasis_jax.system.files import printable

INDEX, SLICES = "index.html", "slices.html"

_LARGEST = 15_000_000
"""Characters of pictures that a page holds at most; more slices than that are thinned out, or go on another page."""


def volume_page(volume: Segmentation, summary: FileSummary) -> str:
    """The page of one volume: tissue, what was flagged, and its slices."""
    entries = [slice_entry(volume, summary, one) for one in summary.slices if volume.input.head[one.number].any()]
    every = -(-sum(map(_size, entries)) // _LARGEST)
    shown = entries[::every] if every else entries
    thinned = f" Every {every}. slice is shown." if every > 1 else ""
    counted = "all slices" if summary.whole else "the slices at heights that training saw"
    return _page(
        title=summary.file,
        facts=f"{len(summary.slices)} slices; {summary.outside} show brain outside the heights that training saw. The "
        f"table adds up {counted}.{thinned}",
        notes=summary.notes,
        rows=[_tissue(summary)],
        entries=shown or [slice_entry(volume, summary, summary.slices[0])],
    )


def slice_entry(file: Segmentation, summary: FileSummary, one: SliceSummary) -> dict[str, Any]:
    """What a page's script must know of one slice."""
    grey, labels = shown_slice(file, one.number)
    return {
        "text": _sentence(file, summary, one),
        "mm": [1, 1],
        "tissue": one.tissue,
        **template.slice_pictures(grey, np.zeros_like(labels), labels),
    }


def slices_pages(slices: Sequence[tuple[FileSummary, dict[str, Any]]]) -> dict[str, str]:
    """Pages of all PNG slices of one prediction, by the name of their file: `slices.html`, `slices-2.html`, ...

    Args:
        slices: of each file its summary and its `slice_entry`.
    """
    pages: dict[str, str] = {}
    first = 0
    while first < len(slices):
        last, size = first, 0
        while last < len(slices) and (last == first or size + _size(slices[last][1]) <= _LARGEST):
            size += _size(slices[last][1])
            last += 1
        part = slices[first:last]
        pages[f"slices-{len(pages) + 1}.html" if pages else SLICES] = _page(
            title=f"PNG slices {first + 1} to {last} of {len(slices)}",
            facts="Each file is one slice.",
            notes=[f"{summary.file}: {note}" for summary, _ in part for note in summary.notes],
            rows=[],
            entries=[entry for _, entry in part],
        )
        first = last
    return pages


def index_page(folder: Path) -> str:
    """The index of a folder of predictions, from its `tissue.csv`, so that files of earlier predictions stay in it.

    A file leads to its page, a PNG slice to its picture.
    """
    with (folder / "tissue.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name.replace(" ", "_") for name in NAMES[1:]]
    body = []
    for row in rows:
        pages = [f"{stem(row['file'])}{ending}" for ending in (PAGE, "_overlay.png")]
        page = next((page for page in pages if (folder / page).is_file()), None)
        unit = "ml" if row[f"{names[0]}_ml"] else "cm2"
        values = [f"{row[f'{name}_{unit}']} {unit.replace('2', '²')}" for name in names]
        body.append((template.link(row["file"], page), [row["slices"], *values, row["notes"] or "-"]))
    flagged = sum(row["notes"] != "" for row in rows)
    slices = f" {template.link('All PNG slices of the last call', SLICES)}." if (folder / SLICES).is_file() else ""
    return template.fill(
        "index.html",
        facts=f"{len(rows)} file(s), {flagged} with notes.{slices} Tissue of a volume is that of the slices at heights "
        "that training saw, unless tissue.csv says otherwise.",
        table=template.table(["file", "slices", *SHORT[1:], "notes"], body),
    )


def _page(
    title: str,
    facts: str,
    notes: Sequence[str],
    rows: Sequence[tuple[str, Sequence[str]]],
    entries: Sequence[dict[str, Any]],
) -> str:
    labelled = [i for i, entry in enumerate(entries) if entry["tissue"] > 0] or [0]
    data = {"classes": template.CLASSES, "slices": list(entries), "first": labelled[len(labelled) // 2]}
    flags = "".join(f"<li>{html.escape(printable(note))}</li>" for note in notes)
    return template.fill(
        "prediction.html",
        title=html.escape(printable(title)),
        facts=html.escape(facts),
        flags=f"<ul class=flags>{flags}</ul>" if flags else "<p>Nothing was flagged.</p>",
        table=template.table(["", *NAMES[1:], "total"], rows) if rows else "",
        data=template.script_data(data),
    )


def _tissue(summary: FileSummary) -> tuple[str, list[str]]:
    """A row of the table: millilitres, or square centimetres where the distance of slices is unknown."""
    unit, values = ("cm²", summary.areas / 100) if summary.millilitres is None else ("ml", summary.millilitres)
    return unit, [f"{value:.1f}" for value in (*values, values.sum())]


def _sentence(file: Segmentation, summary: FileSummary, one: SliceSummary) -> str:
    """What a page says under a slice."""
    areas = ", ".join(f"{name} {area / 100:.1f}" for name, area in zip(SHORT[1:], one.areas, strict=True))
    place = f"slice {one.number}"
    if file.input.volume is None:
        place = printable(summary.file)
    if one.height is not None:
        place += f", at {100 * one.height:.0f} % of the brain's height"
    if one.in_trained_heights is False:
        place += ", outside the heights that training saw: labels are a guess"
    strange = " It looks unlike the training slices." if one.unlike_training else ""
    return f"{place}. {areas} cm².{strange}"


def _size(entry: dict[str, Any]) -> int:
    return len(entry["image"]) + len(entry["labels"])
