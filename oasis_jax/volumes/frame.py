"""From a plane of a volume to what a network sees: 8-bit grey levels, centred in a frame.

Rebuilding, import and prediction all make their slices here: normalisation sees the whole frame, so the frames must be
made the same way.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Real, Shaped, UInt8

from oasis_jax.config import STRIDE
from oasis_jax.geometry import Axis, Pixels, Size

_BRIGHT = 99.5
"""Percentile of the head from which on everything is white."""

_HEAD = 0.1
"""Share of the brightness of a head below which voxels count as air."""

_MARGIN = 8
"""Pixels around a head in its frame. Convolutions continue a frame with its mean grey, which harms labels at its rim:
without a margin, stripped brains lost up to .017 of Dice against frames of 256x256, with it less than .002."""

_SAME_PLANE = 0.05
"""Share of the distance between two planes. A neighbour closer than that to a plane is that plane."""


class Place(NamedTuple):
    """Where a plane lies in a frame: the plane's pixel (0, 0) is the frame's pixel `offset`, which may be negative."""

    frame: Size
    offset: Size


class Framing(NamedTuple):
    """How the network that will see the slices was trained."""

    frame: Size
    window: Size | None
    """The central part of the frame that it sees; None if it was trained on every height of heads, wherever they lie,
    and sees whole frames of any size."""
    axis: Axis
    neighbours: int = 0
    """Slices below and above that it sees as extra channels."""
    gap: float | None = None
    """mm from one slice to the next in training; None if unknown."""


def quantise(values: Real[np.ndarray, "rows columns"]) -> Pixels:
    """Grey levels of one slice: `floor(255 * value / largest value)`, from finite intensities of any unit.

    Negative values become 0. The brightest pixel is 255; all are 0 if no value is above 0.
    """
    top = float(values.max(initial=0)) or 1.0
    # First multiply, then divide: a number divided by itself is exactly 1, so the brightest pixel is exactly 255.
    return np.floor(np.maximum(values, 0).astype(np.float64) * 255 / top).astype(np.uint8)


def volume_grey(values: Real[np.ndarray, "planes rows columns"]) -> UInt8[np.ndarray, "planes rows columns"]:
    """Grey levels of a whole volume, in which a few bright voxels do not darken all others.

    The bright end, 255, is the percentile 99.5 of the head: of voxels brighter than a tenth of that percentile of all
    voxels above 0. A vitamin capsule, an eye or a hot voxel is smaller than the rest, and fat still shows.

    Values are intensities of any unit, finite; negative ones become 0. The result is `floor(255 * value / bright end)`,
    at most 255; all are 0 if no value is above 0.
    """
    thin = values[::2, ::2, ::2]
    positive = thin[thin > 0] if (thin > 0).any() else values[values > 0]
    if not positive.size:
        return np.zeros(values.shape, np.uint8)
    top = np.percentile(positive, _BRIGHT)
    top = np.percentile(positive[positive > _HEAD * top], _BRIGHT).astype(np.float32)
    top = max(top, np.finfo(np.float32).tiny)  # so that shares of it are finite
    return (255 * (np.clip(values, 0, top) / top)).astype(np.uint8)


def middle(size: Size, frame: Size) -> Place:
    """The place in the middle of a frame; if a margin is odd, the far side gets more."""
    row, column = ((f - s) // 2 if f >= s else -((s - f) // 2) for s, f in zip(size, frame, strict=True))
    return Place(frame, (row, column))


def fit(size: Size, head: tuple[slice, slice], frame: Size, window: Size) -> Place:
    """A place where the network sees the whole head: the middle, else the head's middle, else a larger frame.

    Args:
        size: of the plane.
        head: the rows and columns of the plane that hold the head.
        frame: the size of the training slices.
        window: the central part of the frame that the network sees; it grows with the frame.
    """
    grown, offset = [], []
    for s, h, f, w in zip(size, head, frame, window, strict=True):
        growth = max(0, -(-(h.stop - h.start - w) // STRIDE) * STRIDE)
        first = (f - w) // 2
        start = middle((s, s), (f + growth, f + growth)).offset[0]
        if start + h.start < first or start + h.stop > first + w + growth:
            start = first + (w + growth - (h.stop - h.start)) // 2 - h.start
        grown.append(f + growth)
        offset.append(start)
    return Place((grown[0], grown[1]), (offset[0], offset[1]))


def place_head(size: Size, box: tuple[slice, slice], framing: Framing) -> tuple[Place, tuple[str, ...]]:
    """Where the planes of a head lie in a frame, and notes for the user.

    A network that sees frames of any size gets the box around the head. Another one gets a frame of training, or a
    larger one if it would not see the whole head in it. `box` is the rows and columns that hold the head.
    """
    if framing.window is None:
        smallest = (STRIDE, STRIDE)
        rows, columns = (slice(s.start - _MARGIN, s.stop + _MARGIN) for s in box)
        return fit(size, (rows, columns), smallest, smallest), ()
    place = fit(size, box, framing.frame, framing.window)
    if place.frame == framing.frame:
        return place, ()
    return place, (f"the head needs a frame of {place.frame[0]}x{place.frame[1]}, larger than in training",)


def put(plane: Shaped[np.ndarray, "rows columns"], place: Place) -> Shaped[np.ndarray, "height width"]:
    """The frame that shows a plane, zero around it."""
    row, column = place.offset  # seen from the frame, the plane lies at the opposite offset
    return take(plane, Place(plane.shape, (-row, -column)), place.frame, 0)


def take(
    framed: Shaped[np.ndarray, "height width *channels"], place: Place, size: Size, around: Any
) -> Shaped[np.ndarray, "rows columns *channels"]:
    """The inverse of `put`: the plane of a size that a frame shows; what lies outside the frame becomes `around`."""
    out = np.broadcast_to(around, (*size, *framed.shape[2:])).astype(framed.dtype)
    sides = list(zip(size, place.frame, place.offset, strict=True))  # slices end where an array ends
    inside = tuple(slice(max(offset, 0), max(offset + s, 0)) for s, _, offset in sides)
    outside = tuple(slice(max(-offset, 0), max(f - offset, 0)) for _, f, offset in sides)
    out[outside] = framed[inside]
    return out


def centre(pixels: Shaped[np.ndarray, "rows columns"], size: Size) -> Shaped[np.ndarray, "height width"]:
    """Pad with zeros, or cut off evenly, to `size`."""
    return put(pixels, middle(pixels.shape, size))


def cut_frames(
    planes: UInt8[np.ndarray, "planes rows columns"], place: Place, gap: float, framing: Framing
) -> UInt8[np.ndarray, "planes height width channels"]:
    """Frames of planes that are `gap` mm apart; the neighbours of each are as far away as in training."""
    step = 1.0 if framing.gap is None else framing.gap / gap
    steps = step * np.arange(-framing.neighbours, framing.neighbours + 1)
    positions = (np.arange(len(planes))[:, None] + steps).clip(0, len(planes) - 1)
    frames = np.empty((len(planes), *place.frame, len(steps)), np.uint8)
    for (k, channel), position in np.ndenumerate(positions):
        low, share = int(position), float(position % 1)
        if min(share, 1 - share) < _SAME_PLANE:
            plane = planes[round(position)]
        else:
            plane = ((1 - share) * planes[low] + share * planes[low + 1]).astype(np.uint8)
        frames[k, ..., channel] = put(plane, place)
    return frames
