"""Files that a user wants labelled: found, read, and cut into the frames that a network was trained on."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from oasis_jax.data.anatomy import Axis, find_head, head_notes
from oasis_jax.data.frame import Place, Size, centre, fit, middle, put, quantise, take
from oasis_jax.data.grey import read_grey
from oasis_jax.data.resample import Grid, resample
from oasis_jax.data.slices import natural
from oasis_jax.data.volume import (
    SUFFIXES,
    Volume,
    check_slices,
    is_volume,
    planes,
    read_volume,
    slice_spacing,
    thickness_notes,
)
from oasis_jax.errors import describe

_LONGEST = 220
"""Bytes of a file's name without its ending; file systems allow 255 with all that is added to it."""

_AHEAD = 4
"""Files that are read before they are asked for; few, because a volume takes a tenth of a gigabyte."""

_AIR = 0.05
"""Share of the brightest tissue that air may have and still count as 0, as in the slices of training."""

_NOWHERE = "is a link that leads nowhere: fetch the file it stands for (in DataLad: datalad get), or remove it"

_BACKGROUND = np.array([1, 0, 0, 0], np.float32)


class Found(NamedTuple):
    """A file to read, and the name, without ending, of what is written for it, relative to the output folder."""

    path: Path
    name: str


class Framing(NamedTuple):
    """How the network that will see the slices was trained."""

    frame: Size
    seen: Size
    """The central part of the frame that it looks at."""
    axis: Axis


class Input(NamedTuple):
    """One file, cut into slices."""

    found: Found
    frames: np.ndarray
    """uint8 `(N, rows, columns)`: what the network sees."""
    head: np.ndarray
    """bool `(N, rows, columns)`, in pixels of 1 mm: where the head is. In a volume all around it is background,
    whatever a network says of slices unlike those it was trained on; a PNG file counts as head unless it is black."""
    place: Place
    sides: tuple[Grid, Grid]
    """Rows and columns of the file's own planes."""
    volume: Volume | None
    """None for a PNG file."""
    notes: tuple[str, ...]
    """What the user should know about this file."""


def find_inputs(paths: Sequence[Path]) -> tuple[list[Found], list[str]]:
    """The PNG files and volumes that are named, or lie in a folder that is named, and what is wrong with others.

    Folders are not searched further down; hidden files, and files of other kinds in a folder, are passed over.
    """
    found: dict[Path, Found] = {}
    names: dict[str, Path] = {}
    problems = []
    for path in paths:
        inside, more = _in_folder(path) if path.is_dir() else _file(path)
        problems += more
        for one in inside:
            real = one.path.resolve()
            if real in found:
                if found[real].name != one.name:  # not the same path named twice, but two links
                    problems.append(f"{one.path} leads to the same file as {found[real].path}: only that is labelled")
                continue
            if one.name in names:
                problems.append(f"{one.path} would be written under the name of {names[one.name]}: label it apart")
                continue
            if len(os.fsencode(one.name)) > _LONGEST:
                problems.append(f"{one.path} has too long a name to add to: shorten it")
                continue
            found[real], names[one.name] = one, one.path
    return list(found.values()), problems


def _file(path: Path) -> tuple[list[Found], list[str]]:
    header = path.with_suffix(".hdr")
    if path.suffix.lower() == ".img" and header.exists():  # one of a pair is enough
        path = header
    stem = _stem(path.name)
    if path.is_symlink() and not path.exists():
        return [], [f"{path} {_NOWHERE}"]
    if not path.exists():
        return [], [f"{path} does not exist"]
    if stem is None or not path.is_file():
        return [], [f"{path} is no PNG file and no volume ({', '.join(SUFFIXES)})"]
    return [Found(path, stem)], []


def read_input(found: Found, framing: Framing, orientation: str | None = None) -> Input:
    """Read a file and cut it into frames.

    Raises:
        UserError: as `read_grey` and `read_volume`.
    """
    if not is_volume(found.path):
        grey = read_grey(found.path)[None]
        sides = Grid(grey.shape[1], 1.0), Grid(grey.shape[2], 1.0)
        place = middle((sides[0].own, sides[1].own), framing.frame)
        if grey.shape[1:] != framing.frame or centre(grey[0], framing.seen).sum(dtype=int) != grey.sum(dtype=int):
            head = find_head(grey)
            place = fit((sides[0].own, sides[1].own), (head.rows, head.columns), framing.frame, framing.seen)
        shown = np.full(grey.shape, grey.any())  # a slice as it stands: what the network says of it is the answer
        notes = _place_notes(place, framing) if grey.any() else ("it is black, so nothing is labelled",)
        return Input(found, put(grey[0], place)[None], shown, place, sides, None, notes)
    volume = read_volume(found.path, orientation)
    check_slices(found.path, volume, framing.axis)
    *pixel, _ = slice_spacing(volume, framing.axis)
    values = planes(volume.values, framing.axis)
    sides = Grid(values.shape[1], pixel[0]), Grid(values.shape[2], pixel[1])
    values = resample(values, sides[0].to_mm(), sides[1].to_mm())
    head = find_head(values)
    place = fit((sides[0].mm, sides[1].mm), (head.rows, head.columns), framing.frame, framing.seen)
    frames = np.stack([put(quantise(one), place) for one in values])
    notes = (*volume.notes, *head_notes(head), *_air_notes(values, head.mask))
    notes += tuple(thickness_notes(volume, framing.axis))
    notes += _place_notes(place, framing)
    return Input(found, frames, head.mask, place, sides, volume, notes)


def read_inputs(
    found: Sequence[Found], framing: Framing, orientation: str | None, fail: Callable[[str], None]
) -> Iterator[Input]:
    """Read files ahead of their use, in order; whatever one of them does goes to `fail` as a sentence about it."""
    with ThreadPoolExecutor(2) as pool:
        files, waiting = iter(found), deque[tuple[Found, Future[Input]]]()
        while True:
            while len(waiting) < _AHEAD and (one := next(files, None)) is not None:
                waiting.append((one, pool.submit(read_input, one, framing, orientation)))
            if not waiting:
                return
            one, future = waiting.popleft()
            try:
                item = future.result()
            except Exception as error:
                fail(describe(one.path, error))
            else:
                yield item


def own_classes(item: Input, number: int, classes: np.ndarray) -> np.ndarray:
    """Classes of one frame, uint8, on the pixels of the file's own slice, where these are 1 mm too."""
    plane = take(classes, item.place, item.head.shape[1:], 0)
    plane[~item.head[number]] = 0
    return plane


def own_probabilities(item: Input, number: int, probabilities: np.ndarray) -> np.ndarray:
    """Probabilities of one frame, float32 `(rows, columns, 4)`, on the pixels of the file's own slice."""
    rows, columns = item.sides
    plane = take(probabilities, item.place, item.head.shape[1:], _BACKGROUND)
    plane[~item.head[number]] = _BACKGROUND
    return np.moveaxis(resample(np.moveaxis(plane, -1, 0), rows.from_mm(), columns.from_mm()), 0, -1)


def _in_folder(folder: Path) -> tuple[list[Found], list[str]]:
    found, problems = [], []
    for name in sorted(os.listdir(folder), key=_in_order):
        path = folder / name
        stem = _stem(name)
        if name.startswith(".") or stem is None or path.is_dir():
            continue
        if not path.exists():
            problems.append(f"{path} {_NOWHERE}")
        elif not path.is_file():
            problems.append(f"{path} is no regular file")
        else:
            found += _file(path)[0]
    if not found and not problems:
        problems.append(f"{folder} holds no PNG file and no volume: name a folder that does")
    return found, problems


def _in_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key of a file's name: numbers in it by value."""
    return [natural(part) for part in re.split(r"(\d+)", name)]


def _stem(name: str) -> str | None:
    """A file's name without its ending; None for other kinds of file."""
    for ending in (".nii.png", ".png", ".nii.gz", *SUFFIXES):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return None


def _air_notes(values: np.ndarray, head: np.ndarray) -> list[str]:
    air = float(np.median(values[~head])) if not head.all() else 0.0
    if air <= _AIR * np.percentile(values[::2, ::2, ::2], 99):
        return []
    return [f"its air is not 0 but about {air:.4g}: subtract that first, as slices are scaled from 0"]


def _place_notes(place: Place, framing: Framing) -> tuple[str, ...]:
    if place.frame == framing.frame:
        return ()
    return (f"the head needs a frame of {place.frame[0]}x{place.frame[1]}, larger than in training",)
