"""A user's volumes (NIfTI, Analyze, MGH): read with axes to the right, front and top of the head, and written back."""

from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from jaxtyping import Float, Float32, Float64, Num, Shaped
from nibabel import affines, nifti1, orientations
from nibabel.spatialimages import SpatialImage

from oasis_jax.geometry import AXES, Axis
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.affine import SKEW, is_placed, place_notes, read_affine, skew
from oasis_jax.volumes.header import read_file, read_image, scaling

SUFFIXES = (".nii", ".nii.gz", ".mgz", ".mgh", ".hdr", ".img")

_THICK = 2.5
"""Largest distance of slices or pixels, mm, without a note that the scan is coarser than 1 mm."""

_HUGE = 1e30
"""Value from which on sums of float32 overflow."""

_NARROW = 20.0
"""Smallest width of a slice, mm; heads of adults are 100 mm wide and more."""

_SAME = 0.1
"""mm below which two positions of a voxel count as the same."""

_NEGATIVE = 0.001
"""Largest share of voxels below 0 without a note."""

_RINGING = 0.05
"""Share of the brightest tissue down to which negative values come from interpolation."""

_GEOMETRY = (
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z"),
)
"""Fields of a NIfTI header that say where its voxels lie. All other fields are about the scan, or about the person."""


class Volume(NamedTuple):
    """One scan in memory."""

    path: Path
    """Its file; what errors call it, if it was given in memory."""
    values: Float32[np.ndarray, "x y z"]
    """Toward the right, the front and the top of the head (RAS); finite."""
    fields: Any
    """The nibabel header of the file, repaired if it needed repair."""
    own_affine: Float64[np.ndarray, "4 4"]
    """From numbers of voxels to mm, in the file's own order of axes."""
    nonfinite: int
    """Number of voxels that are not finite numbers in the file and are 0 here."""
    notes: tuple[str, ...]
    """What the user should know about the file."""

    @property
    def ornt(self) -> Float[np.ndarray, "3 2"]:
        """The nibabel orientation from the file's axes to X, Y, Z."""
        return orientations.io_orientation(self.own_affine)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of voxels along X, Y and Z, mm."""
        x, y, z = affines.voxel_sizes(self.own_affine)[np.argsort(self.ornt[:, 0])]
        return float(x), float(y), float(z)

    @property
    def affine(self) -> Float64[np.ndarray, "4 4"]:
        """From voxel numbers along X, Y, Z to mm."""
        return self.own_affine @ orientations.inv_ornt_aff(self.ornt, self.fields.get_data_shape()[:3])

    @property
    def voxel(self) -> float:
        """Volume of a voxel of any shape, mm^3."""
        return abs(float(np.linalg.det(self.own_affine[:3, :3])))

    def numbers(self, axis: Axis) -> range:
        """The numbers, from 0, that slices have in the file, from the left, the back or the lower end on."""
        k = AXES.index(axis)
        own = int(np.flatnonzero(self.ornt[:, 0] == k)[0])
        upward = range(self.values.shape[k])
        return upward if self.ornt[own, 1] > 0 else upward[::-1]

    @property
    def rectangular(self) -> bool:
        """Whether the sides of a voxel are at right angles."""
        return skew(self.own_affine) < SKEW

    @property
    def rounding(self) -> float:
        """Largest rounding error of a value that is stored as a scaled whole number; 0 without scaling."""
        slope, _ = scaling(self.fields)
        return abs(slope) / 2 if slope != 1 and self.fields.get_data_dtype().kind in "iu" else 0.0


def is_volume(path: Path) -> bool:
    """Whether a file has the ending of a volume."""
    return path.name.lower().endswith(SUFFIXES)


def read_volume(path: Path, orientation: str | None = None) -> Volume:
    """Read a volume and turn it to RAS.

    Args:
        path: a file as for `read_file`.
        orientation: directions of the first, second and third axis, such as "RAS" or "LPI", for a file that does not
            give them.

    Raises:
        UserError: as `read_file` and `read_affine`.
    """
    return _turned(path, *read_file(path), orientation)


def turn_image(path: Path, image: SpatialImage, orientation: str | None = None) -> Volume:
    """As `read_volume`, of an image that nibabel holds; errors call it `path`."""
    return _turned(path, *read_image(path, image), orientation)


def _turned(
    path: Path, fields: Any, values: Float32[np.ndarray, "i j k"], notes: list[str], orientation: str | None
) -> Volume:
    affine = read_affine(path, fields, values.shape, orientation)
    notes += place_notes(fields, values.shape, affine)
    sound = (values > -_HUGE) & (values < _HUGE)
    nonfinite = int(values.size - sound.sum())
    if nonfinite:
        values = np.where(sound, values, np.float32(0))
        notes.append(f"{nonfinite} voxel(s) are not finite numbers, or too large for float32, and count as 0")
    oblique = float(np.degrees(affines.obliquity(affine)).max())
    notes += [f"it lies {oblique:.0f} degrees oblique; slices follow its own axes"] if oblique > 15 else []
    values = np.ascontiguousarray(orientations.apply_orientation(values, orientations.io_orientation(affine)))
    return Volume(path, values, fields, affine, nonfinite, (*notes, *_negative_notes(values)))


def write_volume(path: Path, values: Num[np.ndarray, "x y z *classes"], like: Volume, meaning: str = "") -> None:
    """Write an array on the grid of a volume's own file, with its affine and nothing else of its header.

    Args:
        path: NAME.nii.gz.
        values: uint8 classes, or float32 probabilities of each class, in RAS order.
        like: the volume whose grid it is.
        meaning: of the values of a label volume, for its header.
    """
    values = own_axes(values, like)
    fields, affine = like.fields, like.own_affine
    kind = nib.Nifti2Image if isinstance(fields, nib.Nifti2Header) else nib.Nifti1Image
    header = kind.header_class()
    header.set_xyzt_units("mm")  # as an unknown unit is read
    if isinstance(fields, nib.Nifti1Header):  # not MGH, nor Analyze, whose orientation only the user knows
        for name in _GEOMETRY:
            header[name] = fields[name]
        header["pixdim"][:4] = fields["pixdim"][:4]
        header["xyzt_units"] = int(fields["xyzt_units"]) & 7 or header["xyzt_units"]  # without the unit of time
        affine = fields.get_best_affine()
    header["descrip"] = b"oasis_jax"
    image = kind(values, affine, header, dtype=values.dtype)
    if meaning:
        image.header.set_intent("label", name="tissue")
        image.header.extensions.append(nifti1.Nifti1Extension("comment", meaning.encode()))
    nib.save(image, path)


def own_axes(values: Shaped[np.ndarray, "x y z *channels"], like: Volume) -> Shaped[np.ndarray, "i j k *channels"]:
    """A RAS array with the axes of a volume's own file."""
    back = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), like.ornt)
    return orientations.apply_orientation(values, back)


def planes(
    values: Shaped[np.ndarray, "x y z *channels"], axis: Axis
) -> Shaped[np.ndarray, "slices rows columns *channels"]:
    """The slices of a RAS array."""
    return np.moveaxis(values, AXES.index(axis), 0)


def stacked(
    slices: Shaped[np.ndarray, "slices rows columns *channels"], axis: Axis
) -> Shaped[np.ndarray, "x y z *channels"]:
    """The inverse of `planes`."""
    return np.moveaxis(slices, 0, AXES.index(axis))


def thickness_notes(volume: Volume, axis: Axis, trained: float | None = None) -> list[str]:
    """Notes on slices or pixels much coarser than the 1 mm of OASIS, or than `trained`, mm from slice to slice."""
    *pixel, gap = slice_spacing(volume, axis)
    others = "those of OASIS 1 mm" if trained is None else f"those of training {trained:g} mm"
    notes = [f"its slices are {gap:.1f} mm apart, {others}"] if gap > max(_THICK, trained or 0) else []
    return notes + ([f"its pixels are {max(pixel):.1f} mm wide; networks see 1 mm"] if max(pixel) > _THICK else [])


def slice_spacing(volume: Volume, axis: Axis) -> tuple[float, float, float]:
    """Distance of rows, of columns and of slices, mm; their product is the volume of a voxel of any shape.

    The distance of slices that are stacked at a slant is that of their planes.
    """
    k = AXES.index(axis)
    rows, columns = (s for i, s in enumerate(volume.spacing) if i != k)
    return rows, columns, volume.spacing[k] if volume.rectangular else volume.voxel / (rows * columns)


def check_slices(volume: Volume, axis: Axis) -> None:
    """Raise `UserError` if the slices along an axis are too narrow to show a head."""
    sides = planes(volume.values, axis).shape[1:]
    extent = [n * mm for n, mm in zip(sides, slice_spacing(volume, axis), strict=False)]
    if min(extent) >= _NARROW:
        return
    thin = AXES[int(np.argmin(np.array(volume.values.shape) * volume.spacing))]
    raise UserError(
        f"{volume.path} has {axis} slices of {extent[0]:.3g} x {extent[1]:.3g} mm, too narrow for a head: it holds "
        f"{volume.values.shape[AXES.index(thin)]} {thin} slice(s), but {axis} slices are needed."
    )


def same_grid(a: Volume, b: Volume) -> bool:
    """Whether two volumes have the same voxels at the same positions, to a tenth of a mm at every corner.

    The order of the axes in their files does not matter. A file without a position gets that of the other one.
    """
    size = np.array(a.values.shape)
    if a.values.shape != b.values.shape:
        return False
    if not (is_placed(a.fields) and is_placed(b.fields)):
        return bool((np.abs(np.subtract(a.spacing, b.spacing)) * size).max() < _SAME)
    difference, corners = a.affine - b.affine, np.array(list(np.ndindex(2, 2, 2))) * (size - 1)
    return bool(np.abs(corners @ difference[:3, :3].T + difference[:3, 3]).max() < _SAME)


def check_orientation(orientation: str | None) -> None:
    """Raise `UserError` unless three letters name each direction once."""
    letters = "RAS" if orientation is None else orientation.upper()
    if sorted(letters.translate(str.maketrans("LPI", "RAS"))) != sorted("RAS"):
        raise UserError(f"--orientation is {orientation} and must name three directions, such as RAS or LPI.")


def _negative_notes(values: np.ndarray) -> list[str]:
    """A note on voxels below 0, without the ringing of an interpolation."""
    thin = values[::2, ::2, ::2]
    share = float((values < -_RINGING * np.percentile(np.abs(thin), 99)).mean())
    return [f"{100 * share:.3g} % of its voxels are below 0 and count as 0"] if share > _NEGATIVE else []
