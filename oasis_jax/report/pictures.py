"""Pictures of slices: image, truth, prediction and errors side by side."""

from collections.abc import Sequence
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

    grey, wrong = np.repeat(image[..., None], 3, axis=2), truth != prediction
    errors = np.where(wrong[..., None], np.array(ERROR, np.uint8), grey // 2)
    panels = {
        "image": grey,
        "truth": classes.COLOURS[truth],
        "prediction": classes.COLOURS[prediction],
        f"errors: {int(wrong.sum())} of {wrong.size} pixels": errors,
    }
    row, middles = _side_by_side([pixels[shown_box(image, truth, prediction)] for pixels in panels.values()])
    figure = Figure(figsize=(12, 3.6), layout="constrained", facecolor="white")
    figure.suptitle(printable(title), fontsize=11, parse_math=False)  # names may hold $
    axes = figure.subplots()  # one for all panels: Matplotlib takes twice as long for four
    axes.imshow(row, interpolation="nearest")
    axes.xaxis.tick_top()
    axes.set_xticks(middles, panels, fontsize=9)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    handles = [
        Patch(facecolor=tuple(classes.COLOURS[k] / 255), edgecolor="0.5", label=classes.NAMES[k])
        for k in range(classes.COUNT)
    ]
    handles.append(Patch(facecolor=tuple(np.array(ERROR) / 255), label="error"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.savefig(path, format="png", dpi=110)


def _side_by_side(
    panels: Sequence[UInt8[np.ndarray, "rows columns 3"]],
) -> tuple[UInt8[np.ndarray, "rows all_columns 3"], list[float]]:
    """Panels beside each other with white between them, and the middle column of each."""
    rows, columns, _ = panels[0].shape
    step = columns + 1 + columns // 32
    row = np.full((rows, step * len(panels) - (step - columns), 3), 255, np.uint8)
    for i, panel in enumerate(panels):
        row[:, i * step : i * step + columns] = panel
    return row, [i * step + (columns - 1) / 2 for i in range(len(panels))]


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
