"""Volumes of a user's own: NIfTI, Analyze and MGH files, with axes turned to right, anterior, superior, and back."""

from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel import affines, nifti1, orientations

from oasis_jax import classes
from oasis_jax.data.geometry import AXES, Axis
from oasis_jax.data.volumes.affine import is_rectangular
from oasis_jax.data.volumes.header import Header, read_header, read_values
from oasis_jax.system.errors import UserError

SUFFIXES = (".nii", ".nii.gz", ".mgz", ".mgh", ".hdr", ".img")

_THICK = 2.5
"""mm, beyond which a scan is much coarser than 1 mm."""

_HUGE = 1e30
"""Values from which on sums of float32 overflow."""

_NARROW = 20.0
"""mm that a slice is wide at least; heads of adults are 100 and more."""

_SAME = 0.1
"""mm by which voxels of two volumes may be apart and count as one."""

_NEGATIVE = 0.001
"""Share of voxels below 0 from which on it is told."""

_RINGING = 0.05
"""Share of the brightest tissue down to which values below 0 come from interpolation."""


class Volume(NamedTuple):
    """One scan in memory."""

    values: np.ndarray
    """float32 `(X, Y, Z)`, toward the right, the front and the top of the head (RAS); finite."""
    spacing: tuple[float, float, float]
    """Distance of voxels along X, Y and Z, mm."""
    header: Header
    """What the file says of itself, in its own order of axes."""
    ornt: np.ndarray
    """The nibabel orientation that takes the file's axes to X, Y, Z."""
    nonfinite: int
    """Voxels that are not finite numbers in the file and are 0 here."""
    notes: tuple[str, ...]
    """What a user should know about the file."""

    @property
    def affine(self) -> np.ndarray:
        """From voxel numbers along X, Y, Z to mm, `(4, 4)`."""
        return self.header.affine @ orientations.inv_ornt_aff(self.ornt, self.header.shape)

    @property
    def voxel(self) -> float:
        """Volume of a voxel, mm^3, whatever its shape."""
        return abs(float(np.linalg.det(self.header.affine[:3, :3])))

    @property
    def rectangular(self) -> bool:
        """Whether the sides of a voxel are at right angles."""
        return is_rectangular(self.header.affine)


def is_volume(path: Path) -> bool:
    """Whether a file's name ends like a volume's."""
    return path.name.lower().endswith(SUFFIXES)


def read_volume(path: Path, orientation: str | None = None) -> Volume:
    """Read a volume and turn it to RAS.

    Args:
        path: a file as `read_header` takes.
        orientation: where the axes of a file lead that does not say so, such as "RAS".

    Raises:
        UserError: as `read_header`, or the voxels are damaged.
    """
    header = read_header(path, orientation)
    values, notes = read_values(path, header)
    ornt = orientations.io_orientation(header.affine)
    sound = (values > -_HUGE) & (values < _HUGE)
    nonfinite = int(values.size - sound.sum())
    if nonfinite:
        values = np.where(sound, values, np.float32(0))
        notes.append(f"{nonfinite} voxels are not finite numbers, or too large for float32, and count as 0")
    oblique = float(np.degrees(affines.obliquity(header.affine)).max())
    notes += [f"it lies {oblique:.0f} degrees oblique; slices follow its own axes"] if oblique > 15 else []
    x, y, z = (float(mm) for mm in affines.voxel_sizes(header.affine)[np.argsort(ornt[:, 0])])
    values = np.ascontiguousarray(orientations.apply_orientation(values, ornt))
    return Volume(values, (x, y, z), header, ornt, nonfinite, (*header.notes, *notes, *_negative_notes(values)))


def write_volume(path: Path, values: np.ndarray, like: Volume, names: bool = False) -> None:
    """Write an array on the grid of a volume's own file, with its affine.

    Args:
        path: NAME.nii.gz.
        values: uint8 classes `(X, Y, Z)`, or float32 `(X, Y, Z, C)`, in RAS order.
        like: the volume whose grid it is.
        names: mark it as a label volume and put the classes' names into its header.
    """
    back = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), like.ornt)
    values = orientations.apply_orientation(values, back)
    fields = like.header.fields
    kind = nib.Nifti2Image if isinstance(fields, nib.Nifti2Header) else nib.Nifti1Image
    if isinstance(fields, nib.Nifti1Header):
        image = kind(values, fields.get_best_affine(), fields.copy(), dtype=values.dtype)
    else:  # Analyze, of whose axes all is known that the user said, and MGH
        image = kind(values, like.header.affine, dtype=values.dtype)
    image.header.set_slope_inter(1, 0)
    image.header["cal_max"] = image.header["cal_min"] = 0
    image.header["descrip"] = b"oasis_jax"
    image.header.extensions.clear()
    if names:
        image.header.set_intent("label", name="tissue")
        text = "; ".join(f"{k} {name}" for k, name in enumerate(classes.NAMES))
        image.header.extensions.append(nifti1.Nifti1Extension("comment", text.encode()))
    nib.save(image, path)


def planes(values: np.ndarray, axis: Axis) -> np.ndarray:
    """The slices of a RAS array `(X, Y, Z, ...)`: `(N, rows, columns, ...)`."""
    return np.moveaxis(values, AXES.index(axis), 0)


def stacked(slices: np.ndarray, axis: Axis) -> np.ndarray:
    """The inverse of `planes`."""
    return np.moveaxis(slices, 0, AXES.index(axis))


def thickness_notes(volume: Volume, axis: Axis, trained: float | None = None) -> list[str]:
    """What a user should know of slices or pixels much coarser than the 1 mm of OASIS.

    `trained` is the distance, in mm, of the slices that a network was trained on.
    """
    *pixel, gap = slice_spacing(volume, axis)
    others = "those of OASIS 1 mm" if trained is None else f"those of training {trained:g} mm"
    notes = [f"its slices are {gap:.1f} mm apart, {others}"] if gap > max(_THICK, trained or 0) else []
    return notes + ([f"its pixels are {max(pixel):.1f} mm wide, those of OASIS 1 mm"] if max(pixel) > _THICK else [])


def slice_spacing(volume: Volume, axis: Axis) -> tuple[float, float, float]:
    """Distance of rows, of columns and of slices, mm; their product is the volume of a voxel, whatever its shape.

    Slices that are stacked at a slant are as far apart as their planes are.
    """
    k = AXES.index(axis)
    rows, columns = (s for i, s in enumerate(volume.spacing) if i != k)
    return rows, columns, volume.spacing[k] if volume.rectangular else volume.voxel / (rows * columns)


def check_slices(path: Path, volume: Volume, axis: Axis) -> None:
    """Raise `UserError` where the slices along an axis are too narrow to show a head."""
    sides = planes(volume.values, axis).shape[1:]
    reach = [n * mm for n, mm in zip(sides, slice_spacing(volume, axis), strict=False)]
    if min(reach) >= _NARROW:
        return
    thin = AXES[int(np.argmin(np.array(volume.values.shape) * volume.spacing))]
    raise UserError(
        f"{path} has {axis} slices of {reach[0]:.3g} x {reach[1]:.3g} mm, too narrow for a head: it holds "
        f"{volume.values.shape[AXES.index(thin)]} {thin} slice(s), and {axis} ones are looked at."
    )


def same_grid(a: Volume, b: Volume) -> bool:
    """Whether two volumes have the same voxels in the same places, to a tenth of a mm at every corner.

    How their files order the axes does not matter; a file that does not say where it lies counts as lying there.
    """
    size = np.array(a.values.shape)
    if a.values.shape != b.values.shape:
        return False
    if not (a.header.placed and b.header.placed):
        return bool((np.abs(np.subtract(a.spacing, b.spacing)) * size).max() < _SAME)
    away, corners = a.affine - b.affine, np.array(list(np.ndindex(2, 2, 2))) * (size - 1)
    return bool(np.abs(corners @ away[:3, :3].T + away[:3, 3]).max() < _SAME)


def check_orientation(orientation: str | None) -> None:
    """Raise `UserError` unless three letters name each direction once."""
    pairs = ("LR", "PA", "IS")
    letters = (orientation or "").upper()
    if orientation is not None and (
        len(letters) != 3 or not all(sum(letter in pair for letter in letters) == 1 for pair in pairs)
    ):
        raise UserError(f"--orientation is {orientation} and must name three directions, such as RAS or LPI.")


def _negative_notes(values: np.ndarray) -> list[str]:
    """How many voxels are below 0; ringing around it does not count."""
    few = values[::2, ::2, ::2]
    share = float((values < -_RINGING * np.percentile(np.abs(few), 99)).mean())
    return [f"{100 * share:.3g} % of its voxels are below 0 and count as 0"] if share > _NEGATIVE else []
