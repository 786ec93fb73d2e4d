"""Slices under the colours of their classes, in one palette of 256 colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from oasis_jax.classes import COLOURS, FOREGROUND


def tinted(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """A slice under the colours of its classes: uint8 `(H, W)`, places in `PALETTE`.

    Args:
        image: grey levels, uint8 `(H, W)`; the two lowest bits are not shown.
        classes: uint8 `(H, W)`.
    """
    return (image >> 2) | (classes << 6)


def beside(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The slice and beside it the slice under its colours: uint8 `(H, 2 W)`, places in `PALETTE`."""
    return np.concatenate([image >> 2, tinted(image, classes)], axis=1)


def overlay(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The same as RGB uint8 `(H, 2 W, 3)`."""
    return PALETTE[beside(image, classes)]


def _palette() -> np.ndarray:
    grey = np.repeat(np.arange(64)[:, None] * 255 // 63, 3, axis=1)
    return np.concatenate([grey, *(grey // 2 + COLOURS[k] // 2 for k in FOREGROUND)]).astype(np.uint8)


PALETTE = _palette()
"""RGB of 64 greys for background, then of 64 tinted greys for each class of the foreground, uint8 `(256, 3)`."""


def panel(slices: Sequence[tuple[np.ndarray, np.ndarray]], predictions: np.ndarray) -> np.ndarray:
    """A few slices, a row each: image, truth and prediction over it. RGB uint8 `(n H, 3 W, 3)`."""
    rows = []
    for (image, truth), prediction in zip(slices, predictions, strict=True):
        rows.append(np.concatenate([overlay(image, truth), overlay(image, prediction)[:, image.shape[1] :]], axis=1))
    return np.concatenate(rows)


def mosaic(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size and kind, in rows of so many, on black."""
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    rows[-1] = rows[-1] + [np.zeros_like(tiles[0])] * (columns * (len(rows) > 1) - len(rows[-1]))
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write RGB uint8 `(H, W, 3)`, or places in `PALETTE` `(H, W)`, as a PNG file, quickly rather than small."""
    image = Image.fromarray(pixels)
    if pixels.ndim == 2:
        image.putpalette(PALETTE.tobytes())
    image.save(path, format="PNG", compress_level=1)
