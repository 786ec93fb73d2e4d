"""For other programs: load a model, label what the caller holds, compare labels with true ones; no file is written.

`import oasis_jax` has these names too, and imports this module when one of them is used.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import nibabel as nib
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from nibabel.spatialimages import SpatialImage

from oasis_jax.classes import CLASSES, TISSUES, Tissue
from oasis_jax.data.study import LabelValues, classes_of, classes_on
from oasis_jax.evaluation.scores import ByClass, named
from oasis_jax.inference import label as inference
from oasis_jax.inference.segment import Segmenter
from oasis_jax.metrics.aggregate import with_foreground
from oasis_jax.metrics.overlap import confusion, hard_dice
from oasis_jax.prediction.summary import file_summary
from oasis_jax.pretrained import run_path
from oasis_jax.runs.folder import Run
from oasis_jax.system import sharding
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.cut import Input, cut_volume, read_input
from oasis_jax.volumes.finding import InputFile, find_inputs
from oasis_jax.volumes.frame import Framing
from oasis_jax.volumes.nifti import Volume, check_orientation, own_axes, read_volume, stacked, turn_image

FilePath = str | os.PathLike[str]

Image = FilePath | SpatialImage | np.ndarray
"""A file, an image of nibabel, or an array."""

_SCAN, _TRUTH = Path("scan"), Path("truth")
"""What errors call an image without a file: the argument's name."""


class LabelledScan(NamedTuple):
    """The labels of one scan, on the grid of its file, in the order of the file's axes."""

    classes: UInt8[np.ndarray, "*grid"]
    """0 background, 1 CSF, 2 gray matter, 3 white matter: `(i, j, k)`, or `(rows, columns)` of a PNG slice."""
    probabilities: Float32[np.ndarray, "*grid 4"] | None
    """Of each class, 0 to 1; None if they were not asked for."""
    millilitres: dict[Tissue, float] | None
    """Of each tissue; None for a slice."""
    notes: tuple[str, ...]
    """What the user should know about this scan."""
    volume: Volume | None
    """The scan as the program read it, with its axes to the right, front and top; None for a PNG slice."""

    @property
    def affine(self) -> Float64[np.ndarray, "4 4"] | None:
        """From numbers of voxels to mm; None for a PNG slice."""
        return None if self.volume is None else self.volume.own_affine


def load(model: FilePath, *others: FilePath, mirror: bool = False) -> Segmenter:
    """Load a model once, to label many scans with it. The settings of JAX stay as they are.

    Args:
        model: the folder of a run or of a model, a file of weights; or "pretrained" or "pretrained-slices".
        others: more of them, over which probabilities are averaged too.
        mirror: average over the mirror image of each slice too: better, and twice as slow.

    Raises:
        UserError: no model, a damaged one, models that do not fit together, or no device for JAX.
    """
    sharding.find_devices()
    paths = [run_path(path) if isinstance(path, str) else Path(path) for path in (model, *others)]
    return Segmenter.load([Run.load(path) for path in paths], mirror=mirror)


def label(
    model: Segmenter,
    scan: Image,
    *,
    spacing: Sequence[float] | None = None,
    orientation: str | None = None,
    probabilities: bool = False,
) -> LabelledScan:
    """Label a scan, as `python -m oasis_jax.predict` does.

    Args:
        model: from `load`.
        scan: a file (a volume, or a PNG slice, whose neighbours are found beside it), an image of nibabel, or a volume
            as an array `(i, j, k)` of intensities in any unit.
        spacing: distance of voxels along i, j and k, mm; for an array.
        orientation: where i, j and k lead, such as "RAS"; for an array, or a header that does not say it.
        probabilities: return those of each class too.

    Raises:
        UserError: the scan cannot be read, its orientation is unknown, or it is no scan of a head.
    """
    check_orientation(orientation)
    item = _read(scan, model.framing, spacing, orientation)
    (found,) = inference.label([item], model, probabilities)
    summary = file_summary(found, model.trained)

    def own(slices: np.ndarray) -> np.ndarray:
        if item.volume is None:
            return slices[0]
        return np.ascontiguousarray(own_axes(stacked(slices, item.axis), item.volume))

    amounts = summary.millilitres
    return LabelledScan(
        classes=own(found.classes),
        probabilities=None if found.probabilities is None else own(found.probabilities),
        millilitres=None if amounts is None else dict(zip(TISSUES, map(float, amounts), strict=True)),
        notes=summary.notes,
        volume=item.volume,
    )


def score(
    labels: LabelledScan,
    truth: Image,
    values: Sequence[Sequence[int]] = ((0,), (1,), (2,), (3,)),
) -> ByClass:
    """The hard Dice of each class and the mean over the foreground classes, 0 to 1.

    Args:
        labels: from `label`.
        truth: the true labels on the same grid: a file, an image of nibabel, or an array of the shape of
            `labels.classes`; of a PNG slice, an array.
        values: those of `truth` that stand for background, CSF, gray matter and white matter.

    Returns:
        By class; None for a class that is absent from both.

    Raises:
        UserError: the truth cannot be read, lies on another grid, or has values that belong to no class or to two.
    """
    by_class = LabelValues(*map(tuple, values)).by_class()
    if isinstance(truth, np.ndarray):
        if truth.shape != labels.classes.shape:
            raise UserError(f"truth has the shape {truth.shape}, but the labels have {labels.classes.shape}.")
        classes = classes_of(_TRUTH, truth.astype(np.float32), by_class)
    elif labels.volume is None:
        raise UserError("truth must be an array of the classes of each pixel, because a PNG slice was labelled.")
    else:
        volume = turn_image(_TRUTH, truth) if isinstance(truth, SpatialImage) else read_volume(Path(truth))
        classes = own_axes(classes_on(labels.volume, volume, by_class), labels.volume)
    rows = len(classes), -1, 1
    counts = jax.jit(confusion)(jnp.asarray(labels.classes.reshape(rows)), jnp.asarray(classes.reshape(rows)))
    return named(CLASSES, with_foreground(hard_dice)(np.asarray(counts).sum(0)))


def _read(scan: Image, framing: Framing, spacing: Sequence[float] | None, orientation: str | None) -> Input:
    """A scan, cut for a model."""
    if isinstance(scan, np.ndarray):
        scan = _image(scan, spacing, orientation)
    elif spacing is not None:
        raise UserError("spacing is for an array: leave it out, because the header says it.")
    if isinstance(scan, SpatialImage):
        path = Path(scan.get_filename() or _SCAN)
        return cut_volume(InputFile(path, path.name), turn_image(path, scan, orientation), framing)
    files, problems = find_inputs([Path(scan)])
    if len(files) != 1:
        raise UserError(f"{next(iter(problems.values()), f'{scan} holds {len(files)} files: label one at a time')}.")
    return read_input(files[0], framing, orientation)


def _image(values: np.ndarray, spacing: Sequence[float] | None, orientation: str | None) -> nib.Nifti1Image:
    """An array as an image whose header says its spacing, and leaves its orientation to the caller."""
    if values.ndim != 3 or values.dtype.kind not in "biuf":
        raise UserError(f"scan has the shape {values.shape} and holds {values.dtype}: give one volume of real numbers.")
    if spacing is None or orientation is None or len(spacing) != 3 or not all(mm > 0 for mm in spacing):
        raise UserError(
            'scan is an array: give its spacing in mm and its orientation, as spacing=(1, 1, 1), orientation="RAS".'
        )
    image = nib.Nifti1Image(values.astype(np.float32), None)
    image.header.set_zooms(spacing)
    return image
