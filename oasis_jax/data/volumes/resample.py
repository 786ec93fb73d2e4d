"""Change the pixel size of planes: linear interpolation as one small matrix for each side."""

from typing import NamedTuple

import numpy as np


class Grid(NamedTuple):
    """A side of a plane, in its own pixels and in pixels of 1 mm around the same middle."""

    own: int
    """Pixels of the plane."""
    spacing: float
    """Their distance, mm."""

    @property
    def mm(self) -> int:
        """Pixels of 1 mm; as many as its own where the spacing is 1 mm to within half a pixel over the whole side."""
        return self.own if abs(self.own * (self.spacing - 1)) < 0.5 else max(1, round(self.own * self.spacing))

    def to_mm(self) -> np.ndarray | None:
        """Matrix `(mm, own)`; None where nothing changes."""
        return None if self.mm == self.own else weights(self.mm, self.own, 1 / self.spacing)

    def from_mm(self) -> np.ndarray | None:
        """Matrix `(own, mm)`; None where nothing changes."""
        return None if self.mm == self.own else weights(self.own, self.mm, self.spacing)


def weights(rows: int, columns: int, step: float) -> np.ndarray:
    """Linear interpolation from `columns` samples to `rows` samples that lie `step` samples apart, middle on middle.

    Where samples are left out (`step` above 1), the triangle is widened by `step`, so that nothing aliases. Beyond
    the last sample the last one counts.

    Returns:
        float32 `(rows, columns)`, each row's sum 1.
    """
    at = (np.arange(rows) - (rows - 1) / 2) * step + (columns - 1) / 2
    at = at.clip(0, columns - 1)
    triangle = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(columns)) / max(1.0, step))
    return (triangle / triangle.sum(1, keepdims=True)).astype(np.float32)


def resample(planes: np.ndarray, rows: np.ndarray | None, columns: np.ndarray | None) -> np.ndarray:
    """Apply a matrix to the rows and one to the columns of `(N, rows, columns)`; float32, or as it was where both None.

    Classes are resampled as their indicator functions or probabilities, never as numbers.
    """
    if rows is not None:
        planes = np.matmul(rows, planes.astype(np.float32, copy=False))
    if columns is not None:
        planes = np.matmul(planes.astype(np.float32, copy=False), columns.T)
    return planes
