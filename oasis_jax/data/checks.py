"""The check of every pixel of a split, and its stamp in the cache: an unchanged split is checked once."""

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from oasis_jax import classes
from oasis_jax.data import appearance
from oasis_jax.data.appearance import Ranges
from oasis_jax.data.slices import Problem, Slice
from oasis_jax.geometry import Size
from oasis_jax.system import cache, console, records
from oasis_jax.system.files import write_text
from oasis_jax.volumes.other_kinds import other_kind
from oasis_jax.volumes.png import LARGEST


@dataclass(frozen=True)
class Contents:
    """What the files of a split hold."""

    sizes: tuple[tuple[Size, int], ...]
    """Each (rows, columns), and how many files have it."""
    extent: tuple[int, int, int, int]
    """First and last row, first and last column with a label above background, over all slices; first > last if there
    is none."""
    ranges: Ranges
    """The appearance of the images."""
    fingerprint: str
    """SHA-256 over names and contents of all files, in order."""
    problems: tuple[Problem, ...]


_EMPTY_EXTENT = (2**31, -1, 2**31, -1)


def check_pixels(root: Path, split: str, pairs: Sequence[Slice]) -> Contents:
    """Check every file of a split, or take the contents from the stamp if exactly these files passed before.

    Files count as the same if folder, name, size, both times of change and number on the disk (inode) are the same. The
    tools that copy keep the size and the time of the content; they cannot keep the time of the file itself.
    """
    stamp = _stamp_file(root, split, pairs)
    if stamp and (passed := _recall(stamp)):
        return passed
    contents = _check(split, pairs)
    if stamp and not contents.problems:
        try:
            stamp.parent.mkdir(parents=True, exist_ok=True)
            write_text(stamp, json.dumps(records.to_json(contents)))
        except OSError as error:
            cache.cannot_be_used(error)
    return contents


def _recall(stamp: Path) -> Contents | None:
    try:
        return records.from_json(Contents, json.loads(stamp.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None  # no stamp, or a damaged one: check again


def _check(split: str, pairs: Sequence[Slice]) -> Contents:
    paths = [(path, path is pair.label) for pair in pairs for path in (pair.image, pair.label)]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda path: _check_file(*path), paths)
        files = list(console.track(results, len(paths), f"Checking {split}"))
    problems, digest = [], hashlib.sha256()
    for (path, _), file in zip(paths, files, strict=True):
        name = f"{path.parent.name}/{path.name}"
        digest.update(os.fsencode(name) + b"\0" + file.digest)
        if file.problem:
            problems.append((file.problem[0], f"{name}: {file.problem[1]}"))
    seen = frozenset[int]().union(*(file.seen for file in files))
    problems = problems or _empty_problems(split, seen, any(file.shows for file in files))
    tops, bottoms, lefts, rights = zip(*(file.extent for file in files), strict=True)
    return Contents(
        sizes=tuple(Counter(file.size for file in files if file.size).items()),
        extent=(min(tops), max(bottoms), min(lefts), max(rights)),
        ranges=appearance.ranges([file.measures for file in files if file.measures]),
        fingerprint=digest.hexdigest(),
        problems=tuple(problems),
    )


def _empty_problems(split: str, seen: frozenset[int], shows: bool) -> list[Problem]:
    """Images that show nothing, and classes that no slice of training shows, so that no network learns them."""
    black = "images that show nothing", f"{split}: all are black or of one grey: write them again"
    problems: list[Problem] = [] if shows else [black]
    for name, grey in zip(classes.NAMES, classes.GREYS, strict=True) if split == "train" else ():
        if grey not in seen:
            place = f"{name} (grey level {grey}): correct the labels, or add slices that show it"
            problems.append(("class that no label of train shows", place))
    return problems


class _File(NamedTuple):
    digest: bytes = b""
    size: tuple[int, int] | None = None
    extent: tuple[int, int, int, int] = _EMPTY_EXTENT
    measures: tuple[float, float] | None = None
    seen: frozenset[int] = frozenset()
    """Grey levels of a label."""
    shows: bool = False
    """Whether an image has more than one grey level."""
    problem: Problem | None = None


def _check_file(path: Path, is_label: bool) -> _File:
    content = b""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            if image.format != "PNG" or image.mode != "L":
                return _File(problem=("not 8-bit grey PNG", f"{image.format} of mode {image.mode}"))
            if max(image.size) > LARGEST:
                return _File(problem=("far larger than a slice", f"{image.height}x{image.width}"))
            image.verify()  # the checksums: reading the pixels does not check them
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image)
    except UnidentifiedImageError:
        return _File(problem=("unreadable", f"it is {other_kind(content[:1024]) or 'no image'}"))
    except Exception as error:  # one broken file must not stop the check of the others
        return _File(problem=("unreadable", str(error) or type(error).__name__))
    file = _File(hashlib.sha256(content).digest(), pixels.shape)
    if not is_label:
        return file._replace(measures=appearance.measure(pixels), shows=bool(pixels.min() < pixels.max()))
    counts = np.bincount(pixels.ravel(), minlength=256)
    file = file._replace(seen=frozenset(counts.nonzero()[0].tolist()))
    counts[list(classes.GREYS)] = 0
    if counts.any():
        values = ", ".join(map(str, counts.nonzero()[0][:8]))
        return file._replace(problem=(f"label values other than {', '.join(map(str, classes.GREYS))}", values))
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    if rows.size:
        file = file._replace(extent=(int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])))
    return file


def _stamp_file(root: Path, split: str, pairs: Sequence[Slice]) -> Path | None:
    if (folder := cache.folder()) is None:
        return None
    digest = hashlib.sha256(os.fsencode(f"{root.resolve()}\n{split}\n"))
    for path in (path for pair in pairs for path in (pair.image, pair.label)):
        status = path.stat()
        state = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
        digest.update(os.fsencode(f"{path.name}\0{state}\n"))
    return folder / "checks" / f"{digest.hexdigest()}.json"
