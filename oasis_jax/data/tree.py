"""Write a tree of slices, with a picture that shows some of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from oasis_jax import overlays
from oasis_jax.config import SPLITS
from oasis_jax.data.slices import folders, read_pair, slice_of, write_pair
from oasis_jax.geometry import OASIS_HEIGHTS, Axis, Cut, Pair, Pixels, write_cut
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import atomic_folder, csv_text, printable, write_text

SHEET = "contact_sheet.png"
"""Name of the picture in a tree."""

_CASES, _SLICES = 12, 4
"""Most cases in the picture, and most slices of each."""

_TITLE = 20
"""Pixels above the slices of a case for its name."""

_SAME = 0.01
"""mm below which two distances of slices count as the same."""


@dataclass(frozen=True)
class Case:
    """The slices of one scan, in pixels of 1 mm."""

    name: str
    subject: str
    split: str
    slices: Sequence[Pair]
    """Upward through the head."""
    heights: tuple[float, float] | None = OASIS_HEIGHTS
    """Of the first and the last slice, as in `geometry.Cut`; None if all that show the head are there."""
    gap: float = 1.0
    """Distance of the slices, mm."""
    origin: dict[str, Any] = field(default_factory=dict)
    """What `volumes.csv` says of the scan; its columns are the same in all cases."""
    notes: Sequence[str] = ()
    """What the user should know about the scan."""


class Broken(NamedTuple):
    """A scan that cannot be used."""

    split: str
    problem: str
    """A sentence."""


def write_tree(root: Path, cases: Iterable[Case | Broken], axis: Axis = "axial") -> tuple[list[Case], list[str]]:
    """Write the tree `root`, which must not exist yet; it appears complete or not at all.

    Beside the slices lie `subjects.csv`, `cut.json` (for prediction), `contact_sheet.png` and, if cases have an origin,
    `volumes.csv`.

    There must be a case. Each is written before the next is asked for.

    Returns:
        The cases that were written, without their slices, and a sentence about each scan that is broken.

    Raises:
        UserError: a split has only broken scans; lists all of them.
    """
    written: list[Case] = []
    counts: list[int] = []
    broken: list[Broken] = []

    def fill(part: Path) -> None:
        for split in SPLITS:
            for folder in folders(part, split):
                folder.mkdir()
        for case in cases:
            if isinstance(case, Broken):
                broken.append(case)
                continue
            for k, (image, classes) in enumerate(case.slices):
                write_pair(part, case.split, case.name, k, image, classes)
            counts.append(len(case.slices))
            written.append(replace(case, slices=()))  # those of all cases need too much memory
        if empty := {scan.split for scan in broken} - {case.split for case in written}:
            names = " and ".join(split for split in SPLITS if split in empty)
            sentence = f"{root.name} was not written: no scan is left for {names}. {len(broken)} problem(s):"
            raise UserError("\n  ".join([sentence, *(scan.problem for scan in broken)]))
        write_cut(part, _cut(written, axis))
        rows = [(case.name, case.subject, case.split, *case.origin.values()) for case in written]
        write_text(part / "subjects.csv", csv_text(["case", "oasis_subject"], [row[:2] for row in rows]))
        if columns := list(written[0].origin):
            write_text(part / "volumes.csv", csv_text(["case", "subject", "split", *columns], rows))
        shown = np.linspace(0, len(written) - 1, min(_CASES, len(written))).astype(int)
        strips = [_strip(part, written[i], counts[i], axis) for i in shown]
        overlays.write_picture(part / SHEET, np.concatenate(strips))

    atomic_folder(root, fill)
    return written, [scan.problem for scan in broken]


def _cut(cases: Sequence[Case], axis: Axis) -> Cut:
    """How a tree was cut: between which heights, and at which distance if all cases share it."""
    heights = [case.heights for case in cases if case.heights]
    seen = (min(low for low, _ in heights), max(high for _, high in heights)) if heights else None
    gaps = [case.gap for case in cases]
    return Cut(axis, seen, (1.0, 1.0, gaps[0] if max(gaps) - min(gaps) < _SAME else None))


def _strip(root: Path, case: Case, count: int, axis: Axis) -> Pixels:
    """Some slices of a case, upright, each beside its labels, below its name; as indices into the palette."""
    numbers = np.unique((np.arange(0.5, _SLICES) / _SLICES * count).astype(int)).tolist()
    tiles = []
    for number in numbers:
        image, classes = read_pair(slice_of(root, case.split, case.name, number))
        tiles.append(overlays.tile(image, classes, axis))
    tiles += [np.zeros_like(tiles[0])] * (_SLICES - len(tiles))
    slices = np.concatenate(tiles, axis=1)
    title = Image.new("L", (slices.shape[1], _TITLE))
    text = printable(f"{case.name}, {case.split}: slices {', '.join(map(str, numbers))} of {count}")
    ImageDraw.Draw(title).text((4, 3), text, fill=63, font_size=13)
    return np.concatenate([np.asarray(title), slices])
