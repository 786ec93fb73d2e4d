"""Pictures of slices: image, truth, prediction and errors side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from oasis_jax import labels
from oasis_jax.storage import printable

ERROR = (204, 121, 167)
"""RGB of a wrong pixel: vermilion of the Okabe-Ito palette, far from the colours of the classes for every reader."""


def draw_slice(path: Path, title: str, image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> None:
    """Draw one slice to a PNG file. All arrays are uint8 `(H, W)`: grey levels, true and predicted classes."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    wrong = np.repeat(image[..., None] // 2, 3, axis=2)
    wrong[truth != prediction] = ERROR
    box = shown_box(image, truth, prediction)
    panels = [
        ("image", image),
        ("truth", labels.COLOURS[truth]),
        ("prediction", labels.COLOURS[prediction]),
        (f"errors: {int((truth != prediction).sum())} of {truth.size} pixels", wrong),
    ]
    figure = Figure(figsize=(12, 3.6), layout="constrained", facecolor="white")
    figure.suptitle(printable(title), fontsize=11, parse_math=False)  # names may hold $
    for axes, (name, pixels) in zip(figure.subplots(1, 4), panels, strict=True):
        axes.imshow(pixels[box], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(name, fontsize=9)
        axes.set_axis_off()
    handles = [
        Patch(facecolor=tuple(labels.COLOURS[k] / 255), edgecolor="0.5", label=labels.NAMES[k])
        for k in range(labels.COUNT)
    ]
    handles.append(Patch(facecolor=tuple(np.array(ERROR) / 255), label="error"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.savefig(path, format="png", dpi=110)


def shown_box(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that show anything, with a margin; all of them where nothing is shown."""
    shown = (image > 24) | (truth > 0) | (prediction > 0)
    rows, columns = (np.flatnonzero(shown.any(axis=1 - axis)) for axis in (0, 1))
    if not rows.size:
        return slice(None), slice(None)
    return slice(max(rows[0] - 6, 0), rows[-1] + 7), slice(max(columns[0] - 6, 0), columns[-1] + 7)


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
    return np.concatenate([grey, *(grey // 2 + labels.COLOURS[k] // 2 for k in labels.FOREGROUND)]).astype(np.uint8)


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
