"""How a volume lies and how large its voxels are, as its header says; sizes that no head has are refused."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from nibabel import affines, orientations
from nibabel.freesurfer import mghformat

from oasis_jax.system.errors import UserError

_VOXEL = (0.0999, 20.01)
"""mm that voxels of a head measure at least and at most: 0.1 and 20, which a header may round."""

_FIELD = 1000.0
"""mm that a scan reaches at most along each axis; a head is 100 to 600 mm."""

_UNITS = {0: ("no unit; mm is taken", 1.0), 1: ("metre", 1000.0), 2: ("mm", 1.0), 3: ("micron", 0.001)}
"""What the header's code of its unit of length means, and mm."""

_SKEW = 0.01
"""Cosine of the angle between two sides of a voxel from which on it is not rectangular: 0.6 degrees off."""

_FLAT = 0.05
"""Share of a rectangular voxel's volume below which its sides lie in one plane."""

_APART = 1.0
"""mm by which the two places that a header gives may differ at a corner of the volume and count as one."""


def read_affine(path: Path, fields: Any, shape: tuple[int, int, int], orientation: str | None) -> np.ndarray:
    """From voxel numbers to mm."""
    code = int(fields["xyzt_units"]) & 7 if "xyzt_units" in fields else 2
    if code not in _UNITS:
        raise UserError(f"{path} names a unit of length that does not exist (code {code}): mend its header.")
    name, unit = _UNITS[code]
    placed = is_placed(fields)
    if not placed and orientation is None:
        raise UserError(f"{path} does not say how it lies (it has no affine): name its axes, as --orientation RAS.")
    try:
        own = fields.get_best_affine() if placed else np.diag([*np.abs(fields.get_zooms()[:3]), 1.0])
    except ValueError as error:  # w2 of the quaternion is negative
        raise UserError(f"{path} has a damaged qform, its quaternion is no rotation: write it anew.") from error
    affine = np.diag([unit, unit, unit, 1.0]) @ own
    if not np.isfinite(affine).all():
        raise UserError(f"{path} has a damaged affine, it holds no finite numbers: write it anew.")
    spacing = affines.voxel_sizes(affine)
    sizes = " x ".join(f"{mm:.4g}" for mm in spacing)
    if not all(_VOXEL[0] <= mm <= _VOXEL[1] for mm in spacing):
        raise UserError(
            f"{path} has voxels of {sizes} mm (its header names {name}), and those of a head are 0.1 to 20 mm wide: "
            "mend its spacing or its unit."
        )
    if max(spacing * shape) > _FIELD:
        reach = " x ".join(f"{mm:.0f}" for mm in spacing * shape)
        raise UserError(
            f"{path} reaches over {reach} mm (voxels of {sizes} mm, its header names {name}), more than any scan of a "
            "head: mend its spacing or its unit."
        )
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < _FLAT:
        raise UserError(f"{path} has a damaged affine, its axes lie in one plane: write it anew.")
    if placed:
        return affine
    ornt = orientations.axcodes2ornt((orientation or "").upper())
    scale = np.diag([*spacing[np.argsort(ornt[:, 0])], 1.0])
    return scale @ np.linalg.inv(orientations.inv_ornt_aff(ornt, shape))


def is_rectangular(affine: np.ndarray) -> bool:
    """Whether the sides of a voxel are at right angles."""
    return _skew(affine) < _SKEW


def _skew(affine: np.ndarray) -> float:
    """The largest cosine between two sides of a voxel."""
    sides = affine[:3, :3] / affines.voxel_sizes(affine)
    return float(np.abs(sides.T @ sides - np.eye(3)).max())


def place_notes(fields: Any, shape: tuple[int, int, int]) -> list[str]:
    """What the header says twice and otherwise: the sform counts."""
    if not code_of(fields, "sform_code"):
        return []
    sform = fields.get_sform()
    if not code_of(fields, "qform_code"):
        sizes, own = np.abs(fields["pixdim"][1:4]), affines.voxel_sizes(sform)
        if np.allclose(sizes, own, rtol=0.01):
            return []
        (one, other) = (" x ".join(f"{mm:.3g}" for mm in numbers) for numbers in (sizes, own))
        return [f"its header says {one} for its voxels (pixdim) and its sform {other}, which counts"]
    try:
        away = sform - fields.get_qform()
    except ValueError:
        return ["its qform is damaged; its sform counts"]
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    mm = float(np.linalg.norm(corners @ away[:3, :3].T + away[:3, 3], axis=1).max())
    return [f"its qform and its sform differ, by up to {mm:.3g}; its sform counts"] if not mm < _APART else []


def skew_notes(affine: np.ndarray) -> list[str]:
    if is_rectangular(affine):
        return []
    angle = math.degrees(math.acos(min(1.0, _skew(affine))))
    return [f"its voxels are not rectangular, two of their sides meet at {angle:.0f} degrees"]


def is_placed(fields: Any) -> bool:
    is_mgh = isinstance(fields, mghformat.MGHHeader)
    return is_mgh or bool(code_of(fields, "sform_code") or code_of(fields, "qform_code"))


def code_of(fields: Any, name: str) -> int:
    """A code of a NIfTI header; 0 in a header of another kind."""
    return int(fields[name]) if name in fields else 0
