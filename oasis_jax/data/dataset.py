"""A checked tree of slices: all splits, whose slices they are, and every problem listed at once."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oasis_jax.config import SPLITS
from oasis_jax.data import checks
from oasis_jax.data.appearance import Ranges
from oasis_jax.data.checks import Contents
from oasis_jax.data.geometry import Cut, Spacing, parse_cut
from oasis_jax.data.slices import Problem, Slice, find_slices, natural, tidy, two_spellings
from oasis_jax.system.console import Tracker, silent
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import printable

Index = dict[str, tuple[Slice, ...]]


@dataclass(frozen=True)
class Dataset:
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
    ranges: dict[str, Ranges]
    """What the images of each split look like."""
    cut: Cut
    """How the slices were cut."""
    spacing: Spacing | None
    """Distance of rows, of columns and of slices, mm; None where nobody knows."""


def load_dataset(root: Path, splits: Sequence[str] = SPLITS, track: Tracker = silent, shown: int = 20) -> Dataset:
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
    contents = {s: checks.check_pixels(root, s, pairs, track) for s, pairs in index.items() if pairs}
    problems += [problem for one in contents.values() for problem in one.problems]
    problems += _size_problems(contents)
    if problems:
        raise UserError(_listing(root, problems, shown))
    for one in contents.values():
        checks.remember_passed(one)
    (size,) = {size for one in contents.values() for size in one.sizes}
    tops, bottoms, lefts, rights = zip(*(one.extent for one in contents.values()), strict=True)
    extent = min(tops), max(bottoms), min(lefts), max(rights)
    fingerprints = {split: one.fingerprint for split, one in contents.items()}
    seen = {split: one.ranges for split, one in contents.items()}
    return Dataset(root, size, extent, index, subjects, fingerprints, seen, cut, cut.spacing)


def _cut(root: Path) -> tuple[Cut, list[Problem]]:
    record = root / "cut.json"
    if not record.is_file():
        return Cut(), []
    try:
        return parse_cut(json.loads(record.read_text(encoding="utf-8"))), []
    except (ValueError, KeyError, TypeError, AttributeError):
        return Cut(), [("unreadable", 'cut.json: it needs "axis", two "heights" and maybe three numbers of "spacing"')]


def _subjects(root: Path, index: Index) -> tuple[dict[str, str], list[Problem]]:
    """The person of each case, and what is wrong with that. What nobody sees in a name does not count."""
    table = root / "subjects.csv"
    cases = sorted({pair.case for pairs in index.values() for pair in pairs}, key=natural)
    known: dict[str, set[str]] = {tidy(case): {tidy(case)} for case in cases}
    problems = []
    if table.is_file():
        try:
            known = _read_subjects(table)
        except (KeyError, UnicodeDecodeError, csv.Error):
            problems.append(("unreadable", "subjects.csv: it needs the columns case and oasis_subject"))
        else:
            problems += [("case not in subjects.csv", case) for case in cases if not known.get(tidy(printable(case)))]
    people = {case: known.get(tidy(printable(case))) or {tidy(case)} for case in cases}
    problems += [
        ("case of two subjects in subjects.csv", f"{case}: {', '.join(sorted(names))}")
        for case, names in people.items()
        if len(names) > 1
    ]
    subjects = {case: min(names) for case, names in people.items()}
    problems += [
        (
            "subject in two spellings",
            f"{names}: write one of them in subjects.csv, or rename one if they are two people",
        )
        for names in two_spellings(subjects.values())
    ]
    return subjects, problems


def _read_subjects(table: Path) -> dict[str, set[str]]:
    """By case, the persons that a `subjects.csv` says it is of."""
    known: dict[str, set[str]] = {}
    with table.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        rows = csv.DictReader(file)
        rows.fieldnames = [tidy(name) for name in rows.fieldnames or ()]
        for row in rows:
            case, subject = tidy(printable(row["case"] or "")), tidy(row["oasis_subject"] or "")
            known.setdefault(case, set()).update([subject] if subject else [])
    return known


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
