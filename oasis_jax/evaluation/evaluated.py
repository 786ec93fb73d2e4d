"""The raw result of an evaluation: slices, their predictions, and their counts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from oasis_jax.data.slices import Slice
from oasis_jax.evaluation.score import SliceTable
from oasis_jax.geometry import Spacing
from oasis_jax.metrics.surface import SurfaceTable


class Evaluated(NamedTuple):
    """Slices, their predictions, and the counts of each slice."""

    pairs: Sequence[Slice]
    subjects: dict[str, str]
    """The subject of each case."""
    slices: Sequence[tuple[UInt8[np.ndarray, "rows columns"], UInt8[np.ndarray, "rows columns"]]]
    """Grey levels and true classes of each slice; slices of different cases may differ in size."""
    predictions: Sequence[UInt8[np.ndarray, "rows columns"]]
    """Predicted classes of each slice."""
    table: SliceTable
    """Losses and counts of each slice."""
    surfaces: SurfaceTable | None
    """A row for each slice, or for each whole volume, sorted by case; None if the spacing is unknown."""
    spacing: dict[str, Spacing | None]
    """mm, of each case; None if it is unknown."""
    whole: bool = False
    """Whether the cases are whole volumes; their surfaces are compared in 3D."""

    @property
    def slice_subjects(self) -> list[str]:
        """The subject of each slice."""
        return [self.subjects[pair.case] for pair in self.pairs]

    @property
    def cases(self) -> list[str]:
        """Each case once, sorted."""
        return sorted({pair.case for pair in self.pairs})
