"""Write a made-up head as a NIfTI volume with its labels."""

from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Integer, UInt8

from oasis_jax.system.files import atomic_write


def label_file(path: Path) -> Path:
    """The path of the labels of a volume NAME.nii.gz: NAME_labels.nii.gz beside it."""
    return path.with_name(path.name.removesuffix(".nii.gz") + "_labels.nii.gz")


def write_head(
    path: Path, image: Integer[np.ndarray, "x y z"], classes: UInt8[np.ndarray, "x y z"], gap: float = 1.0
) -> None:
    """Write a head, and its labels beside it, as NIfTI files; each appears complete or not at all.

    Args:
        path: NAME.nii.gz; its folder is made if it is not there.
        image: intensities in RAS order, around the origin.
        classes: 0 to 3.
        gap: distance of the axial planes, mm; their pixels are 1 mm.
    """
    affine = np.diag([1.0, 1.0, gap, 1.0])
    affine[:3, 3] = -np.diag(affine)[:3] * image.shape / 2
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, array in ((label_file(path), classes), (path, image)):
        atomic_write(file, partial(nib.save, nib.Nifti1Image(array, affine)))
