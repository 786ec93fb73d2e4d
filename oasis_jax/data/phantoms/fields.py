"""Smooth random fields, which give the made-up heads their detail."""

import numpy as np
from jaxtyping import Float64
from scipy import ndimage


def field(
    knots: Float64[np.ndarray, "rows columns heights"],
    y: Float64[np.ndarray, "height width"],
    x: Float64[np.ndarray, "height width"],
    height: float,
) -> Float64[np.ndarray, "height width"]:
    """A smooth random field through control points (cubic spline), at one height.

    Args:
        knots: values of the control points.
        y: row of each pixel, in control points; beyond the outer ones, the field is mirrored.
        x: column of each pixel, in control points, mirrored alike.
        height: of all pixels, in control points.
    """
    rows, columns = np.indices(knots.shape[:2])
    plane = ndimage.map_coordinates(knots, [rows, columns, np.full_like(rows, height, float)], order=3, mode="mirror")
    return ndimage.map_coordinates(plane, [y, x], order=3, mode="mirror")


def around(
    knots: Float64[np.ndarray, "angles depths heights"],
    angle: Float64[np.ndarray, "height width"],
    depth: Float64[np.ndarray, "height width"],
    height: float,
) -> Float64[np.ndarray, "height width"]:
    """A smooth random field around the head, as `field`, but by angle, which is periodic.

    Args:
        knots: values of the control points.
        angle: of each pixel; a turn is 1.
        depth: of each pixel, in control points.
        height: of all pixels, in control points.
    """
    count = len(knots)
    wrapped = np.concatenate([knots[-4:], knots, knots[:4]])
    return field(wrapped, angle * count + 4, depth, height)
