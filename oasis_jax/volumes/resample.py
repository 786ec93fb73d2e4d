"""Change the pixel size of planes: linear interpolation as one small matrix for each side."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped

from oasis_jax.geometry import Axis
from oasis_jax.volumes import nifti


class Grid(NamedTuple):
    """One side of a plane, in its own pixels and in pixels of 1 mm around the same middle."""

    own: int
    """Number of its own pixels."""
    spacing: float
    """Their distance, mm."""

    @property
    def mm(self) -> int:
        """Number of pixels of 1 mm; that of its own if both grids agree to half a pixel over the whole side."""
        return self.own if abs(self.own * (self.spacing - 1)) < 0.5 else max(1, round(self.own * self.spacing))

    def to_mm(self) -> Float32[np.ndarray, "mm own"] | None:
        """The matrix to pixels of 1 mm; None if nothing changes."""
        return None if self.mm == self.own else weights(self.mm, self.own, 1 / self.spacing)

    def from_mm(self) -> Float32[np.ndarray, "own mm"] | None:
        """The matrix from pixels of 1 mm; None if nothing changes."""
        return None if self.mm == self.own else weights(self.own, self.mm, self.spacing)


def weights(rows: int, columns: int, step: float) -> Float32[np.ndarray, "{rows} {columns}"]:
    """Linear interpolation from `columns` samples to `rows` samples that are `step` samples apart, around one middle.

    If samples are left out (`step` above 1), the triangle is widened by `step` against aliasing. Beyond the last
    sample, the last sample counts.

    Returns:
        A matrix whose rows each add up to 1.
    """
    position = (np.arange(rows) - (rows - 1) / 2) * step + (columns - 1) / 2
    position = position.clip(0, columns - 1)
    triangle = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(columns)) / max(1.0, step))
    return (triangle / triangle.sum(1, keepdims=True)).astype(np.float32)


def resample(
    planes: Shaped[np.ndarray, "slices rows columns"],
    rows: Float32[np.ndarray, "height rows"] | None,
    columns: Float32[np.ndarray, "width columns"] | None,
) -> Shaped[np.ndarray, "slices height width"]:
    """Apply a matrix to the rows and one to the columns of planes. The result is float32, or `planes` if both are None.

    Resample classes as indicator functions or probabilities, never as numbers.
    """
    if rows is not None:
        planes = np.matmul(rows, planes.astype(np.float32, copy=False))
    if columns is not None:
        planes = np.matmul(planes.astype(np.float32, copy=False), columns.T)
    return planes


def planes_in_mm(
    volume: nifti.Volume, axis: Axis
) -> tuple[Float32[np.ndarray, "slices height width"], tuple[Grid, Grid], float]:
    """The slices of a volume in pixels of 1 mm, their rows and columns, and their distance, mm.

    Raises:
        UserError: as `nifti.check_slices`.
    """
    nifti.check_slices(volume, axis)
    row, column, gap = nifti.slice_spacing(volume, axis)
    planes = nifti.planes(volume.values, axis)
    sides = Grid(planes.shape[1], row), Grid(planes.shape[2], column)
    return resample(planes, sides[0].to_mm(), sides[1].to_mm()), sides, gap
