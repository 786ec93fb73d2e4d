"""Where the slices of a head lie in a frame, so that the network sees all of the head, or at least of the brain."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from oasis_jax.data.geometry import Axis, Size
from oasis_jax.data.volumes.anatomy import Head, brain_planes, find_head
from oasis_jax.data.volumes.frame import Place, fit, middle, put, quantise

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

Box = tuple[slice, slice]
"""Rows and columns."""

Classify = Callable[[np.ndarray], Any]
"""From frames uint8 `(N, rows, columns, C)` of the trained size to classes uint8 `(N, rows, columns)`."""


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

    def step(self, gap: float) -> float:
        """How many planes, `gap` mm apart, lie from one slice of training to the next."""
        return 1.0 if self.gap is None else self.gap / gap


def place_slice(grey: np.ndarray, framing: Framing) -> tuple[Place, tuple[str, ...]]:
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


def place_volume(
    values: np.ndarray, head: Head, gap: float, framing: Framing, classify: Classify | None
) -> tuple[Place, tuple[str, ...]]:
    """Where the network sees the whole head, or else the whole brain, which it finds itself."""
    size, box = (values.shape[1], values.shape[2]), (head.rows, head.columns)
    whole = fit(size, box, framing.frame, framing.seen)
    if whole.frame == framing.frame or classify is None:
        return whole, _frame_notes(whole, framing, "head")
    planes = values[brain_planes(head, gap, framing.axis)]
    place = middle(size, framing.frame)  # where slices of training lie; an atlas's brain must lie there to the pixel
    for _ in range(_LOOKS):
        classes = np.asarray(classify(cut_frames(planes, place, gap, framing)))
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


def cut_frames(values: np.ndarray, place: Place, gap: float, framing: Framing) -> np.ndarray:
    """Frames uint8 `(N, rows, columns, C)` of planes `gap` mm apart, each amid neighbours as far off as in training."""
    neighbours, step = framing.neighbours, framing.step(gap)
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
