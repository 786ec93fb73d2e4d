"""The tables of a folder of results: tissue of each file, areas in each slice, and what label values mean."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from oasis_jax.classes import COLOURS, NAMES
from oasis_jax.prediction.record import Settings
from oasis_jax.prediction.summary import FileSummary
from oasis_jax.system.files import csv_text, printable, write_text

TISSUE, SLICES = "tissue.csv", "slices.csv"

TISSUES = [name.replace(" ", "_") for name in NAMES[1:]]

TISSUE_COLUMNS = [
    *("file", "slices"),
    *(f"{name}_{unit}" for unit in ("ml", "cm2") for name in TISSUES),
    *("notes", "made_with"),
]

SLICES_COLUMNS = [
    *("file", "slice", "unlike_training", "confidence"),
    *(f"{name}_mm2" for name in TISSUES),
]

_DROPPED = {"slices_outside_trained_heights", "heights_added_up", "height", "in_trained_heights"}
"""Columns of earlier versions."""


def write(folder: Path, summaries: Sequence[FileSummary], settings: Settings) -> None:
    """Write `tissue.csv` (a line for each file) and `slices.csv` (a line for each slice).

    Lines that earlier predictions wrote of other files stay.
    """
    lines = [_tissue_line(summary, settings) for summary in summaries]
    _continue(folder / TISSUE, TISSUE_COLUMNS, lines)  # first: whoever finds it knows that a prediction wrote the rest
    rows = [
        [summary.file, row.number, row.unlike_training, round(row.confidence, 4), *(round(a, 2) for a in row.areas)]
        for summary in summaries
        for row in summary.slices
    ]
    _continue(folder / SLICES, SLICES_COLUMNS, rows)


def read(path: Path, columns: Sequence[str]) -> list[dict[str, str]] | None:
    """The lines of a table; None if there is no such table. What an older version did not write is empty.

    Columns that only an older version had are left out.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file, strict=True)
            known = [name for name in header if name not in _DROPPED]
            if known != [name for name in columns if name in ("file", *known)]:
                return None
            rows = [dict(zip(header, line, strict=True)) for line in lines]
            return [{name: row.get(name, "") for name in columns} for row in rows]
    except (OSError, ValueError, csv.Error):
        return None


def meanings(values: Iterable[int], **columns: Sequence[str]) -> str:
    """A table of the value, name and colour of each class, as tab-separated text in the order of the values.

    `columns` are more of them, before the colour.
    """
    colours = ["#{:02X}{:02X}{:02X}".format(*colour) for colour in COLOURS]
    rows = sorted(zip(values, NAMES, *columns.values(), colours, strict=True))
    return "".join("\t".join(map(str, row)) + "\n" for row in (("index", "name", *columns, "color"), *rows))


def _tissue_line(summary: FileSummary, settings: Settings) -> list[Any]:
    unit, values = summary.amounts
    amounts = [f"{value:.2f}" for value in values]
    tissue = [*amounts, "", "", ""] if unit == "ml" else ["", "", "", *amounts]
    return [summary.file, len(summary.slices), *tissue, "; ".join(summary.notes), settings.text]


def _continue(path: Path, columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """Replace the lines of some files in a table, which its first column names, and keep those of all other files."""
    replaced = {printable(line[0]) for line in lines}
    kept = [list(line.values()) for line in read(path, columns) or () if line["file"] not in replaced]
    write_text(path, csv_text(columns, [*kept, *lines]))
