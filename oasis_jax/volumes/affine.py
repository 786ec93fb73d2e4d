"""Orientation, position and voxel size of a volume from its header. Sizes that no head has are refused."""

import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float64
from nibabel import affines, orientations

from oasis_jax.system.errors import UserError

_VOXEL = (0.0999, 20.01)
"""Smallest and largest voxel of a head, mm: 0.1 and 20, with a margin because headers may round."""

_FIELD = 1000.0
"""Largest extent of a scan along each axis, mm; a head is 100 to 600 mm."""

_UNITS = {0: ("no unit; mm is assumed", 1.0), 1: ("metre", 1000.0), 2: ("mm", 1.0), 3: ("micron", 0.001)}
"""The unit of length of each code in a header: its name, and its length in mm."""

SKEW = 0.01
"""Cosine of the angle between two sides from which on a voxel is not rectangular: 0.6 degrees off."""

_FLAT = 0.05
"""Share of a rectangular voxel's volume below which the sides lie in one plane."""

_SAME_PLACE = 1.0
"""mm below which the two positions that a header gives count as the same; measured at the corners of the volume."""


@np.errstate(all="ignore")
def read_affine(
    path: Path, fields: Any, shape: tuple[int, int, int], orientation: str | None
) -> Float64[np.ndarray, "4 4"]:
    """The matrix from voxel numbers to mm, from a nibabel header. Errors call the file `path`.

    `orientation` gives the directions of the axes, such as "RAS", for a header that does not give them.

    Raises:
        UserError: the matrix or its unit is damaged, no head has such a size, or the orientation is unknown.
    """
    code = int(fields["xyzt_units"]) & 7 if "xyzt_units" in fields else 2
    if code not in _UNITS:
        raise UserError(f"{path} names a unit of length that does not exist (code {code}): correct its header.")
    name, unit = _UNITS[code]
    placed = is_placed(fields)
    if not placed and orientation is None:
        raise UserError(f"{path} has no orientation in its header (no affine): give one, such as --orientation RAS.")
    try:
        own = fields.get_best_affine() if placed else np.diag([*np.abs(fields.get_zooms()[:3]), 1.0])
    except ValueError as error:  # w2 of the quaternion is negative
        raise UserError(f"{path} has a damaged qform, its quaternion is no rotation: write the file again.") from error
    affine = np.diag([unit, unit, unit, 1.0]) @ own
    if not np.isfinite(affine).all():
        raise UserError(f"{path} has a damaged affine with numbers that are not finite: write the file again.")
    spacing = affines.voxel_sizes(affine)
    if not _VOXEL[0] <= min(spacing) <= max(spacing) <= _VOXEL[1] or max(spacing * shape) > _FIELD:
        raise UserError(
            f"{path} has voxels of {_by(spacing, '.4g')} mm and an extent of {_by(spacing * shape, '.0f')} mm (unit in "
            f"its header: {name}), but voxels of a head are 0.1 to 20 mm wide, and no scan of it is longer than 1 m: "
            "correct its spacing or its unit."
        )
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < _FLAT:
        raise UserError(f"{path} has a damaged affine, its axes lie in one plane: write the file again.")
    if placed:
        return affine
    ornt = orientations.axcodes2ornt((orientation or "").upper())
    scale = np.diag([*spacing[np.argsort(ornt[:, 0])], 1.0])
    return scale @ np.linalg.inv(orientations.inv_ornt_aff(ornt, shape))


def skew(affine: Float64[np.ndarray, "4 4"]) -> float:
    """The largest cosine between two sides of a voxel; below `SKEW` it is rectangular."""
    sides = affine[:3, :3] / affines.voxel_sizes(affine)
    return float(np.abs(sides.T @ sides - np.eye(3)).max())


@np.errstate(all="ignore")
def place_notes(fields: Any, shape: tuple[int, int, int], affine: Float64[np.ndarray, "4 4"]) -> list[str]:
    """Notes on voxels that are not rectangular, and on two positions or voxel sizes in one header; the sform counts."""
    notes = []
    if code_of(fields, "sform_code") and code_of(fields, "qform_code"):
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
        try:
            apart = affines.apply_affine(fields.get_sform() - fields.get_qform(), corners)
            if not (mm := float(np.linalg.norm(apart, axis=1).max())) < _SAME_PLACE:  # NaN differs too
                notes.append(f"its qform and its sform differ, by up to {mm:.3g}; its sform counts")
        except ValueError:
            notes.append("its qform is damaged; its sform counts")
    elif code_of(fields, "sform_code"):
        sizes, own = np.abs(fields["pixdim"][1:4]), affines.voxel_sizes(fields.get_sform())
        if not np.allclose(sizes, own, rtol=0.01):
            pixdim, sform = _by(sizes, ".3g"), _by(own, ".3g")
            notes.append(f"its header says {pixdim} for its voxels (pixdim) and its sform {sform}, which counts")
    if (cosine := skew(affine)) >= SKEW:
        angle = math.degrees(math.acos(min(1.0, cosine)))
        notes.append(f"its voxels are not rectangular, two of their sides meet at {angle:.0f} degrees")
    return notes


def _by(numbers: np.ndarray, form: str) -> str:
    """Numbers for the three axes, as text."""
    return " x ".join(f"{number:{form}}" for number in numbers)


def is_placed(fields: Any) -> bool:
    """Whether a header gives the orientation and position of its volume."""
    is_mgh = isinstance(fields, nib.MGHImage.header_class)
    return is_mgh or bool(code_of(fields, "sform_code") or code_of(fields, "qform_code"))


def code_of(fields: Any, name: str) -> int:
    """A code of a NIfTI header; 0 in a header of another kind."""
    return int(fields[name]) if name in fields else 0
