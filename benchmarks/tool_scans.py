"""The scans of `tools.py`: images with a brain mask and true labels."""

from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel import orientations
from scipy import io
from tool_tables import FIFTHS, UNCOUNTED

from oasis_jax.system.errors import UserError

COLIN_CLASSES = np.array([0, 0, 0, 1, 2, 3, 0], np.uint8)
"""Of air, scalp, skull, CSF, gray matter, white matter, air inside."""
COLIN_LOWEST = 45
"""Below this plane, the map of Colin27 calls the brain stem gray matter."""


class Scan(NamedTuple):
    """An image with a brain mask, and true labels by the name of who made them."""

    subject: str
    case: str
    image: Path
    mask: Path
    """Above 0 in the brain."""
    truths: dict[str, np.ndarray]


def voxels(path: Path) -> np.ndarray:
    """The labels of a file, uint8."""
    image: Any = nib.load(path)  # type: ignore[attr-defined]
    return np.asarray(image.dataobj).astype(np.uint8)


def fifths(fast: Path) -> dict[str, np.ndarray]:
    """The labels of FAST in each fifth of the heights that it labels; other voxels do not count."""
    image: Any = nib.load(fast)  # type: ignore[attr-defined]
    directions = orientations.io_orientation(image.affine)
    axis = int(np.flatnonzero(directions[:, 0] == 2)[0])
    truth = voxels(fast)
    planes = np.moveaxis(truth, axis, 0)
    upward = np.flatnonzero(planes.any((1, 2)))[:: int(directions[axis, 1])]
    parts = {}
    for name, part in zip(FIFTHS, np.array_split(upward, len(FIFTHS)), strict=True):
        parts[name] = np.full_like(truth, UNCOUNTED)
        np.moveaxis(parts[name], axis, 0)[part] = planes[part]
    return parts


def find_scans(folder: Path) -> list[Scan]:
    """The scans in a folder, sorted by subject and case."""
    scans = []
    for image in sorted(folder.glob("*/*/SS.nii.gz")):
        fast, experts = (image.with_name(f"{name}.nii.gz") for name in ("tissues", "classified"))
        truths = {"FAST": voxels(fast), "experts": voxels(experts)} | fifths(fast)
        scans.append(Scan(image.parents[1].name, image.parent.name, image, fast, truths))
    if not scans:
        raise UserError(f"{folder} holds no SUBJECT/CASE/SS.nii.gz: name the folder of the scans.")
    return scans


def colin27(image: Path, path: Path, output: Path) -> Scan:
    """Colin27. Its true brain mask is written to the output folder."""
    truth = COLIN_CLASSES[io.loadmat(path)["colin27"]]
    upper = np.where(np.arange(truth.shape[2]) < COLIN_LOWEST, UNCOUNTED, truth).astype(np.uint8)
    mask = output / "colin27_mask.nii.gz"
    t1: Any = nib.load(image)  # type: ignore[attr-defined]
    nib.save(nib.Nifti1Image((truth > 0).astype(np.uint8), t1.affine), mask)  # type: ignore[attr-defined]
    return Scan("Colin27", "true", image, mask, {"map": truth, "upper map": upper})
