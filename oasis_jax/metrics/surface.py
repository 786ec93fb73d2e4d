"""Distances between the surfaces of two masks, in mm: 95th-percentile Hausdorff distance and surface Dice.

The definition is that of DeepMind's `surface-distance` 0.1 (Nikolov et al. 2018, arXiv 1809.04430), whose tables are
used; its own code calls parts of SciPy that are about to go. A surface runs through the corners of pixels: a corner
whose 2x2 (in 3D 2x2x2) neighbourhood holds both inside and outside is one surface element. Its size is the length of
the contour (the area of the marching-cubes surface) in that neighbourhood. What lies beyond the array is outside. The
distance of an element is the Euclidean distance of its corner to the nearest corner of the other surface.

Hausdorff distances of other tools differ where the percentile or the surface is another: MedPy takes the percentile of
both directions together, over the border pixels, unweighted.

A mask may be empty. **Both empty**: there is no surface to compare; distance and Dice are NaN, to be left out and
counted. **One empty**: the distance is infinite, as no finite number is true of it (some contests put the image's
diagonal there); the surface Dice is 0, as none of the surface is near another. The infinite ones are counted and not
averaged: give their count beside every mean distance.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Num, UInt8
from scipy import ndimage
from surface_distance import lookup_tables

from oasis_jax import classes

PERCENTILE = 95.0
TOLERANCE = 1.0
"""mm. Slices of 1 mm pixels have their contours a whole pixel off forgiven: an equal distance counts as near."""


class Distances(NamedTuple):
    """Each surface element of one mask: its distance to the other mask's surface, and its size."""

    distance: Float64[np.ndarray, " elements"]
    """mm, ascending; infinite where the other mask is empty."""
    size: Float64[np.ndarray, " elements"]
    """mm of contour, or mm² of surface."""


class SurfaceTable(NamedTuple):
    """By foreground class (CSF, gray matter, white matter), or by slice (volume) and foreground class.

    Surface Dice is `surface_dice(near, size)`. Add `near` and `size` over the slices of a subject for the subject's.
    """

    hausdorff: Float64[np.ndarray, "*rows 3"]
    """mm; NaN for a class absent from truth and prediction, infinite for one absent from one of them."""
    near: Float64[np.ndarray, "*rows 3"]
    """mm (mm² of volumes): size of both surfaces within the tolerance of the other."""
    size: Float64[np.ndarray, "*rows 3"]
    """mm (mm² of volumes): size of both surfaces."""


def compare(
    truth: UInt8[np.ndarray, "*pixels"],
    prediction: UInt8[np.ndarray, "*pixels"],
    spacing: Sequence[float],
    tolerance: float = TOLERANCE,
) -> SurfaceTable:
    """Compare the surfaces of each foreground class.

    Args:
        truth: classes 0 to 3 of a slice (rows, columns) or of a whole volume (slices, rows, columns).
        prediction: the same of the prediction.
        spacing: mm from one pixel to the next along each axis: (row, column), of a volume all three.
        tolerance: mm within which a surface element counts as near.
    """
    rows = []
    for k in classes.FOREGROUND:
        sides = surface_distances(truth == k, prediction == k, spacing)
        near = sum(side.size[side.distance <= tolerance].sum() for side in sides)
        rows.append((hausdorff(*sides), near, sum(side.size.sum() for side in sides)))
    return SurfaceTable(*np.array(rows).T)


def compare_slices(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], spacing: Sequence[float], tolerance: float = TOLERANCE
) -> SurfaceTable:
    """`compare` of each slice, (truth, prediction), by itself; spacing is (row, column). Some 10 ms a slice."""
    tables = [compare(*pair, spacing, tolerance) for pair in pairs]
    return SurfaceTable(*map(np.stack, zip(*tables, strict=True)))


def surface_dice(near: Num[np.ndarray, "*groups"], size: Num[np.ndarray, "*groups"]) -> Float64[np.ndarray, "*groups"]:
    """Normalised surface Dice, range 0 to 1, of any group of slices added up; NaN where there is no surface.

    The part of both surfaces that lies within the tolerance of the other (Nikolov et al. 2018).
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(near / size)


def hausdorff(true: Distances, predicted: Distances, percentile: float = PERCENTILE) -> float:
    """The larger of the two directed percentiles, in mm; with 100 the Hausdorff distance itself.

    A directed percentile is the least distance within which that percentage of the surface's size lies. NaN without any
    surface; infinite if one mask is empty.
    """
    if not true.size.size and not predicted.size.size:
        return np.nan
    return max(_percentile(side, percentile) for side in (true, predicted) if side.size.size)


def surface_distances(
    true: Bool[np.ndarray, "*pixels"], predicted: Bool[np.ndarray, "*pixels"], spacing: Sequence[float]
) -> tuple[Distances, Distances]:
    """From each element of one surface to the nearest of the other.

    Args:
        true: mask of 2 or 3 dimensions.
        predicted: mask of the same shape.
        spacing: mm along each axis.

    Returns:
        True surface to predicted, and predicted to true.
    """
    either = true | predicted
    box = tuple(_extent(either, axis) for axis in range(either.ndim))
    codes = [_neighbourhoods(mask[box]) for mask in (true, predicted)]
    borders = [(code > 0) & (code < 2**2**either.ndim - 1) for code in codes]
    table = _TABLES[either.ndim](spacing)
    return (
        _directed(borders[0], table[codes[0]], borders[1], spacing),
        _directed(borders[1], table[codes[1]], borders[0], spacing),
    )


_TABLES = {
    2: lookup_tables.create_table_neighbour_code_to_contour_length,
    3: lookup_tables.create_table_neighbour_code_to_surface_area,
}


def _extent(mask: np.ndarray, axis: int) -> slice:
    """From the first to the last place along an axis where the mask has anything; elsewhere there is no surface."""
    places = np.flatnonzero(np.moveaxis(mask, axis, 0).reshape(mask.shape[axis], -1).any(1))
    return slice(places[0], places[-1] + 1) if places.size else slice(0, 0)


def _neighbourhoods(mask: np.ndarray) -> np.ndarray:
    """The code in the tables of each corner of a mask's pixels, uint8, one longer along each axis than the mask."""
    padded = np.pad(mask, 1).astype(np.uint8)
    codes = np.zeros([n + 1 for n in mask.shape], np.uint8)
    for bit, corner in enumerate(np.ndindex((2,) * mask.ndim)):
        part = padded[tuple(slice(c, c + n) for c, n in zip(corner, codes.shape, strict=True))]
        codes |= part << (2**mask.ndim - 1 - bit)
    return codes


def _directed(border: np.ndarray, size: np.ndarray, other: np.ndarray, spacing: Sequence[float]) -> Distances:
    sizes = size[border]
    if other.any():
        distances = np.asarray(ndimage.distance_transform_edt(~other, sampling=spacing))[border]
    else:
        distances = np.full(sizes.shape, np.inf)
    order = np.lexsort((sizes, distances))  # sizes too, or the order of equals would move a rounding
    return Distances(distances[order], sizes[order])


def _percentile(side: Distances, percentile: float) -> float:
    share = side.size.cumsum() / side.size.sum()
    return float(side.distance[min(np.searchsorted(share, percentile / 100), len(share) - 1)])
