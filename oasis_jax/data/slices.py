"""A tree of slices on disk (`keras_png_slices_*` and its `_seg_` twins): find, pair, order and check it.

Layout: `keras_png_slices_SPLIT/case_CASE_slice_K.nii.png` with its label
`keras_png_slices_seg_SPLIT/seg_CASE_slice_K.nii.png`, 8-bit grey, one size a tree, sides multiples of 16, labels
0/85/170/255. An optional `subjects.csv` (`case,oasis_subject`) says which cases are of one person.
"""

import csv
import hashlib
import io
import json
import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image

from oasis_jax import labels, storage
from oasis_jax.config import SPLITS
from oasis_jax.errors import UserError

_NAME = re.compile(r"(?:case|seg)_(?P<case>.+)_slice_(?P<number>\d+)(?:\.nii)?\.png")
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
_SHOWN = 20


class Slice(NamedTuple):
    """One image and its label; `number` counts upward through the head."""

    case: str
    number: int
    image: Path
    label: Path


class Tracker(Protocol):
    """Shows progress over an iterable of known length; `progress.track` is one."""

    def __call__(self, items: Iterable, total: int, description: str) -> Iterable: ...


def silent(items: Iterable, total: int, description: str) -> Iterable:
    """A `Tracker` that shows nothing."""
    return items


@dataclass(frozen=True)
class Tree:
    """A checked tree. `splits` maps a split to its slices by case and number; `subjects` a case to its person;
    `fingerprints` a split to the SHA-256 of its files' names and contents; `size` is (rows, columns)."""

    root: Path
    size: tuple[int, int]
    splits: dict[str, tuple[Slice, ...]]
    subjects: dict[str, str]
    fingerprints: dict[str, str]


def folders(root: Path, split: str) -> tuple[Path, Path]:
    """The image folder and the label folder of a split."""
    return root / f"keras_png_slices_{split}", root / f"keras_png_slices_seg_{split}"


def load_tree(root: Path, splits: Sequence[str] = SPLITS, track: Tracker = silent, shown: int = _SHOWN) -> Tree:
    """Index and check a tree; the pixel check is skipped for a split that passed it before and did not change.

    Args:
        root: the folder that holds the split folders.
        splits: the splits to load; all others are left alone.
        track: shows progress over the files whose pixels are checked.
        shown: how many problems of one kind to list before counting the rest.

    Raises:
        UserError: lists every problem found in layout and pixels, in one text.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: --data.root names the one that holds keras_png_slices_train.")
    problems: list[tuple[str, str]] = []
    index = {split: _pair(root, split, problems) for split in splits}
    subjects = _subjects(root, index, problems)
    _check_disjoint(index, subjects, problems)
    checks = {split: _pixels(root, split, slices, track) for split, slices in index.items() if slices}
    for check in checks.values():
        problems += check.problems
    sizes = Counter(size for check in checks.values() for size in check.sizes.elements())
    if sizes:
        problems += _size_problems(sizes, checks)
    if problems:
        raise UserError(_listing(root, problems, shown))
    for split, check in checks.items():
        _stamp(root, split, index[split], check)
    return Tree(root, next(iter(sizes)), index, subjects, {s: c.fingerprint for s, c in checks.items()})


def read_pair(pair: Slice) -> tuple[np.ndarray, np.ndarray]:
    """Decode a slice: grey levels and classes 0 to 3, both uint8 `(H, W)`.

    Raises:
        UserError: a file vanished or was damaged after the tree was checked.
    """
    try:
        with Image.open(pair.image) as image, Image.open(pair.label) as label:
            return np.array(image), np.asarray(label) // np.uint8(labels.STEP)
    except _BROKEN as error:
        raise UserError(f"cannot read {pair.image} with its label: {error}. Check the tree again.") from error


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 grey levels `(H, W)` as an 8-bit PNG."""
    Image.fromarray(pixels).save(path, format="PNG")


def _pair(root: Path, split: str, problems: list[tuple[str, str]]) -> tuple[Slice, ...]:
    found = []
    for folder in folders(root, split):
        if not folder.is_dir():
            problems.append(("missing folder", folder.name))
            return ()
        found.append(_names(folder, problems))
    images, masks = found
    image_folder, label_folder = folders(root, split)
    problems += [("image without label", f"{image_folder.name}/{images[key]}") for key in images.keys() - masks]
    problems += [("label without image", f"{label_folder.name}/{masks[key]}") for key in masks.keys() - images]
    if not images:
        problems.append(("no slices", f"{image_folder.name} holds no file named case_CASE_slice_K.nii.png"))
    both = sorted(images.keys() & masks.keys(), key=lambda key: (_natural(key[0]), key[1]))
    return tuple(Slice(*key, image_folder / images[key], label_folder / masks[key]) for key in both)


def _names(folder: Path, problems: list[tuple[str, str]]) -> dict[tuple[str, int], str]:
    prefix = "seg_" if "_seg_" in folder.name else "case_"
    names: dict[tuple[str, int], str] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.name.lower().endswith(".png"):
                continue
            match = _NAME.fullmatch(entry.name)
            if not match or not entry.name.startswith(prefix):
                problems.append((f"not named {prefix}CASE_slice_K.nii.png", f"{folder.name}/{entry.name}"))
                continue
            key = match["case"], int(match["number"])
            if key in names:
                problems.append(("two files for one slice", f"{folder.name}/{names[key]} and {entry.name}"))
            names[key] = entry.name
    return names


def _natural(case: str) -> tuple[int, int, str]:
    """Numbers before words, numbers by value: 2 before 10."""
    return (0, int(case), case) if case.isdecimal() else (1, 0, case)


def _subjects(root: Path, index: dict[str, tuple[Slice, ...]], problems: list[tuple[str, str]]) -> dict[str, str]:
    table = root / "subjects.csv"
    known: dict[str, str] = {}
    if table.is_file():
        try:
            with table.open(newline="", encoding="utf-8-sig") as file:
                known = {row["case"]: row["oasis_subject"] for row in csv.DictReader(file)}
        except (KeyError, UnicodeDecodeError, csv.Error) as error:
            problems.append(("unreadable subjects.csv", f"it needs the columns case and oasis_subject ({error})"))
    cases = {pair.case for pairs in index.values() for pair in pairs}
    return {case: known.get(case) or case for case in sorted(cases, key=_natural)}


def _check_disjoint(
    index: dict[str, tuple[Slice, ...]], subjects: dict[str, str], problems: list[tuple[str, str]]
) -> None:
    where: dict[str, set[str]] = {}
    for split, pairs in index.items():
        for case in {pair.case for pair in pairs}:
            where.setdefault(subjects[case], set()).add(split)
    for subject, splits in sorted(where.items()):
        if len(splits) > 1:
            problems.append(("subject in two splits", f"{subject}: {', '.join(sorted(splits))}"))


class _Check(NamedTuple):
    problems: list[tuple[str, str]]
    sizes: Counter
    fingerprint: str


def _pixels(root: Path, split: str, pairs: tuple[Slice, ...], track: Tracker) -> _Check:
    """Check every file of a split, or take the stamp of an earlier check of the same files."""
    stamp = _stamp_file(root, split, pairs)
    try:
        saved = json.loads(stamp.read_text())
        return _Check([], Counter({tuple(saved["size"]): 1}), str(saved["fingerprint"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no stamp, or a damaged one: check again
    files = [(path, kind) for pair in pairs for path, kind in ((pair.image, "image"), (pair.label, "label"))]
    problems, sizes, digest = [], Counter(), hashlib.sha256()
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results: Iterator = pool.map(lambda item: _check_file(*item), files, chunksize=16)
        for (path, _), (content, size, problem) in zip(
            files, track(results, len(files), f"Checking {split}"), strict=True
        ):
            digest.update(path.name.encode() + b"\0" + content)
            if problem:
                problems.append((problem[0], f"{path.parent.name}/{path.name}{problem[1]}"))
            if size:
                sizes[size] += 1
    return _Check(problems, sizes, digest.hexdigest())


def _check_file(path: Path, kind: str) -> tuple[bytes, tuple[int, int] | None, tuple[str, str] | None]:
    """Digest of the file, its (rows, columns), and what is wrong with it."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            if image.format != "PNG" or image.mode != "L":
                return b"", None, ("not 8-bit grey PNG", f": {image.format} of mode {image.mode}")
            size = image.height, image.width
            image.verify()  # chunk checksums
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image)
    except _BROKEN as error:
        return b"", None, ("unreadable", f": {error}")
    digest = hashlib.sha256(content).digest()
    if kind == "label":
        counts = np.bincount(pixels.ravel(), minlength=256)
        counts[list(labels.GREYS)] = 0
        if counts.any():
            values = ", ".join(map(str, counts.nonzero()[0][:5]))
            return digest, size, ("label values outside 0, 85, 170, 255", f": {values}")
    return digest, size, None


def _size_problems(sizes: Counter, checks: dict[str, _Check]) -> list[tuple[str, str]]:
    problems = []
    if len(sizes) > 1:
        listed = "; ".join(f"{count} of {rows}x{columns}" for (rows, columns), count in sizes.most_common())
        where = ", ".join(f"{split} {sorted(check.sizes)}" for split, check in checks.items())
        problems.append(("slices of different sizes", f"{listed} ({where})"))
    problems += [
        ("sides must be multiples of 16", f"{rows}x{columns}") for rows, columns in sizes if rows % 16 or columns % 16
    ]
    return problems


def _listing(root: Path, problems: list[tuple[str, str]], shown: int) -> str:
    kinds: dict[str, list[str]] = {}
    for kind, what in problems:
        kinds.setdefault(kind, []).append(what)
    lines = [f"{root} cannot be used; {len(problems)} problem(s):"]
    for kind, items in kinds.items():
        items.sort()
        lines.append(f"  {kind} ({len(items)}):")
        lines += [f"    {item}" for item in items[:shown]]
        if len(items) > shown:
            more = f"python -m oasis_jax.data check {root} --all"
            lines.append(f"    ... and {len(items) - shown} more ({more} lists them)")
    return "\n".join(lines)


def _stamp_file(root: Path, split: str, pairs: tuple[Slice, ...]) -> Path:
    """Where a passed check of exactly these files (by place, name, size and time of change) is remembered."""
    digest = hashlib.sha256(f"{root.resolve()}\n{split}\n".encode())
    for folder in folders(root, split):
        with os.scandir(folder) as entries:
            facts = {entry.name: entry.stat() for entry in entries}
        for name in sorted(facts):
            digest.update(f"{name}\0{facts[name].st_size}\0{facts[name].st_mtime_ns}\n".encode())
    return storage.cache_folder() / "checks" / f"{digest.hexdigest()}.json"


def _stamp(root: Path, split: str, pairs: tuple[Slice, ...], check: _Check) -> None:
    stamp = _stamp_file(root, split, pairs)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    storage.write_text(stamp, json.dumps({"size": next(iter(check.sizes)), "fingerprint": check.fingerprint}))
