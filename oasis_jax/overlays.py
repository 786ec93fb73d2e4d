"""Slices with the colours of their classes laid over them, in one palette of 256 colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from oasis_jax.classes import COLOURS, FOREGROUND
from oasis_jax.geometry import Axis, Pair, Pixels


def tinted(image: UInt8[np.ndarray, "*shape"], classes: UInt8[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """A slice or a volume with its classes as colours over it, as indices into `PALETTE`.

    Args:
        image: grey levels; the two lowest bits are not shown.
        classes: 0 to 3.
    """
    return (image >> 2) | (classes << 6)


def tile(image: Pixels, classes: Pixels, axis: Axis) -> UInt8[np.ndarray, "columns width"]:
    """A slice of a RAS volume as radiologists look at it, and on its right the same with its colours.

    Nose or crown are up, and the right of the head is on the left; in a sagittal slice, the nose is on the left. The
    upper corners of the grey slice have the letters R and L, or A and P if it is sagittal. A line at its right rim
    keeps its letters apart from those of its neighbour in a mosaic. Indices into `PALETTE`: `(W, 2 H)`.
    """
    image, classes = (plane.T[::-1, ::-1] for plane in (image, classes))
    drawn, (rows, columns) = Image.fromarray(image), image.shape
    pen, (left, right) = ImageDraw.Draw(drawn), "AP" if axis == "sagittal" else "RL"
    size = max(8, rows // 14)
    pen.text((2, 2), left, fill=255, anchor="lt", font_size=size)
    pen.text((columns - 4, 2), right, fill=255, anchor="rt", font_size=size)
    pen.line((columns - 1, 0, columns - 1, rows), fill=64)
    lettered = np.asarray(drawn)
    return np.concatenate([lettered >> 2, tinted(lettered, classes)], axis=1)


_GREY = np.repeat(np.arange(64)[:, None] * 255 // 63, 3, axis=1)
PALETTE = np.concatenate([_GREY, *(_GREY // 2 + COLOURS[k] // 2 for k in FOREGROUND)]).astype(np.uint8)
"""RGB of 64 greys for background, then of 64 tinted greys for each class of the foreground."""


def panel(
    slices: Sequence[Pair], predictions: UInt8[np.ndarray, "slices rows columns"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw a few slices as RGB `(N H, 3 W, 3)`: in each row the image, then the truth and the prediction over it."""
    tiles = []
    for (image, truth), prediction in zip(slices, predictions, strict=True):
        tiles += [image >> 2, tinted(image, truth), tinted(image, prediction)]
    return PALETTE[mosaic(tiles, columns=3)]


def mosaic(
    tiles: list[UInt8[np.ndarray, "rows columns *channels"]], columns: int
) -> UInt8[np.ndarray, "height width *channels"]:
    """Arrange pictures of one size and kind in rows of `columns`, on black."""
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    rows[-1] = rows[-1] + [np.zeros_like(tiles[0])] * (columns * (len(rows) > 1) - len(rows[-1]))
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def write_picture(path: Path, pixels: UInt8[np.ndarray, "rows columns *channels"]) -> None:
    """Write RGB `(H, W, 3)`, or indices into `PALETTE` `(H, W)`, as a PNG file; compress it little, to be quick."""
    image = Image.fromarray(pixels)
    if pixels.ndim == 2:
        image.putpalette(PALETTE.tobytes())
    image.save(path, format="PNG", compress_level=1)
