"""Where the head and the brain lie in a volume, from intensities and labels alone."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Real
from scipy import ndimage

from oasis_jax.geometry import Axis

BRAIN_MM = 150.0
"""No brain is much taller than this from vertex to brain stem; what lies lower is neck."""

_BACKGROUND_SHARE = 0.1
"""Share of the way from the darkest 2 % of a volume to its brightest 1 % up to which a voxel is background."""

_PIECE = 0.1
"""Size, as a share of the largest piece, from which on a piece is head: half a brain is, a patch of noise is not."""

_DARK = 0.1
"""A plane is a gap in the scan if it has less than this share of the bright voxels of planes on both sides of it."""

_LONGEST_GAP = 5
"""Planes. Beyond a longer gap lies something else, such as a neck that is folded over the vertex."""

_SPECK = 0.001
"""Size, as a share of the largest piece, up to which a piece is noise of the air and no part of anything."""

_NOTED = 0.01
"""Size of the bright parts that are not head, as a share of the head, above which the user gets a note."""

_CUT_OFF = 0.25
"""Share of the largest section of a brain. A larger section at the end of a volume is no base and no top."""

_LOWER, _UPPER = (0.49, 0.56), (0.70, 0.77)
"""Heights of the sections that `narrows_upward` compares, between the outermost sections that are not small."""

_SMALL = 0.02
"""Share of the largest section. Smaller sections at base and top may be stray labels and count as none."""

_FEWEST = 12
"""Slices; fewer do not show the shape of a brain."""

_NARROWING = (0.65, 0.97)
"""Area of the upper sections of a brain as a share of the lower ones. It is 0.83 to 0.84 in an OASIS-1 scan and 0.77
in the MNI152 mask of nilearn; upside down, 0.58 to 0.62 and 0.68; in a cylinder, 1. The highest quarter of the slices
of 30 OASIS-1 scans, 32 mm from half-way up, has 0.78 to 0.90 of the area of the lowest."""

_MARGIN = 2
"""Thinned pixels (4 mm) around the head that still count as head: dark CSF at the rim of a brain without its skull."""


class Head(NamedTuple):
    """Where the head lies in a stack of planes."""

    box: tuple[slice, slice]
    """The rows and columns that show it in any plane; empty if there is no head."""
    mask: Bool[np.ndarray, "planes rows columns"]
    """The head, what it encloses in each plane, and 4 pixels around it."""
    gaps: tuple[int, ...] = ()
    """Planes within the head that are black or nearly black."""
    beside: float = 0.0
    """Size of the bright parts that are not head, as a share of the head."""


def find_head(planes: Real[np.ndarray, "planes rows columns"]) -> Head:
    """Find the head: the largest connected pieces brighter than the background.

    Pixels of `planes`, intensities, are 1 mm wide. A black plane within the head does not divide it. A nearly black
    plane shows the head where its neighbours show it; a black plane shows none.
    """
    thin = planes[:, ::2, ::2]  # a quarter of the work
    positive = thin[thin > 0]
    dark = max(float(np.percentile(thin, 2)), 0.0)
    bright = float(np.percentile(positive, 99)) if positive.size else np.inf
    body = thin > dark + _BACKGROUND_SHARE * (bright - dark)
    gaps = _gaps(body.sum(axis=(1, 2)))
    kept, numbers = np.delete(np.arange(len(body)), gaps), np.arange(len(body))
    head, beside = _pieces(body[kept])
    if not head.any():
        return Head((slice(0, 0), slice(0, 0)), np.zeros(planes.shape, bool))
    # A gap shows what its nearest neighbours show, if it shows anything at all.
    head = head[np.searchsorted(kept, numbers, "right") - 1] | head[np.searchsorted(kept, numbers)]
    head &= np.any(thin > 0, axis=(1, 2), keepdims=True)
    (inside,) = ndimage.find_objects(head.any(axis=0).astype(np.uint8))
    sides = zip(inside, planes.shape[1:], strict=True)
    row, column = (slice(max(2 * s.start - 1, 0), min(2 * s.stop, n)) for s, n in sides)  # wider by what thinning lost
    flat = ndimage.generate_binary_structure(2, 1)[None]
    near = ndimage.binary_dilation(head, flat, iterations=_MARGIN)
    filled = np.asarray(ndimage.binary_fill_holes(near, flat))
    mask = filled.repeat(2, axis=1).repeat(2, axis=2)[:, : planes.shape[1], : planes.shape[2]]
    return Head((row, column), mask, tuple(gaps), beside)


def head_notes(head: Head, numbers: Sequence[int]) -> list[str]:
    """Notes for the user on how the head was found in a volume; `numbers` are those of its planes in its file."""
    if not head.mask.any():
        return ["no head was found in it, so nothing is labelled"]
    notes = gap_notes(head, numbers)
    if head.beside > _NOTED:
        notes.append(f"bright parts apart from the head ({100 * head.beside:.0f} % of its size) are not labelled")
    return notes


def gap_notes(head: Head, numbers: Sequence[int]) -> list[str]:
    """A note on the planes within a head that show nothing, or nearly nothing; by their numbers in the file."""
    if not head.gaps:
        return []
    named = ", ".join(str(numbers[k]) for k in head.gaps[:8]) + (" ..." if head.gaps[8:] else "")
    return [f"slices within the head are black or nearly black (counted from 0: {named})"]


def _gaps(bright: np.ndarray) -> list[int]:
    """The planes with far fewer bright voxels than planes on both sides; `bright` counts those of each plane."""
    before, after = np.maximum.accumulate(bright), np.maximum.accumulate(bright[::-1])[::-1]
    low = np.flatnonzero(bright < _DARK * np.minimum(before, after))
    runs = np.split(low, np.flatnonzero(np.diff(low) > 1) + 1)
    return [int(k) for run in runs if len(run) <= _LONGEST_GAP for k in run]


def _pieces(body: np.ndarray) -> tuple[np.ndarray, float]:
    """The pieces of a body that are head, and the size of the other pieces as a share of the head."""
    pieces = np.zeros(body.shape, np.int32)
    ndimage.label(body, output=pieces)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    largest = int(sizes.max())
    is_head = sizes >= max(1, _PIECE * largest)
    head, parts = (int(sizes[chosen].sum()) for chosen in (is_head, sizes > _SPECK * largest))
    return is_head[pieces], (parts - head) / max(1, head)


def brain_piece(labelled: Bool[np.ndarray, "planes rows columns"]) -> Bool[np.ndarray, "planes rows columns"]:
    """The largest connected piece of what is labelled, without what hangs on to it by less than two voxels.

    Planes without labels, as black ones have none, do not divide a brain.
    """
    used = labelled.any(axis=(1, 2))
    solid = labelled[used]
    core = np.asarray(ndimage.binary_erosion(solid, iterations=1, border_value=1))
    pieces, count = ndimage.label(core if core.any() else solid)  # type: ignore[misc]
    if count == 0:
        return labelled
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    largest = ndimage.binary_dilation(pieces == sizes.argmax(), iterations=2)
    out = np.zeros_like(labelled)
    out[used] = largest & solid
    return out


def brain_span(brain: Real[np.ndarray, " slices"], spacing: float, axis: Axis) -> tuple[float, int] | None:
    """The base and the top of the brain, as slice numbers; the base may lie between two slices.

    Args:
        brain: labelled area of each slice, in order, in any unit.
        spacing: distance of the slices, mm.
        axis: in axial slices, what lies further than `BRAIN_MM` below the top does not count as brain.

    Returns:
        None if fewer than two slices show a brain.
    """
    shown = np.flatnonzero(brain > 0)
    if shown.size < 2:
        return None
    base, top = float(shown[0]), int(shown[-1])
    return (max(base, top - BRAIN_MM / spacing) if axis == "axial" else base), top


def brain_notes(brain: Real[np.ndarray, " slices"], spacing: float, axis: Axis) -> list[str]:
    """Notes for the user on a labelled brain that is not whole or not upright. Arguments are those of `brain_span`."""
    span = brain_span(brain, spacing, axis)
    if span is None:
        return []
    base, top = span
    large = _CUT_OFF * float(brain.max())
    if brain[-1] > large or (base == 0 and brain[0] > large):
        return ["it ends inside the brain: millilitres are of the part that it shows"]
    if axis == "axial" and not narrows_upward(brain[math.ceil(base) : top + 1]):
        return ["its brain does not narrow upward as in an upright head: it may be upside down, or no head"]
    return []


def narrows_upward(brain: Real[np.ndarray, " slices"]) -> bool:
    """Whether the sections of a brain change with height as those of an upright head do.

    `brain` is the labelled area of each axial slice, from the base to the top. True also if fewer than `_FEWEST` slices
    show a brain, for then its shape is not known.
    """
    shown = np.flatnonzero(brain > _SMALL * brain.max(initial=0))
    if shown.size < _FEWEST:
        return True
    share = (np.arange(len(brain)) - shown[0]) / (shown[-1] - shown[0])
    lower, upper = (np.interp(np.linspace(*ends, 8), share, brain).mean() for ends in (_LOWER, _UPPER))
    return bool(_NARROWING[0] * lower <= upper <= _NARROWING[1] * lower)
