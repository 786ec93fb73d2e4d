"""Pictures of slices: image, truth, prediction and errors side by side."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from oasis_jax import classes
from oasis_jax.system.files import printable

ERROR = (204, 121, 167)
"""RGB of a wrong pixel: reddish purple of the Okabe-Ito palette. Colour-blind readers can see that it is no class."""

_DARK, _MARGIN = 24, 6
"""Grey levels up to this show nothing. Pixels around the part that is shown."""


def draw_slice(
    path: Path,
    title: str,
    image: UInt8[np.ndarray, "rows columns"],
    truth: UInt8[np.ndarray, "rows columns"],
    prediction: UInt8[np.ndarray, "rows columns"],
) -> None:
    """Draw the image, truth, prediction and errors of a slice side by side.

    Args:
        path: the PNG file to write.
        title: text above the picture.
        image: grey levels.
        truth: true classes.
        prediction: predicted classes.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    errors = np.repeat(image[..., None] // 2, 3, axis=2)
    errors[truth != prediction] = ERROR
    box = shown_box(image, truth, prediction)
    panels = [
        ("image", image),
        ("truth", classes.COLOURS[truth]),
        ("prediction", classes.COLOURS[prediction]),
        (f"errors: {int((truth != prediction).sum())} of {truth.size} pixels", errors),
    ]
    figure = Figure(figsize=(12, 3.6), layout="constrained", facecolor="white")
    figure.suptitle(printable(title), fontsize=11, parse_math=False)  # names may hold $
    for axes, (name, pixels) in zip(figure.subplots(1, 4), panels, strict=True):
        axes.imshow(pixels[box], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(name, fontsize=9)
        axes.set_axis_off()
    handles = [
        Patch(facecolor=tuple(classes.COLOURS[k] / 255), edgecolor="0.5", label=classes.NAMES[k])
        for k in range(classes.COUNT)
    ]
    handles.append(Patch(facecolor=tuple(np.array(ERROR) / 255), label="error"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.savefig(path, format="png", dpi=110)


def shown_box(
    image: UInt8[np.ndarray, "rows columns"],
    truth: UInt8[np.ndarray, "rows columns"],
    prediction: UInt8[np.ndarray, "rows columns"],
) -> tuple[slice, slice]:
    """The rows and columns of a slice that show anything, with a margin; all of them for an empty slice."""
    shown = (image > _DARK) | (truth > 0) | (prediction > 0)
    rows, columns = (np.flatnonzero(shown.any(axis=1 - axis)) for axis in (0, 1))
    if not rows.size:
        return slice(None), slice(None)
    first_row, first_column = (max(indices[0] - _MARGIN, 0) for indices in (rows, columns))
    return slice(first_row, rows[-1] + 1 + _MARGIN), slice(first_column, columns[-1] + 1 + _MARGIN)
