"""Files that a user wants labelled: read, and cut into the frames that a network was trained on."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from oasis_jax.data.slices import missing_neighbours, neighbour_files
from oasis_jax.data.volumes.anatomy import find_head, head_notes
from oasis_jax.data.volumes.finding import Found
from oasis_jax.data.volumes.frame import Place, middle, put, take
from oasis_jax.data.volumes.nifti import (
    Volume,
    check_slices,
    is_volume,
    planes,
    read_volume,
    slice_spacing,
    thickness_notes,
)
from oasis_jax.data.volumes.placing import Classify, Framing, cut_frames, place_slice, place_volume
from oasis_jax.data.volumes.png import read_grey
from oasis_jax.data.volumes.resample import Grid, resample
from oasis_jax.system.errors import UserError, describe

_AHEAD = 4
"""Files that are read before they are asked for; few, because a volume takes a tenth of a gigabyte."""

_AIR = 0.05
"""Share of the brightest tissue that air may have and still count as 0, as in the slices of training."""

_BACKGROUND = np.array([1, 0, 0, 0], np.float32)


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
    place, place_notes = place_volume(values, head, gap, framing, classify)
    frames = cut_frames(values, place, gap, framing)
    notes = (*volume.notes, *head_notes(head), *_air_notes(values, head.mask))
    notes += (*thickness_notes(volume, framing.axis, framing.gap), *place_notes)
    return Input(found, frames, head.mask, place, sides, volume, notes)


def _read_png(found: Found, framing: Framing) -> Input:
    grey = read_grey(found.path)
    images, beside = _neighbour_images(found.path, grey, framing.neighbours)
    sides = Grid(grey.shape[0], 1.0), Grid(grey.shape[1], 1.0)
    place, notes = middle((sides[0].own, sides[1].own), framing.frame), ()
    if grey.shape != framing.frame:  # one of the trained size is placed as those of training are
        place, notes = place_slice(grey, framing)
    if not grey.any():
        notes = ("it is black, so nothing is labelled",)
    notes += beside
    shown = np.full((1, *grey.shape), grey.any())  # a slice as it stands: what the network says of it is the answer
    frames = np.stack([put(one, place) for one in images], axis=-1)[None]
    alone = framing.neighbours > 0 and all(one is grey for one in images)
    return Input(found, frames, shown, place, sides, None, notes, alone)


def _neighbour_images(path: Path, grey: np.ndarray, reach: int) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """The slices around a PNG slice; for one that cannot be used the slice itself, and a note."""
    files, notes = {path: grey}, []
    paths = neighbour_files(path, reach)
    for other in paths:
        if other in files:
            continue
        files[other] = _like(other, grey)
        if files[other] is grey:
            notes.append(f"its neighbour {other.name} cannot be used, so the slice itself stands in for it")
    if reach and (missing := missing_neighbours(path)):
        names = " and ".join(map(str, missing))
        notes.append(f"slice {names} of its case is missing, so the slice itself stands in for it")
    return [files[other] for other in paths], tuple(notes)


def _like(path: Path, grey: np.ndarray) -> np.ndarray:
    """The grey levels of a file where it can be read and has the size of `grey`; `grey` itself where not."""
    try:
        other = read_grey(path)
    except UserError:
        return grey
    return other if other.shape == grey.shape else grey


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


def _air_notes(values: np.ndarray, head: np.ndarray) -> list[str]:
    air = float(np.median(values[~head])) if not head.all() else 0.0
    if air <= _AIR * np.percentile(values[::2, ::2, ::2], 99):
        return []
    return [f"its air is not 0 but about {air:.4g}: subtract that first, as slices are scaled from 0"]
