"""A checked tree of slices: all splits, whose slices they are, and every problem listed at once."""

import csv
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oasis_jax.config import SPLITS
from oasis_jax.data import pixels
from oasis_jax.data.anatomy import AXES, OASIS_HEIGHTS, Axis
from oasis_jax.data.frame import Spacing
from oasis_jax.data.looks import Ranges
from oasis_jax.data.pixels import Contents
from oasis_jax.data.slices import Problem, Slice, Tracker, find_slices, natural, silent
from oasis_jax.errors import UserError
from oasis_jax.storage import printable, write_text

Index = dict[str, tuple[Slice, ...]]


@dataclass(frozen=True)
class Cut:
    """How slices were cut from heads: what prediction must know to cut a volume alike."""

    axis: Axis = "axial"
    """The plane that a slice shows."""
    heights: tuple[float, float] = OASIS_HEIGHTS
    """Lowest and highest slice, on a scale from the base of the brain, 0, to its top, 1."""
    spacing: Spacing | None = None
    """mm between rows, columns and slices, where the tree knows it."""


@dataclass(frozen=True)
class Tree:
    """A tree that passed all checks."""

    root: Path
    size: tuple[int, int]
    """(rows, columns) of every slice."""
    extent: tuple[int, int, int, int]
    """First and last row, first and last column with a label above background."""
    splits: Index
    """Slices of each split, by case and number."""
    subjects: dict[str, str]
    """The person each case is of: from `subjects.csv`; without it, one a case."""
    fingerprints: dict[str, str]
    """SHA-256 of each split's files."""
    looks: dict[str, Ranges]
    """What the images of each split look like."""
    cut: Cut
    """How the slices were cut."""


def load_tree(root: Path, splits: Sequence[str] = SPLITS, track: Tracker = silent, shown: int = 20) -> Tree:
    """Index and check a tree; the pixels of a split that passed before and did not change are not read again.

    Args:
        root: the folder that holds the split folders.
        splits: the splits to load; others are left alone.
        track: shows progress over the files read.
        shown: how many problems of one kind to list before counting the rest.

    Raises:
        UserError: lists every problem found, in layout and pixels.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: name the one that holds keras_png_slices_train.")
    found = {split: find_slices(root, split) for split in splits}
    index: Index = {split: pairs for split, (pairs, _) in found.items()}
    problems = [problem for _, more in found.values() for problem in more]
    subjects, more = _subjects(root, index)
    problems += more + _shared_subjects(index, subjects)
    cut, more = _cut(root)
    problems += more
    contents = {s: pixels.check_pixels(root, s, pairs, track) for s, pairs in index.items() if pairs}
    problems += [problem for one in contents.values() for problem in one.problems]
    problems += _size_problems(contents)
    if problems:
        raise UserError(_listing(root, problems, shown))
    for one in contents.values():
        pixels.stamp(one)
    (size,) = {size for one in contents.values() for size in one.sizes}
    tops, bottoms, lefts, rights = zip(*(one.extent for one in contents.values()), strict=True)
    extent = min(tops), max(bottoms), min(lefts), max(rights)
    fingerprints = {split: one.fingerprint for split, one in contents.items()}
    seen = {split: one.looks for split, one in contents.items()}
    return Tree(root, size, extent, index, subjects, fingerprints, seen, cut)


def write_cut(root: Path, cut: Cut) -> None:
    """Record in a tree how its slices were cut; a tree without this record counts as cut like OASIS."""
    write_text(root / "cut.json", json.dumps(dataclasses.asdict(cut), indent=2) + "\n")


def parse_cut(content: Any) -> Cut:
    """The cut that a record of one holds; ValueError, KeyError or TypeError where it holds none."""
    low, high = map(float, content["heights"])
    spacing = content.get("spacing")
    if spacing is not None:
        row, column, gap = spacing
        spacing = float(row), float(column), None if gap is None else float(gap)
        if not all(mm is None or 0 < mm < math.inf for mm in spacing):
            raise ValueError(f"spacing is {spacing}")
    return Cut(AXES[AXES.index(content["axis"])], (low, high), spacing)


def _cut(root: Path) -> tuple[Cut, list[Problem]]:
    record = root / "cut.json"
    if not record.is_file():
        return Cut(), []
    try:
        return parse_cut(json.loads(record.read_text(encoding="utf-8"))), []
    except (ValueError, KeyError, TypeError, AttributeError):
        return Cut(), [("unreadable", 'cut.json: it needs "axis", two "heights" and maybe three numbers of "spacing"')]


def _subjects(root: Path, index: Index) -> tuple[dict[str, str], list[Problem]]:
    table = root / "subjects.csv"
    known: dict[str, str] = {}
    problems = []
    if table.is_file():
        try:
            with table.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
                known = {printable(row["case"]): row["oasis_subject"] for row in csv.DictReader(file)}
        except (KeyError, UnicodeDecodeError, csv.Error):
            problems.append(("unreadable", "subjects.csv: it needs the columns case and oasis_subject"))
    cases = sorted({pair.case for pairs in index.values() for pair in pairs}, key=natural)
    if table.is_file() and not problems:
        problems += [("case not in subjects.csv", case) for case in cases if not known.get(printable(case))]
    return {case: known.get(printable(case)) or case for case in cases}, problems


def _shared_subjects(index: Index, subjects: dict[str, str]) -> list[Problem]:
    where: dict[str, list[str]] = {}
    for split, pairs in index.items():
        for subject in {subjects[pair.case] for pair in pairs}:
            where.setdefault(subject, []).append(split)
    return [
        ("subject in two splits", f"{subject}: {', '.join(splits)}") for subject, splits in where.items() if splits[1:]
    ]


def _size_problems(contents: dict[str, Contents]) -> list[Problem]:
    total = Counter[tuple[int, int]]()
    for one in contents.values():
        total.update(one.sizes)
    problems = [
        ("sides are not multiples of 16", f"{rows}x{columns}") for rows, columns in total if rows % 16 or columns % 16
    ]
    if len(total) > 1:
        problems += [
            ("slices of different sizes", f"{split}: {count} files of {rows}x{columns}")
            for split, one in contents.items()
            for (rows, columns), count in one.sizes.items()
        ]
    return problems


def _listing(root: Path, problems: list[Problem], shown: int) -> str:
    kinds: dict[str, list[str]] = {}
    for kind, where in problems:
        kinds.setdefault(kind, []).append(where)
    lines = [f"The slices in {root} cannot be used. {len(problems)} problem(s):"]
    for kind, places in kinds.items():
        lines.append(f"  {kind} ({len(places)}):")
        lines += [f"    {place}" for place in sorted(places)[:shown]]
        if len(places) > shown:
            command = f"python -m oasis_jax.data check {root} --all"
            lines.append(f"    ... and {len(places) - shown} more; {command} lists them")
    return "\n".join(lines)
