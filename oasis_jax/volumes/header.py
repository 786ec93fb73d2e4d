"""Decode the file of a volume: its header, checked before memory is asked for; its voxels, in the file's own order.

nibabel's `load` is not used: it goes by the name of a file, and tells what it repairs to one logger for all threads.
"""

import gzip
import logging.handlers
import math
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float32
from nibabel import arrayproxy, filebasedimages, spatialimages, wrapstruct
from nibabel.freesurfer import mghformat

from oasis_jax.system.errors import UserError
from oasis_jax.volumes.affine import code_of
from oasis_jax.volumes.other_kinds import other_kind

BROKEN = (
    filebasedimages.ImageFileError,
    spatialimages.HeaderDataError,
    wrapstruct.WrapStructError,
    mghformat.MGHError,
    *(OSError, EOFError, ValueError, KeyError, zlib.error, OverflowError),
)
"""What nibabel raises on damaged files."""

_LARGEST = 2**28
"""Voxels: 1 GiB as float32. A head at 0.4 mm has a quarter of them; a header with more is damaged or hostile."""

_AFTER = 2**24
"""Most bytes after the voxels that are read to reach the checksum at the end."""

_SQUEEZE = 1040
"""Largest factor by which gzip makes a file smaller."""

_PAIR = (nib.Nifti1Pair, nib.Nifti2Pair, nib.Spm2AnalyzeImage, nib.Spm99AnalyzeImage, nib.AnalyzeImage)
_SINGLE = (nib.Nifti1Image, nib.Nifti2Image)

_HARMLESS = ("not SPM compatible", "very large origin")
"""Parts of what nibabel says of sound headers."""


def files_of(path: Path) -> tuple[Path, Path]:
    """The files of a volume's header and of its voxels, .hdr and .img; or twice the one file of another kind.

    Both are in capitals if the ending of `path` is. They need not be there.
    """
    if path.suffix.lower() not in (".hdr", ".img"):
        return path, path
    head, voxels = (path.with_suffix(end.upper() if path.suffix.isupper() else end) for end in (".hdr", ".img"))
    return head, voxels


def read_file(path: Path) -> tuple[Any, Float32[np.ndarray, "i j k"], list[str]]:
    """Read a header, checked and repaired; then the voxels, with axes in the file's own order; and notes on the file.

    Args:
        path: a NIfTI or MGH file, gzipped or not, under any name; or the .hdr or .img of an Analyze or NIfTI pair.

    Raises:
        UserError: no volume, damaged, not three-dimensional, or of a size that no head has.
    """
    head, voxels = files_of(path)
    for file in (head, voxels):
        if head != voxels and not file.is_file():
            raise UserError(f"{path} is half of a volume: {file.name} is missing beside it.")
    try:
        with _open(head) as stream:
            block = stream.read(1024)
        with _open(voxels) as stream, np.errstate(all="ignore"):  # a damaged header; its values are checked
            fields, notes = _fields(path, block, _SINGLE if head == voxels else _PAIR)
            shape = _shape(path, fields)
            # A NIfTI header may leave the place of its voxels open.
            first = int(fields.get_data_offset()) or (fields.single_vox_offset if head == voxels else 0)
            dtype = fields.get_data_dtype()
            most = voxels.stat().st_size * (_SQUEEZE if isinstance(stream, gzip.GzipFile) else 1)
            if first < 0 or first + math.prod(shape) * dtype.itemsize > most:
                raise EOFError
            stored = arrayproxy.ArrayProxy(stream, (shape, dtype, first, *scaling(fields)), mmap=False)
            values = np.asarray(stored, dtype=np.float32)
            rest = stream.read(_AFTER).strip(b"\0")  # to the end, where gzip keeps its checksum
    except BROKEN as error:
        raise _damaged(path, error) from error
    if rest and not isinstance(fields, mghformat.MGHHeader):  # in MGH files, metadata follow the voxels
        notes.append("its file goes on after the last voxel that its header claims")
    return fields, values, notes


def read_image(path: Path, image: spatialimages.SpatialImage) -> tuple[Any, Float32[np.ndarray, "i j k"], list[str]]:
    """As `read_file`, of an image that nibabel holds, whose header it has repaired; errors call it `path`."""
    if not isinstance(image, (*_SINGLE, *_PAIR, nib.MGHImage)):
        raise UserError(f"{path} is a {type(image).__name__}: give a NIfTI, Analyze or MGH image.")
    try:
        with np.errstate(all="ignore"):
            # With the affine of the image, which may have changed since its header was read.
            fields = type(image)(image.dataobj, image.affine, image.header).header
            return fields, np.asarray(image.dataobj, dtype=np.float32).reshape(_shape(path, fields)), []
    except BROKEN as error:
        raise _damaged(path, error) from error


def scaling(fields: Any) -> tuple[float, float]:
    """Slope and intercept that the stored numbers are scaled by."""
    slope, inter = fields.get_slope_inter()
    return 1.0 if slope is None else float(slope), float(inter or 0)


def _damaged(path: Path, error: Exception) -> UserError:
    text = next(iter(str(error).splitlines()), "it is damaged")
    if isinstance(error, gzip.BadGzipFile):
        text = "its checksum is wrong, or something follows its end, so it was damaged in a transfer: copy it again"
    elif isinstance(error, EOFError):
        text = "it is cut short, or its header is damaged: copy it again"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    return UserError(f"{path} cannot be read as a volume: {text}.")


def _open(path: Path) -> BufferedIOBase:
    """The content of a file, unpacked if it is a gzip file, under any name."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")


def _fields(path: Path, block: bytes, kinds: tuple[Any, ...]) -> tuple[Any, list[str]]:
    """A header from its bytes, and notes on what nibabel had to repair in it."""
    kind = next((kind.header_class for kind in kinds if kind.header_class.may_contain_header(block)), None)
    if kind is not None:
        fields = kind(block[: kind.sizeof_hdr], check=False)
    elif block[:4] == b"\0\0\0\1" and block[28:30] == b"\0\1" and len(block) >= mghformat.DATA_OFFSET:
        return mghformat.MGHHeader(block[: mghformat.header_dtype.itemsize]), []
    else:
        raise UserError(
            f"{path} cannot be read as a volume: it is {other_kind(block) or 'no NIfTI, Analyze or MGH file'}."
        )
    pixdim = fields["pixdim"].copy()
    said = logging.handlers.BufferingHandler(capacity=100)
    log = logging.Logger("header")  # one for each file: another file may be read at the same time
    log.addHandler(said)
    fields.check_fix(logger=log)
    if not code_of(fields, "sform_code") and (fields["dim"][1:4] > 1)[pixdim[1:4] == 0].any():
        raise UserError(f"{path} says that its voxels measure 0 mm (pixdim): correct its header.")
    harmless = [*_HARMLESS, "qfac"] if pixdim[0] == 0 else _HARMLESS
    lines = [record.getMessage() for record in said.buffer]
    repairs = [line for line in lines if not any(words in line for words in harmless)]
    return fields, [f"its header was repaired ({line})" for line in repairs]


def _shape(path: Path, fields: Any) -> tuple[int, int, int]:
    """Three numbers of voxels; `UserError` if the program does not read such files."""
    shape = tuple(int(n) for n in fields.get_data_shape())
    text = " x ".join(map(str, shape))
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise UserError(f"{path} has the shape {text}: give one volume, a 3-D image, or one slice as a PNG file.")
    if math.prod(shape) > _LARGEST:
        raise UserError(f"{path} claims {text} voxels, more than any head needs.")
    if fields.get_data_dtype().kind not in "iuf":
        raise UserError(f"{path} holds {fields.get_data_dtype()}, not one real number a voxel: convert it first.")
    return shape
