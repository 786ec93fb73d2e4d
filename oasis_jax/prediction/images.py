"""The files of one input: its label map, its probabilities and its picture; `results` says which are written."""

import io
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from oasis_jax import overlays
from oasis_jax.classes import NAMES, STEP
from oasis_jax.geometry import Axis, Pair
from oasis_jax.inference.label import Segmentation
from oasis_jax.system.files import atomic_write
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.frame import take
from oasis_jax.volumes.nifti import Volume, is_volume, stacked, write_volume

_TILES = 24
"""Maximum number of slices in the picture of a volume."""


def names(file: InputFile, probabilities: bool) -> list[str]:
    """Names of the label map of a file and, if requested, of its probabilities."""
    labels, arrays = (".nii.gz", ".nii.gz") if is_volume(file.path) else (".png", ".npy")
    return [f"{file.name}_labels{labels}", *([f"{file.name}_probabilities{arrays}"] if probabilities else [])]


def write(found: Segmentation, folder: Path) -> None:
    """Write the label map of a file, and its probabilities if there are some; each appears whole or not at all."""
    volume, probabilities = found.input.volume, found.probabilities
    labels, shares = (folder / name for name in names(found.input.source, True))
    if volume is None:
        grey = Image.fromarray(found.classes[0] * np.uint8(STEP))
        atomic_write(labels, partial(grey.save, format="PNG", compress_level=1))
        if probabilities is not None:
            atomic_write(shares, partial(_save_array, values=probabilities[0]))
    else:
        meaning = "; ".join(f"{k} {name}" for k, name in enumerate(NAMES))
        save_slices(labels, found.classes, found.input.axis, volume, meaning)
        if probabilities is not None:
            save_slices(shares, probabilities, found.input.axis, volume)


def save_slices(path: Path, slices: np.ndarray, axis: Axis, like: Volume, meaning: str = "") -> None:
    """Write what was found for the slices of a volume, on its grid; `meaning` is that of the values of labels."""
    atomic_write(path, partial(write_volume, values=stacked(slices, axis), like=like, meaning=meaning))


def write_overlay(path: Path, found: Segmentation) -> None:
    """Write the picture of a file: a PNG slice with its labels, or some slices of a volume, without and with labels.

    Slices of a volume are those that show brain, upright and lettered.
    """
    if found.input.volume is None:
        picture = overlays.tinted(*_shown_slice(found, 0))
    else:
        brain = np.flatnonzero(found.classes.any(axis=(1, 2))).tolist() or [*range(len(found.classes))]
        shown = np.linspace(0, len(brain) - 1, min(_TILES, len(brain))).round().astype(int)
        tiles = [overlays.tile(*_shown_slice(found, brain[i]), found.input.axis) for i in shown]
        picture = overlays.mosaic(tiles, columns=4)
    atomic_write(path, partial(overlays.write_picture, pixels=picture))


def _shown_slice(found: Segmentation, k: int) -> Pair:
    """Grey levels and classes of slice `k` of a file, both in pixels of 1 mm."""
    file, classes = found.input, found.classes[k]
    grey = take(file.slices[k], file.place, file.head.shape[1:], 0)
    if classes.shape != grey.shape:
        row, column = (
            np.linspace(0, own - 1, mm).round().astype(int) for own, mm in zip(classes.shape, grey.shape, strict=True)
        )
        classes = classes[np.ix_(row, column)]
    return grey, classes


def _save_array(path: Path, values: np.ndarray) -> None:
    content = io.BytesIO()  # when the disk is full, np.save to a file would lose the reason that the system gives
    np.save(content, values, allow_pickle=False)
    path.write_bytes(content.getvalue())
