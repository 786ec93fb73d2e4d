"""A checked tree of slices: its splits and subjects. All problems of a tree are listed at once."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from oasis_jax.config import SPLITS, STRIDE
from oasis_jax.data import checks
from oasis_jax.data.appearance import Ranges
from oasis_jax.data.checks import Contents
from oasis_jax.data.slices import Problem, Slice, find_slices, folders, tidy, two_spellings
from oasis_jax.geometry import CUT, Cut, Spacing, parse_cut
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import printable
from oasis_jax.volumes.finding import natural

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
    """The subject of each case, from `subjects.csv`. Without that file, each case is its own subject."""
    fingerprints: dict[str, str]
    """SHA-256 of each split's files."""
    ranges: dict[str, Ranges]
    """The appearance of the images of each split."""
    cut: Cut
    """How the slices were cut."""
    spacing: dict[str, Spacing | None]
    """Distance of rows, of columns and of slices of each case, mm; None if unknown."""
    parts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """How many slices of each split come from each of the joined trees, in order; `open_data` says it."""


def load_dataset(root: Path, splits: Sequence[str] = SPLITS, shown: int = 20, partial: bool = False) -> Dataset:
    """Index and check some splits of a tree. Pixels that passed before and did not change are not read again.

    With `partial`, some of the splits may be missing or empty, as other trees have them.

    Raises:
        UserError: lists the problems of layout and pixels: of each kind as many as `shown`; the others are counted.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: name the one that holds keras_png_slices_train.")
    if partial:
        splits = [s for s in splits if any(any(f.glob("*.png")) for f in folders(root, s) if f.is_dir())] or splits
    layouts = {split: find_slices(root, split) for split in splits}
    index: Index = {split: pairs for split, (pairs, _) in layouts.items()}
    subjects, subject_problems = _subjects(root, index)
    cut, cut_problems = _cut(root)
    contents = {split: checks.check_pixels(root, split, pairs) for split, pairs in index.items() if pairs}
    layout_problems = chain.from_iterable(found for _, found in layouts.values())
    pixel_problems = chain.from_iterable(content.problems for content in contents.values())
    problems = [*layout_problems, *subject_problems, *cut_problems, *pixel_problems, *_size_problems(contents)]
    if problems:
        raise UserError(_listing(root, problems, shown))
    (size,) = {size for content in contents.values() for size, _ in content.sizes}
    tops, bottoms, lefts, rights = zip(*(content.extent for content in contents.values()), strict=True)
    return Dataset(
        root=root,
        size=size,
        extent=(min(tops), max(bottoms), min(lefts), max(rights)),
        splits=index,
        subjects=subjects,
        fingerprints={split: content.fingerprint for split, content in contents.items()},
        ranges={split: content.ranges for split, content in contents.items()},
        cut=cut,
        spacing=dict.fromkeys(subjects, cut.spacing),
    )


def _cut(root: Path) -> tuple[Cut, list[Problem]]:
    record = root / CUT
    if not record.is_file():
        return Cut(), []
    try:
        return parse_cut(json.loads(record.read_text(encoding="utf-8"))), []
    except ValueError:
        return Cut(), [("unreadable", f'{CUT}: it needs "axis", two "heights" and optionally three "spacing"')]


def _subjects(root: Path, index: Index) -> tuple[dict[str, str], list[Problem]]:
    """The subject of each case, and problems with them. Names that look the same count as one name."""
    subjects: dict[str, str] = {}
    problems: list[Problem] = []
    table: dict[str, set[str]] | None = None
    if (root / "subjects.csv").is_file():
        try:
            table = _read_subjects(root / "subjects.csv")
        except (KeyError, UnicodeDecodeError, csv.Error):
            problems.append(("unreadable", "subjects.csv: it needs the columns case and oasis_subject"))
    for case in sorted({pair.case for pairs in index.values() for pair in pairs}, key=natural):
        names = (table or {}).get(tidy(printable(case))) or {tidy(case)}
        if table is not None and not table.get(tidy(printable(case))):
            problems.append(("case not in subjects.csv", case))
        if len(names) > 1:
            problems.append(("case of two subjects in subjects.csv", f"{case}: {', '.join(sorted(names))}"))
        subjects[case] = min(names)
    mend = "use one spelling in subjects.csv, or rename one if they are two subjects"
    problems += [("subject in two spellings", f"{names}: {mend}") for names in two_spellings(subjects.values())]
    shared = shared_subjects(index, subjects)
    problems += [("subject in two splits", f"{subject}: {', '.join(names)}") for subject, names in shared.items()]
    return subjects, problems


def _read_subjects(table: Path) -> dict[str, set[str]]:
    """The subjects that a `subjects.csv` gives for each case."""
    subjects_of: dict[str, set[str]] = {}
    with table.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        rows = csv.DictReader(file)
        rows.fieldnames = [tidy(name) for name in rows.fieldnames or ()]
        for row in rows:
            case, subject = tidy(printable(row["case"] or "")), tidy(row["oasis_subject"] or "")
            subjects_of.setdefault(case, set()).update([subject] if subject else [])
    return subjects_of


def shared_subjects(index: Index, subjects: dict[str, str]) -> dict[str, list[str]]:
    """The splits of each subject that is in more than one."""
    splits_of: dict[str, list[str]] = {}
    for split, pairs in index.items():
        for subject in {subjects[pair.case] for pair in pairs}:
            splits_of.setdefault(subject, []).append(split)
    return {subject: splits for subject, splits in splits_of.items() if len(splits) > 1}


def _size_problems(contents: dict[str, Contents]) -> list[Problem]:
    sizes = dict.fromkeys(size for content in contents.values() for size, _ in content.sizes)
    problems = []
    for rows, columns in sizes:
        if rows % STRIDE or columns % STRIDE:
            larger = "x".join(str(-(-side // STRIDE) * STRIDE) for side in (rows, columns))
            mend = f"put images and labels into the middle of {larger} black pixels, or cut volumes with data volumes"
            problems.append((f"sides are not multiples of {STRIDE}", f"{rows}x{columns}: {mend}"))
    if len(sizes) > 1:
        problems += [
            ("slices of different sizes", f"{split}: {count} files of {rows}x{columns}")
            for split, content in contents.items()
            for (rows, columns), count in content.sizes
        ]
    return problems


def _listing(root: Path, problems: list[Problem], shown: int) -> str:
    kinds: dict[str, list[str]] = {}
    for kind, place in problems:
        kinds.setdefault(kind, []).append(place)
    lines = [f"The slices in {root} cannot be used. {len(problems)} problem(s):"]
    for kind, places in kinds.items():
        lines.append(f"  {kind} ({len(places)}):")
        lines += [f"    {place}" for place in sorted(places)[:shown]]
        if len(places) > shown:
            command = f"python -m oasis_jax.data check {root} --all"
            lines.append(f"    ... and {len(places) - shown} more; {command} lists them")
    return "\n".join(lines)
