"""A whole made-up head as a NIfTI volume, with its labels, for whoever has no scan at hand."""

from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float32, UInt8

from oasis_jax.data.phantoms.head import VIEW, draw_plane, make_head
from oasis_jax.system.console import Tracker, silent
from oasis_jax.system.files import atomic_write

_PLANES = 184
"""Axial planes, 1 mm apart."""

_LOWEST = -92
"""Height of the first plane, mm above the lowest slice of the quickstart's phantoms."""

_HEIGHTS = {"mm": (-92.0, -12.0, 40.0, 92.0), "drawn": (-156.0, -12.0, 40.0, 110.0)}
"""Heights in the volume, and those of the sections drawn there: slices are made for the range in the middle, and a head
is shorter below and rounder above than they would make it."""


def draw_volume(
    seed: int = 0, track: Tracker = silent
) -> tuple[Float32[np.ndarray, "176 208 184"], UInt8[np.ndarray, "176 208 184"]]:
    """Intensities and classes 0 to 3 of a head, voxels of 1 mm in RAS order; the same seed gives the same voxels."""
    head = make_head(np.random.default_rng([seed, 0]))
    values = np.zeros((*VIEW, _PLANES), np.float32)
    labels = np.zeros((*VIEW, _PLANES), np.uint8)
    for k in track(range(_PLANES), _PLANES, "Drawing a head"):
        height = float(np.interp(_LOWEST + k, _HEIGHTS["mm"], _HEIGHTS["drawn"]))
        values[..., k], labels[..., k] = draw_plane(head, height, np.random.default_rng([seed, 0, k]))
    return values, labels


def label_file(path: Path) -> Path:
    """Where the labels of the volume NAME.nii.gz lie: NAME_labels.nii.gz, beside it."""
    return path.with_name(path.name.removesuffix(".nii.gz") + "_labels.nii.gz")


def write_volume(path: Path, seed: int = 0, track: Tracker = silent) -> None:
    """Write a head, and its labels beside it, as NIfTI files; each is there whole or not at all."""
    values, labels = draw_volume(seed, track)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -VIEW[0] / 2, -VIEW[1] / 2, _LOWEST
    for file, array in ((label_file(path), labels), (path, values.round().astype(np.int16))):
        image = nib.Nifti1Image(array, affine)
        atomic_write(file, lambda part, image=image: nib.save(image, part))
