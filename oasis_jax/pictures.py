"""Pictures of slices: image, truth, prediction and errors side by side."""

from pathlib import Path

import numpy as np

from oasis_jax import labels

_ERROR = (213, 94, 0)


def draw_slice(path: Path, title: str, image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> None:
    """Draw one slice to a PNG file. All arrays are uint8 `(H, W)`: grey levels, true and predicted classes."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    wrong = np.repeat(image[..., None] // 2, 3, axis=2)
    wrong[truth != prediction] = _ERROR
    rows, columns = (_span(truth, prediction, image, axis) for axis in (0, 1))
    panels = [
        ("image", image),
        ("truth", labels.COLOURS[truth]),
        ("prediction", labels.COLOURS[prediction]),
        (f"errors: {int((truth != prediction).sum())} of {truth.size} pixels", wrong),
    ]
    figure = Figure(figsize=(12, 3.6), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=11)
    for axes, (name, pixels) in zip(figure.subplots(1, 4), panels, strict=True):
        axes.imshow(pixels[rows, columns], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(name, fontsize=9)
        axes.set_axis_off()
    handles = [
        Patch(facecolor=tuple(labels.COLOURS[k] / 255), edgecolor="0.5", label=labels.NAMES[k])
        for k in range(labels.COUNT)
    ]
    handles.append(Patch(facecolor=tuple(np.array(_ERROR) / 255), label="error"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.savefig(path, format="png", dpi=110)


def _span(truth: np.ndarray, prediction: np.ndarray, image: np.ndarray, axis: int) -> slice:
    """The rows (axis 0) or columns (axis 1) that show anything, with a margin."""
    used = np.flatnonzero(((image > 24) | (truth > 0) | (prediction > 0)).any(axis=1 - axis))
    return slice(max(used[0] - 6, 0), used[-1] + 7) if used.size else slice(None)
