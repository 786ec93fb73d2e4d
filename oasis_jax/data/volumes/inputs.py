"""Files that a user wants labelled: found, read, and cut into the frames that a network was trained on."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oasis_jax.data.geometry import Axis, Size
from oasis_jax.data.slices import natural, neighbour_files
from oasis_jax.data.volumes.anatomy import Head, brain_planes, find_head, head_notes
from oasis_jax.data.volumes.frame import Place, fit, middle, put, quantise, take
from oasis_jax.data.volumes.nifti import (
    SUFFIXES,
    Volume,
    check_slices,
    is_volume,
    planes,
    read_volume,
    slice_spacing,
    thickness_notes,
)
from oasis_jax.data.volumes.png import read_grey
from oasis_jax.data.volumes.resample import Grid, resample
from oasis_jax.system.errors import describe

_LONGEST = 220
"""Bytes of a file's name without its ending; file systems allow 255 with all that is added to it."""

_AHEAD = 4
"""Files that are read before they are asked for; few, because a volume takes a tenth of a gigabyte."""

_AIR = 0.05
"""Share of the brightest tissue that air may have and still count as 0, as in the slices of training."""

_NOWHERE = "is a link that leads nowhere: fetch the file it stands for (in DataLad: datalad get), or remove it"

_SCALP = 24
"""Pixels of the head that may lie outside of what the network sees: scalp, skull and fluid around the brain."""

_LOOKS = 4
"""How often the network looks for the brain: in the middle, in the middle of the head, then around what it found."""

_SMALLEST_BRAIN = 24
"""Pixels of 1 mm: what is labelled in a narrower range is no section of a brain."""

_BESIDE = 2
"""Pixels around what was found to be brain on some planes, for the planes between them."""

_SAME_PLANE = 0.05
"""Of the distance between two planes: a neighbour this near to one is that one."""

_BACKGROUND = np.array([1, 0, 0, 0], np.float32)

Box = tuple[slice, slice]
"""Rows and columns."""

Classify = Callable[[np.ndarray], Any]
"""From frames uint8 `(N, rows, columns, C)` of the trained size to classes uint8 `(N, rows, columns)`."""


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
    neighbours: int = 0
    """Slices below and above that it sees as further channels."""
    gap: float | None = None
    """mm from one slice to the next in training; None: unknown."""


class Input(NamedTuple):
    """One file, cut into slices."""

    found: Found
    frames: np.ndarray
    """uint8 `(N, rows, columns, C)`: what the network sees, each slice in the middle of its neighbours."""
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
    alone: bool = False
    """Whether the network sees neighbours and a PNG file has none beside it, so that it is its own."""

    @property
    def slices(self) -> np.ndarray:
        """The slices themselves, uint8 `(N, rows, columns)`, in their frames."""
        return self.frames[..., self.frames.shape[-1] // 2]


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


def read_input(
    found: Found, framing: Framing, orientation: str | None = None, classify: Classify | None = None
) -> Input:
    """Read a file and cut it into frames.

    Args:
        found: the file.
        framing: how the network that will see the frames was trained.
        orientation: of a volume that does not say how it lies.
        classify: that network, which looks for the brain where the head is larger than what it sees; without it, the
            frame grows until the head fits.

    Raises:
        UserError: as `read_grey` and `read_volume`.
    """
    if not is_volume(found.path):
        return _read_png(found, framing)
    volume = read_volume(found.path, orientation)
    check_slices(found.path, volume, framing.axis)
    *pixel, gap = slice_spacing(volume, framing.axis)
    values = planes(volume.values, framing.axis)
    sides = Grid(values.shape[1], pixel[0]), Grid(values.shape[2], pixel[1])
    values = resample(values, sides[0].to_mm(), sides[1].to_mm())
    head = find_head(values)
    place, place_notes = _place_volume(values, head, gap, framing, classify)
    step = 1.0 if framing.gap is None else framing.gap / gap
    frames = _frames(values, place, framing.neighbours, step)
    notes = (*volume.notes, *head_notes(head), *_air_notes(values, head.mask))
    notes += (*thickness_notes(volume, framing.axis), *place_notes)
    return Input(found, frames, head.mask, place, sides, volume, notes)


def _read_png(found: Found, framing: Framing) -> Input:
    paths = neighbour_files(found.path, framing.neighbours)
    files = {path: read_grey(path) for path in paths}
    grey = files[found.path]
    images = [files[path] if files[path].shape == grey.shape else grey for path in paths]
    sides = Grid(grey.shape[0], 1.0), Grid(grey.shape[1], 1.0)
    place, notes = middle((sides[0].own, sides[1].own), framing.frame), ()
    if grey.shape != framing.frame:  # one of the trained size is placed as those of training are
        place, notes = _place_slice(grey, framing)
    if not grey.any():
        notes = ("it is black, so nothing is labelled",)
    shown = np.full((1, *grey.shape), grey.any())  # a slice as it stands: what the network says of it is the answer
    frames = np.stack([put(one, place) for one in images], axis=-1)[None]
    alone = framing.neighbours > 0 and all(one is grey for one in images)
    return Input(found, frames, shown, place, sides, None, notes, alone)


def _place_slice(grey: np.ndarray, framing: Framing) -> tuple[Place, tuple[str, ...]]:
    """The middle, if the network sees the head there but for a rim of scalp; else where it sees all of the head."""
    head, size = find_head(grey[None]), (grey.shape[0], grey.shape[1])
    inner = tuple(
        slice(min(s.start + _SCALP, s.stop), max(s.stop - _SCALP, s.start)) for s in (head.rows, head.columns)
    )
    centred = fit(size, (inner[0], inner[1]), framing.frame, framing.seen)
    if centred == middle(size, framing.frame):
        return centred, ()
    place = fit(size, (head.rows, head.columns), framing.frame, framing.seen)
    return place, _frame_notes(place, framing, "head")


def _place_volume(
    values: np.ndarray, head: Head, gap: float, framing: Framing, classify: Classify | None
) -> tuple[Place, tuple[str, ...]]:
    """Where the network sees the whole head, or else the whole brain, which it finds itself."""
    size, box = (values.shape[1], values.shape[2]), (head.rows, head.columns)
    whole = fit(size, box, framing.frame, framing.seen)
    if whole.frame == framing.frame or classify is None:
        return whole, _frame_notes(whole, framing, "head")
    planes = values[brain_planes(head, gap, framing.axis)]
    step = 1.0 if framing.gap is None else framing.gap / gap
    place = middle(size, framing.frame)  # where slices of training lie; an atlas's brain must lie there to the pixel
    for _ in range(_LOOKS):
        classes = np.asarray(classify(_frames(planes, place, framing.neighbours, step)))
        brain, cut = _labelled(classes, place, framing)
        if brain is not None and not cut:
            return place, _frame_notes(place, framing, "brain")
        box = brain or box
        place = fit(size, _shrunk(box, framing.seen), framing.frame, framing.seen)
    note = (
        f"its brain was not found, so the network sees the whole head, in a frame of {whole.frame[0]}x{whole.frame[1]}"
    )
    return whole, (note,)


def _labelled(classes: np.ndarray, place: Place, framing: Framing) -> tuple[Box | None, bool]:
    """The rows and columns of a plane that hold what is labelled, with a margin, and whether the window cuts it off."""
    sides, cut = [], False
    for axis, (whole, seen, offset) in enumerate(zip(place.frame, framing.seen, place.offset, strict=True)):
        used = np.flatnonzero((classes > 0).any(axis=(0, 2 - axis)))
        if used.size < _SMALLEST_BRAIN:
            return None, False
        first = (whole - seen) // 2
        cut |= bool(used[0] <= first or used[-1] >= first + seen - 1)
        sides.append(slice(int(used[0]) - _BESIDE - offset, int(used[-1]) + 1 + _BESIDE - offset))
    return (sides[0], sides[1]), cut


def _shrunk(box: Box, size: Size) -> Box:
    """The middle of a box, no larger than a size."""
    rows, columns = (
        slice(
            s.start + max(0, s.stop - s.start - n) // 2,
            s.start + max(0, s.stop - s.start - n) // 2 + min(n, s.stop - s.start),
        )
        for s, n in zip(box, size, strict=True)
    )
    return rows, columns


def _frame_notes(place: Place, framing: Framing, what: str) -> tuple[str, ...]:
    if place.frame == framing.frame:
        return ()
    return (f"the {what} needs a frame of {place.frame[0]}x{place.frame[1]}, larger than in training",)


def _frames(values: np.ndarray, place: Place, neighbours: int, step: float) -> np.ndarray:
    """Frames uint8 `(N, rows, columns, 2 * neighbours + 1)` of planes; `step` planes apart lie those of training."""
    frames = np.empty((len(values), *place.frame, 2 * neighbours + 1), np.uint8)
    for channel, distance in enumerate(range(-neighbours, neighbours + 1)):
        for k in range(len(values)):
            at = min(max(k + distance * step, 0), len(values) - 1)
            low, share = int(at), at % 1
            if min(share, 1 - share) < _SAME_PLANE:
                plane = values[round(at)]
            else:
                plane = (1 - share) * values[low] + share * values[low + 1]
            frames[k, ..., channel] = put(quantise(plane), place)
    return frames


def read_inputs(
    found: Sequence[Found],
    framing: Framing,
    orientation: str | None,
    fail: Callable[[str], None],
    classify: Classify | None = None,
) -> Iterator[Input]:
    """Read files ahead of their use, in order; whatever one of them does goes to `fail` as a sentence about it."""
    with ThreadPoolExecutor(2) as pool:
        files, waiting = iter(found), deque[tuple[Found, Future[Input]]]()
        while True:
            while len(waiting) < _AHEAD and (one := next(files, None)) is not None:
                waiting.append((one, pool.submit(read_input, one, framing, orientation, classify)))
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
