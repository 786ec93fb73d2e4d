"""Files to label: read, and cut into frames like those that a network was trained on."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from oasis_jax.geometry import Axis
from oasis_jax.system.ahead import ahead
from oasis_jax.system.errors import UserError, describe
from oasis_jax.volumes.anatomy import find_head, head_notes
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.frame import Framing, Place, cut_frames, middle, place_head, put, take, volume_grey
from oasis_jax.volumes.neighbours import neighbour_files
from oasis_jax.volumes.nifti import Volume, is_volume, read_volume, thickness_notes
from oasis_jax.volumes.png import read_grey
from oasis_jax.volumes.resample import Grid, planes_in_mm, resample

_AHEAD = 3
"""Files that are read ahead of the one that is labelled; few, because a volume takes a tenth of a gigabyte."""

_ZERO_SHARE = 0.1
"""Share of the brightest tissue up to which the background counts as 0: the noise of honest scans lies below. On one
drawn head, a share of .14 in place of .05 cost gray matter .003 of its Dice."""

BACKGROUND = np.array([1, 0, 0, 0], np.float32)
"""The probabilities of a pixel that is certainly background."""


class Input(NamedTuple):
    """One file, cut into slices."""

    source: InputFile
    frames: UInt8[np.ndarray, "slices height width channels"]
    """What the network sees: each slice in the middle of its neighbours."""
    head: Bool[np.ndarray, "slices rows columns"]
    """Where the head is, in pixels of 1 mm. In a volume, everything around it becomes background, because a network is
    unreliable on slices unlike those of training. A PNG file counts as head unless it is black."""
    place: Place
    axis: Axis
    """The plane that the slices show."""
    sides: tuple[Grid, Grid]
    """Rows and columns of the file's own planes."""
    volume: Volume | None
    """None for a PNG file."""
    notes: tuple[str, ...]
    """What the user should know about this file."""

    @property
    def slices(self) -> UInt8[np.ndarray, "slices height width"]:
        """The slices themselves, in their frames."""
        return self.frames[..., self.frames.shape[-1] // 2]


def read_input(file: InputFile, framing: Framing, orientation: str | None = None) -> Input:
    """Read a file and cut it into frames; `orientation` as for `read_volume`.

    Raises:
        UserError: as `read_grey`, `read_volume` and `cut_volume`.
    """
    if not is_volume(file.path):
        return _read_png(file, framing)
    return cut_volume(file, read_volume(file.path, orientation), framing)


def cut_volume(file: InputFile, volume: Volume, framing: Framing) -> Input:
    """Cut a volume, which comes from a file, into frames.

    Raises:
        UserError: as `planes_in_mm`.
    """
    values, sides, gap = planes_in_mm(volume, framing.axis)
    head = find_head(values)
    grey = volume_grey(values)
    place, place_notes = place_head(grey.shape[1:], head.box, framing)
    frames = cut_frames(grey, place, gap, framing)
    notes = (*volume.notes, *head_notes(head, volume.numbers(framing.axis)), *_background_notes(values, head.mask))
    notes += (*thickness_notes(volume, framing.axis, framing.gap), *place_notes)
    return Input(file, frames, head.mask, place, framing.axis, sides, volume, notes)


def _read_png(file: InputFile, framing: Framing) -> Input:
    grey = read_grey(file.path)
    images, neighbour_notes = _neighbour_images(file.path, grey, framing.neighbours)
    place, notes = middle(grey.shape, framing.frame), ()
    if grey.shape != framing.frame:  # a slice of the trained size stays where the slices of training are
        place, notes = place_head(grey.shape, find_head(grey[None]).box, framing)
    if not grey.any():
        notes = ("it is black, so nothing is labelled",)
    head = np.full((1, *grey.shape), grey.any())  # the network labels the slice as it is, as in an evaluation
    frames = np.stack([put(image, place) for image in images], axis=-1)[None]
    sides = Grid(grey.shape[0], 1.0), Grid(grey.shape[1], 1.0)
    return Input(file, frames, head, place, framing.axis, sides, None, (*notes, *neighbour_notes))


def _neighbour_images(path: Path, grey: np.ndarray, reach: int) -> tuple[list[np.ndarray], list[str]]:
    """The slices around a PNG slice; the slice itself, and a note, for each neighbour that cannot be used."""
    paths = neighbour_files(path, reach)
    images, notes = {path: grey}, []
    for other in dict.fromkeys(paths):
        with suppress(UserError):
            if other not in images and (image := read_grey(other)).shape == grey.shape:
                images[other] = image
        if other not in images:
            notes.append(f"its neighbour {other.name} cannot be used, so the slice itself stands in for it")
    if reach and {*paths} == {path}:
        notes.append("no neighbouring slice lies beside it, so the slice itself stands in for its neighbours")
    return [images.get(other, grey) for other in paths], notes


def read_inputs(
    files: Sequence[InputFile],
    framing: Framing,
    orientation: str | None,
    fail: Callable[[Path, str], object],
) -> Iterator[Input]:
    """Read files ahead of their use, in order. `fail` gets each path that cannot be used, and a sentence about it."""
    read = partial(read_input, framing=framing, orientation=orientation)
    with ThreadPoolExecutor(2) as pool:
        for file, reading in ahead(partial(pool.submit, read), files, _AHEAD):
            try:
                item = reading.result()
            except Exception as error:
                fail(file.path, describe(file.path, error))
            else:
                yield item


def own_pixels(
    item: Input, number: int, framed: Shaped[np.ndarray, "height width *channels"]
) -> Shaped[np.ndarray, "rows columns *channels"]:
    """Classes or probabilities of one frame, on the pixels of the file's own slice; around the head is background.

    Classes stay in pixels of 1 mm: they cannot be resampled.
    """
    (rows, columns), background = item.sides, BACKGROUND if framed.ndim == 3 else 0
    plane = take(framed, item.place, item.head.shape[1:], background)
    plane[~item.head[number]] = background
    if framed.ndim == 2:
        return plane
    return np.moveaxis(resample(np.moveaxis(plane, -1, 0), rows.from_mm(), columns.from_mm()), 0, -1)


def _background_notes(values: np.ndarray, head: np.ndarray) -> list[str]:
    """A note on a background that is clearly above 0."""
    background = float(np.median(values[~head])) if not head.all() else 0.0
    if background <= _ZERO_SHARE * np.percentile(values[::2, ::2, ::2], 99):
        return []
    return [f"its background is not 0 but about {background:.4g}: subtract that first, since 0 is treated as black"]
