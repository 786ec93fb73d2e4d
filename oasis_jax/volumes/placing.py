"""Place the slices of a head in a frame, so that the network sees the whole head."""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from oasis_jax.config import STRIDE
from oasis_jax.geometry import Axis, Size
from oasis_jax.volumes.frame import Place, fit, middle, put

_SCALP = 24
"""Pixels at the rim of a head that the network need not see: scalp, skull and fluid around the brain."""

_MARGIN = 8
"""Pixels around a head in its frame. Convolutions continue a frame with its mean grey, which harms labels at its rim:
without a margin, stripped brains lost up to .017 of Dice against frames of 256x256, with it less than .002."""

_SMALLEST_FRAME = (STRIDE, STRIDE)
"""The frame around a head grows from here."""

_SAME_PLANE = 0.05
"""Share of the distance between two planes. A neighbour closer than that to a plane is that plane."""

Box = tuple[slice, slice]
"""Rows and columns."""


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

    def step(self, gap: float) -> float:
        """The distance of the slices in training, in planes that are `gap` mm apart."""
        return 1.0 if self.gap is None else self.gap / gap


def place_head(size: Size, box: Box, framing: Framing) -> tuple[Place, tuple[str, ...]]:
    """Where the planes of a head lie in a frame, and notes for the user.

    A network that sees frames of any size gets the box around the head. Another one gets a frame of training if it
    sees the head there, or in the middle all but a rim of scalp; else a larger frame.

    Args:
        size: of the planes.
        box: the rows and columns that hold the head.
        framing: how the network was trained.
    """
    if framing.window is None:
        rows, columns = (slice(s.start - _MARGIN, s.stop + _MARGIN) for s in box)
        return fit(size, (rows, columns), _SMALLEST_FRAME, _SMALLEST_FRAME), ()
    place = fit(size, box, framing.frame, framing.window)
    if place.frame == framing.frame:
        return place, ()
    inner = tuple(slice(min(s.start + _SCALP, s.stop), max(s.stop - _SCALP, s.start)) for s in box)
    centred = middle(size, framing.frame)
    if fit(size, (inner[0], inner[1]), framing.frame, framing.window) == centred:
        return centred, ()
    return place, (f"the head needs a frame of {place.frame[0]}x{place.frame[1]}, larger than in training",)


def cut_frames(
    planes: UInt8[np.ndarray, "planes rows columns"], place: Place, gap: float, framing: Framing
) -> UInt8[np.ndarray, "planes height width channels"]:
    """Frames of planes that are `gap` mm apart; the neighbours of each are as far away as in training."""
    neighbours, step = framing.neighbours, framing.step(gap)
    frames = np.empty((len(planes), *place.frame, 2 * neighbours + 1), np.uint8)
    for channel, distance in enumerate(range(-neighbours, neighbours + 1)):
        for k in range(len(planes)):
            position = min(max(k + distance * step, 0), len(planes) - 1)
            low, share = int(position), position % 1
            if min(share, 1 - share) < _SAME_PLANE:
                plane = planes[round(position)]
            else:
                plane = ((1 - share) * planes[low] + share * planes[low + 1]).astype(np.uint8)
            frames[k, ..., channel] = put(plane, place)
    return frames
