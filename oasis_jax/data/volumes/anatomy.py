"""Where in a volume the head and the brain lie, from intensities and labels alone."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from oasis_jax.data.geometry import Axis

BRAIN_MM = 150.0
"""No brain is much taller than this from vertex to brain stem, so what lies lower is neck, not brain."""

_AIR = 0.1
"""Share of the way from the darkest 2 % of the volume to its brightest 1 % below which a voxel is air."""

_MARGIN = 2
"""Thinned pixels, so 4 mm, that still count as head around it: dark CSF at the rim of a brain without its skull."""


class Head(NamedTuple):
    """Where the head lies in a stack of planes."""

    rows: slice
    columns: slice
    """The box that holds it in all planes; empty where there is none."""
    mask: np.ndarray
    """bool `(N, rows, columns)`: the head, what it encloses in each plane, and 4 pixels around it."""


def find_head(planes: np.ndarray) -> Head:
    """The head: the largest connected piece brighter than air.

    Args:
        planes: intensities `(N, rows, columns)`, any real dtype, pixels of 1 mm.
    """
    thin = planes[:, ::2, ::2]  # a quarter of the work; the box is widened by the pixel this may cost
    positive = thin[thin > 0]
    if not positive.size:
        return Head(slice(0, 0), slice(0, 0), np.zeros(planes.shape, bool))
    pieces = np.zeros(thin.shape, np.int32)
    dark, bright = max(float(np.percentile(thin, 2)), 0.0), float(np.percentile(positive, 99))
    ndimage.label(thin > dark + _AIR * (bright - dark), output=pieces)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    if not sizes.any():
        return Head(slice(0, 0), slice(0, 0), np.zeros(planes.shape, bool))
    head = pieces == sizes.argmax()
    rows, columns = (_doubled(head.any(axis=(0, other)), planes.shape[3 - other]) for other in (2, 1))
    flat = np.zeros((3, 3, 3), bool)
    flat[1] = ndimage.generate_binary_structure(2, 1)
    near = ndimage.binary_dilation(head, flat, iterations=_MARGIN)
    filled = np.stack([np.asarray(ndimage.binary_fill_holes(plane)) for plane in near])
    mask = filled.repeat(2, axis=1).repeat(2, axis=2)[:, : planes.shape[1], : planes.shape[2]]
    return Head(rows, columns, mask)


def brain_planes(head: Head, gap: float, axis: Axis, count: int = 8) -> np.ndarray:
    """Planes that should show a section of the brain, by number, evenly spaced: of axial ones those from 40 to 80 mm
    below the top of the head; of others, or where less of a head is there, the middle half.

    Args:
        head: where the head lies.
        gap: distance of the planes, mm.
        axis: what they show.
        count: how many, if there are so many.
    """
    shown = np.flatnonzero(head.mask.any(axis=(1, 2)))
    low, high = float(shown[0]), float(shown[-1])
    first, last = low + (high - low) / 4, high - (high - low) / 4
    if axis == "axial" and (high - low) * gap > 80:
        first, last = high - 80 / gap, high - 40 / gap
    return np.unique(np.linspace(first, last, count).round().astype(int))


def _doubled(used: np.ndarray, size: int) -> slice:
    at = np.flatnonzero(used)
    return slice(max(2 * int(at[0]) - 1, 0), min(2 * int(at[-1]) + 2, size))


def brain_span(brain: np.ndarray, spacing: float, axis: Axis) -> tuple[float, int] | None:
    """The base and the top of the brain, as slice numbers; the base may lie between two slices.

    Args:
        brain: labelled area of each slice `(N,)`, in order.
        spacing: distance of the slices, mm.
        axis: for axial slices, what lies further than `BRAIN_MM` below the top is not counted as brain.

    Returns:
        None where less than two slices show a brain.
    """
    shown = np.flatnonzero(brain > 0)
    if shown.size < 2:
        return None
    base, top = float(shown[0]), int(shown[-1])
    return (max(base, top - BRAIN_MM / spacing) if axis == "axial" else base), top


def heights(brain: np.ndarray, spacing: float, axis: Axis) -> np.ndarray | None:
    """The height of each slice, float64 `(N,)`: 0 at the base of the brain, 1 at its top; arguments as `brain_span`."""
    span = brain_span(brain, spacing, axis)
    return None if span is None else (np.arange(len(brain)) - span[0]) / (span[1] - span[0])
