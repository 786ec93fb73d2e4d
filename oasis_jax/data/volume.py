"""Volumes of a user's own: NIfTI and Analyze files, turned so that axes run right, anterior, superior, and back."""

import gzip
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel import affines, filebasedimages, nifti1, orientations, spatialimages, wrapstruct

from oasis_jax import labels
from oasis_jax.data.anatomy import AXES, Axis
from oasis_jax.errors import UserError

SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img")

_LARGEST = 2**28
"""Voxels: 1 GiB as float32. A head at 0.4 mm has a quarter of that; a header that claims more is damaged or hostile."""

_THICK = 2.5
"""mm, beyond which a scan is much coarser than 1 mm."""

BROKEN = (
    filebasedimages.ImageFileError,
    spatialimages.HeaderDataError,
    wrapstruct.WrapStructError,
    *(OSError, EOFError, ValueError, zlib.error, gzip.BadGzipFile, OverflowError),
)
"""What nibabel raises on damaged files."""

_TO_MM = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}


class Volume(NamedTuple):
    """One scan in memory."""

    values: np.ndarray
    """float32 `(X, Y, Z)`, toward the right, the front and the top of the head (RAS); finite."""
    spacing: tuple[float, float, float]
    """Distance of voxels along X, Y and Z, mm."""
    image: Any
    """The nibabel image as it was read: header, affine, and the file's own order of axes."""
    affine: np.ndarray
    """From the file's own voxel numbers to mm, `(4, 4)`."""
    turn: np.ndarray
    """The nibabel orientation that takes the file's axes to X, Y, Z."""
    hollow: int
    """Voxels that are not finite numbers in the file and are 0 here."""
    notes: tuple[str, ...]
    """What a user should know about the file."""


def is_volume(path: Path) -> bool:
    """Whether a file's name ends like a volume's."""
    return path.name.lower().endswith(SUFFIXES)


def read_volume(path: Path, orientation: str | None = None) -> Volume:
    """Read a volume and turn it to RAS.

    Args:
        path: a NIfTI file, or the .hdr or .img of an Analyze or NIfTI pair.
        orientation: three letters, such as "RAS" or "LPI", for a file that does not say how it lies: where its first,
            second and third axis lead.

    Raises:
        UserError: no volume, damaged, not three-dimensional, too large, or its orientation is unknown.
    """
    try:
        image: Any = nib.load(path)
        shape = image.shape
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) != 3 or 0 in shape:
            raise UserError(f"{path} has the shape {' x '.join(map(str, image.shape))}: give one volume, a 3-D image.")
        if np.prod(shape, dtype=np.int64) > _LARGEST:
            raise UserError(f"{path} claims {' x '.join(map(str, shape))} voxels, more than any head needs.")
        if image.get_data_dtype().kind not in "iuf":
            raise UserError(f"{path} holds {image.get_data_dtype()}, not one real number a voxel: convert it first.")
        values = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
        unit = _TO_MM[image.header.get_xyzt_units()[0]] if hasattr(image.header, "get_xyzt_units") else 1.0
    except (*BROKEN, KeyError) as error:
        reason = next(iter(str(error).splitlines()), "it is damaged")
        raise UserError(f"{path} cannot be read as a volume: {reason}.") from error
    affine = _affine(path, image, shape, orientation, unit)
    turn = orientations.io_orientation(affine)
    hollow = int(values.size - np.isfinite(values).sum())
    if hollow:
        values = np.nan_to_num(values, copy=False, nan=0, posinf=0, neginf=0)
    oblique = float(np.degrees(affines.obliquity(affine)).max())
    notes = [f"{hollow} voxels are not finite numbers and count as 0"] if hollow else []
    notes += [f"it lies {oblique:.0f} degrees oblique; slices follow its own axes"] if oblique > 15 else []
    x, y, z = (float(mm) for mm in affines.voxel_sizes(affine)[np.argsort(turn[:, 0])])
    values = np.ascontiguousarray(orientations.apply_orientation(values, turn))
    return Volume(values, (x, y, z), image, affine, turn, hollow, tuple(notes))


def write_volume(path: Path, values: np.ndarray, like: Volume, names: bool = False) -> None:
    """Write an array on the grid of a volume's own file, with its affine.

    Args:
        path: NAME.nii.gz.
        values: uint8 classes `(X, Y, Z)`, or float32 `(X, Y, Z, C)`, in RAS order.
        like: the volume whose grid it is.
        names: mark it as a label volume and put the classes' names into its header.
    """
    back = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), like.turn)
    values = orientations.apply_orientation(values, back)
    kind = nib.Nifti2Image if isinstance(like.image, nib.Nifti2Image) else nib.Nifti1Image
    if isinstance(like.image, nib.Nifti1Pair):
        image = kind(values, like.image.affine, like.image.header.copy(), dtype=values.dtype)
    else:  # Analyze: what the user said of its axes is all there is
        image = kind(values, like.affine, dtype=values.dtype)
    image.header.set_slope_inter(1, 0)
    image.header["cal_max"] = image.header["cal_min"] = 0
    image.header["descrip"] = b"oasis_jax"
    image.header.extensions.clear()
    if names:
        image.header.set_intent("label", name="tissue")
        text = "; ".join(f"{k} {name}" for k, name in enumerate(labels.NAMES))
        image.header.extensions.append(nifti1.Nifti1Extension("comment", text.encode()))
    nib.save(image, path)


def planes(values: np.ndarray, axis: Axis) -> np.ndarray:
    """The slices of a RAS array `(X, Y, Z, ...)`: `(N, rows, columns, ...)`."""
    return np.moveaxis(values, AXES.index(axis), 0)


def stacked(slices: np.ndarray, axis: Axis) -> np.ndarray:
    """The inverse of `planes`."""
    return np.moveaxis(slices, 0, AXES.index(axis))


def thickness_notes(volume: Volume, axis: Axis) -> list[str]:
    """What a user should know of slices or pixels much coarser than the 1 mm of OASIS."""
    *pixel, gap = slice_spacing(volume, axis)
    notes = [f"its slices are {gap:.1f} mm apart, those of OASIS 1 mm"] if gap > _THICK else []
    return notes + ([f"its pixels are {max(pixel):.1f} mm wide, those of OASIS 1 mm"] if max(pixel) > _THICK else [])


def slice_spacing(volume: Volume, axis: Axis) -> tuple[float, float, float]:
    """Distance of rows, of columns and of slices, mm."""
    k = AXES.index(axis)
    rows, columns = (s for i, s in enumerate(volume.spacing) if i != k)
    return rows, columns, volume.spacing[k]


def same_grid(a: Volume, b: Volume) -> bool:
    """Whether two volumes have the same voxels in the same places, to a tenth of a mm at every corner."""
    if a.image.shape[:3] != b.image.shape[:3]:
        return False
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(a.image.shape[:3]) - 1)
    return bool(np.abs((corners @ (a.affine - b.affine)[:3, :3].T) + (a.affine - b.affine)[:3, 3]).max() < 0.1)


def _affine(path: Path, image: Any, shape: tuple[int, ...], orientation: str | None, unit: float) -> np.ndarray:
    """From voxel numbers to mm; `unit` is the file's unit of length in mm."""
    if _has_affine(image):
        affine = np.diag([unit, unit, unit, 1.0]) @ image.affine
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
            raise UserError(f"{path} has a damaged affine: mend its header, or write it anew.")
        return affine
    if orientation is None:
        raise UserError(f"{path} does not say how it lies (it has no affine): name its axes, as --orientation RAS.")
    turn = orientations.axcodes2ornt(orientation.upper())
    zooms = np.abs(np.asarray(image.header.get_zooms()[:3], np.float64)) * unit
    if not (np.isfinite(zooms).all() and zooms.all()):
        raise UserError(f"{path} has voxels of no size: mend its header, or write it anew.")
    scale = np.diag([*zooms[np.argsort(turn[:, 0])], 1.0])
    return scale @ np.linalg.inv(orientations.inv_ornt_aff(turn, shape))


def check_orientation(orientation: str | None) -> None:
    """Raise `UserError` unless three letters name each direction once."""
    pairs = ("LR", "PA", "IS")
    letters = (orientation or "").upper()
    if orientation is not None and (
        len(letters) != 3 or not all(sum(letter in pair for letter in letters) == 1 for pair in pairs)
    ):
        raise UserError(f"--orientation is {orientation} and must name three directions, such as RAS or LPI.")


def _has_affine(image: Any) -> bool:
    if {"qform_code", "sform_code"} <= set(image.header.keys()):
        return bool(image.header["qform_code"] or image.header["sform_code"])
    return False  # Analyze 7.5
