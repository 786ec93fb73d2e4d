"""Place the slices of a head in a frame, so that the network sees the whole head, or at least the whole brain."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from oasis_jax.config import STRIDE
from oasis_jax.data.geometry import Axis, Size, central
from oasis_jax.data.volumes.anatomy import Head, brain_planes, find_head
from oasis_jax.data.volumes.frame import Place, fit, middle, put

_SCALP = 24
"""Pixels at the rim of a head that the network need not see: scalp, skull and fluid around the brain."""

_ATTEMPTS = 4
"""How often the network looks for the brain: in the middle, in the middle of the head, then around its last result."""

_SMALLEST_BRAIN = 24
"""Pixels of 1 mm. If the labels cover a narrower range, they are no section of a brain."""

_MARGIN = 2
"""Pixels around the brain on the chosen planes, for the planes between them."""

_SMALLEST_FRAME = (STRIDE, STRIDE)
"""The frame around a head grows from here."""

_SAME_PLANE = 0.05
"""Share of the distance between two planes. A neighbour closer than that to a plane is that plane."""

Box = tuple[slice, slice]
"""Rows and columns."""

Classify = Callable[[UInt8[np.ndarray, "slices rows columns channels"]], Any]
"""From frames of the trained size to classes uint8 `(N, rows, columns)`."""


class Framing(NamedTuple):
    """How the network that will see the slices was trained."""

    frame: Size
    window: Size
    """The central part of the frame that it sees."""
    axis: Axis
    neighbours: int = 0
    """Slices below and above that it sees as extra channels."""
    gap: float | None = None
    """mm from one slice to the next in training; None if unknown."""
    whole_heads: bool = False
    """Whether it was trained on every height of heads, wherever they lie: it sees the box around a head."""

    def step(self, gap: float) -> float:
        """The distance of the slices in training, in planes that are `gap` mm apart."""
        return 1.0 if self.gap is None else self.gap / gap


def place_slice(grey: UInt8[np.ndarray, "rows columns"], framing: Framing) -> tuple[Place, tuple[str, ...]]:
    """The place of a slice, and notes: the middle if the network sees the head there, except for a rim of scalp.

    Otherwise, the place where the network sees the whole head.
    """
    head, size = find_head(grey[None]), (grey.shape[0], grey.shape[1])
    inner = tuple(
        slice(min(s.start + _SCALP, s.stop), max(s.stop - _SCALP, s.start)) for s in (head.rows, head.columns)
    )
    centred = fit(size, (inner[0], inner[1]), framing.frame, framing.window)
    if centred == middle(size, framing.frame):
        return centred, ()
    place = fit(size, (head.rows, head.columns), framing.frame, framing.window)
    return place, _frame_notes(place, framing)


def place_volume(
    grey: UInt8[np.ndarray, "planes rows columns"],
    head: Head,
    gap: float,
    framing: Framing,
    classify: Classify | None,
) -> tuple[Place, tuple[str, ...]]:
    """The place of the planes of a volume, and notes: where the network sees the whole head, else the whole brain.

    Args:
        grey: grey levels, pixels of 1 mm.
        head: where the head lies in them.
        gap: distance of the planes, mm.
        framing: how the network was trained.
        classify: the network, which finds the brain; None: show the whole head.
    """
    size, box = (grey.shape[1], grey.shape[2]), (head.rows, head.columns)
    if framing.whole_heads:
        return fit(size, box, _SMALLEST_FRAME, _SMALLEST_FRAME), ()
    whole = fit(size, box, framing.frame, framing.window)
    if whole.frame == framing.frame or classify is None:
        return whole, _frame_notes(whole, framing)
    planes = grey[brain_planes(head, gap, framing.axis)]
    place = middle(size, framing.frame)  # as in training; a volume in the space of the atlas must not move by a pixel
    for _ in range(_ATTEMPTS):
        classes = np.asarray(classify(cut_frames(planes, place, gap, framing)))
        brain, cut = _labelled(classes, place, framing)
        if brain is not None and not cut:
            return place, ()
        box = brain or box
        place = fit(size, _shrunk(box, framing.window), framing.frame, framing.window)
    note = (
        f"its brain was not found, so the network sees the whole head, in a frame of {whole.frame[0]}x{whole.frame[1]}"
    )
    return whole, (note,)


def _labelled(classes: np.ndarray, place: Place, framing: Framing) -> tuple[Box | None, bool]:
    """The box around the labels of some planes, with a margin, and whether the window cuts the labels off."""
    sides, cut = [], False
    for axis, (whole, window, offset) in enumerate(zip(place.frame, framing.window, place.offset, strict=True)):
        used = np.flatnonzero((classes > 0).any(axis=(0, 2 - axis)))
        if used.size < _SMALLEST_BRAIN:
            return None, False
        (inside,) = central((whole,), (window,))
        cut |= bool(used[0] <= inside.start or used[-1] >= inside.stop - 1)
        sides.append(slice(int(used[0]) - _MARGIN - offset, int(used[-1]) + 1 + _MARGIN - offset))
    return (sides[0], sides[1]), cut


def _shrunk(box: Box, size: Size) -> Box:
    """The middle part of a box, at most of a size."""
    rows, columns = (
        slice(
            s.start + max(0, s.stop - s.start - n) // 2,
            s.start + max(0, s.stop - s.start - n) // 2 + min(n, s.stop - s.start),
        )
        for s, n in zip(box, size, strict=True)
    )
    return rows, columns


def _frame_notes(place: Place, framing: Framing) -> tuple[str, ...]:
    if place.frame == framing.frame:
        return ()
    return (f"the head needs a frame of {place.frame[0]}x{place.frame[1]}, larger than in training",)


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
