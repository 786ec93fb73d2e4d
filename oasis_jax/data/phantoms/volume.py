"""A whole made-up head as a NIfTI volume with its labels, for users without a scan."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from oasis_jax.data.phantoms.head import draw_plane, make_head
from oasis_jax.data.volume import write_head
from oasis_jax.system import console

_HEIGHTS = {"mm": (-92.0, -12.0, 40.0, 92.0), "drawn": (-156.0, -12.0, 40.0, 110.0)}
"""Heights in the volume, mm above the lowest slice of the quickstart's phantoms, and heights of the sections drawn
there. `draw_plane` is made for the range in the middle; a head is shorter below and rounder above than it would draw
it."""


def draw_volume(
    seed: int = 0, gap: float = 1.0
) -> tuple[Float32[np.ndarray, "176 208 planes"], UInt8[np.ndarray, "176 208 planes"]]:
    """Intensities and classes 0 to 3 of a head in RAS order; the same seed gives the same voxels.

    The axial planes are `gap` mm apart; their pixels are 1 mm.
    """
    head = make_head(np.random.default_rng([seed, 0]))
    lowest, *_, highest = _HEIGHTS["mm"]
    heights = np.interp(np.arange(lowest, highest, gap), _HEIGHTS["mm"], _HEIGHTS["drawn"])
    keys = [np.random.default_rng([seed, 0, k]) for k in range(len(heights))]
    with ThreadPoolExecutor() as pool:
        planes = pool.map(partial(draw_plane, head), map(float, heights), keys)
        values, labels = zip(*console.track(planes, len(heights), "Drawing a head"), strict=True)
    return np.stack(values, axis=-1).astype(np.float32), np.stack(labels, axis=-1)


def write_volume(path: Path, seed: int = 0, gap: float = 1.0) -> None:
    """Write a head and its labels as `write_head` does. Arguments are those of `draw_volume`."""
    values, labels = draw_volume(seed, gap)
    write_head(path, values.round().astype(np.int16), labels, gap)
