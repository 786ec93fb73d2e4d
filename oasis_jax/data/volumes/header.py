"""The header of a volume, checked before memory is asked for; and the voxels, in the file's own order."""

import gzip
import logging
import math
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64
from nibabel import (
    analyze,
    arrayproxy,
    filebasedimages,
    nifti1,
    nifti2,
    spatialimages,
    spm2analyze,
    spm99analyze,
    wrapstruct,
)
from nibabel.freesurfer import mghformat

from oasis_jax.data.other_kinds import other_kind
from oasis_jax.data.volumes.affine import code_of, is_placed, place_notes, read_affine, skew_notes
from oasis_jax.system.errors import UserError

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

_BEFORE = 2**24
"""Most bytes before the voxels: many times what extensions of a header need."""

_AFTER = 2**24
"""Most bytes after the voxels that are read to reach the checksum at the end."""

_SQUEEZE = 1040
"""Largest factor by which gzip makes a file smaller."""

_SINGLE = (nifti1.Nifti1Header, nifti2.Nifti2Header, mghformat.MGHHeader)
_PAIR = (
    *(nifti1.Nifti1PairHeader, nifti2.Nifti2PairHeader),
    *(spm2analyze.Spm2AnalyzeHeader, spm99analyze.Spm99AnalyzeHeader, analyze.AnalyzeHeader),
)

_GZIP = b"\x1f\x8b"


class Header(NamedTuple):
    """A checked header."""

    fields: Any
    """The nibabel header, repaired if it needed repair."""
    voxels: Path
    """The file that holds the voxels."""
    shape: tuple[int, int, int]
    affine: Float64[np.ndarray, "4 4"]
    """From the file's own voxel numbers to mm."""
    placed: bool
    """Whether the file itself gives its orientation."""
    notes: tuple[str, ...]
    """What the user should know."""

    @property
    def rounding(self) -> float:
        """Largest rounding error of a value that is stored as a scaled whole number; 0 without scaling."""
        slope = _scaling(self.fields)[0]
        return abs(slope) / 2 if slope != 1 and self.fields.get_data_dtype().kind in "iu" else 0.0


def read_header(path: Path, orientation: str | None = None) -> Header:
    """Read and check a header.

    Args:
        path: a NIfTI or MGH file, gzipped or not, under any name; or the .hdr or .img of an Analyze or NIfTI pair.
        orientation: directions of the first, second and third axis, such as "RAS" or "LPI", for a file that does not
            give them.

    Raises:
        UserError: no volume, damaged, not three-dimensional, of a size that no head has, or of unknown orientation.
    """
    head, voxels = _files(path)
    try:
        with _open(head) as stream:
            block = stream.read(1024)
        with np.errstate(all="ignore"):  # a damaged header; its values are checked below
            fields, repairs = _fields(path, block, _SINGLE if head == voxels else _PAIR)
            shape = _shape(path, fields)
            _check_length(path, fields, shape, voxels)
            affine = read_affine(path, fields, shape, orientation)
            notes = [*repairs, *place_notes(fields, shape), *skew_notes(affine)]
    except BROKEN as error:
        raise _damaged(path, error) from error
    return Header(fields, voxels, shape, affine, is_placed(fields), tuple(notes))


def read_values(path: Path, header: Header) -> tuple[Float32[np.ndarray, "i j k"], list[str]]:
    """The voxels, with axes in the file's own order, and notes for the user on how they are stored.

    Raises:
        UserError: the file is damaged.
    """
    fields = header.fields
    try:
        slope, inter = _scaling(fields)
        stored = header.shape, fields.get_data_dtype(), _offset(fields), slope, inter
        with _open(header.voxels) as stream, np.errstate(over="ignore", invalid="ignore"):
            values = np.asarray(arrayproxy.ArrayProxy(stream, stored, mmap=False), dtype=np.float32)
            more = _goes_on(stream)
    except BROKEN as error:
        raise _damaged(path, error) from error
    if more and not isinstance(fields, mghformat.MGHHeader):  # in MGH files, metadata follow the voxels
        return values, ["its file goes on after the last voxel that its header claims"]
    return values, []


def _scaling(fields: Any) -> tuple[float, float]:
    slope, inter = fields.get_slope_inter() if hasattr(fields, "get_slope_inter") else (None, None)
    return 1.0 if slope is None else float(slope), float(inter or 0)


def _damaged(path: Path, error: Exception) -> UserError:
    text = next(iter(str(error).splitlines()), "it is damaged")
    if isinstance(error, gzip.BadGzipFile) and "check" in text:
        text = "its checksum is wrong, so it was damaged in a transfer: copy it again"
    elif isinstance(error, EOFError):
        text = "it is cut short: copy it again"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    return UserError(f"{path} cannot be read as a volume: {text}.")


def _files(path: Path) -> tuple[Path, Path]:
    """The files of a volume's header and of its voxels."""
    if path.suffix.lower() not in (".hdr", ".img"):
        return path, path
    pair = []
    for ending in ("hdr", "img"):
        names = [path.with_suffix(f".{e}") for e in (ending, ending.upper())]
        file = path if path.suffix.lower() == f".{ending}" else next((n for n in names if n.is_file()), None)
        if file is None:
            raise UserError(f"{path} is half of a volume: {names[0].name} is missing beside it.")
        pair.append(file)
    return pair[0], pair[1]


def _open(path: Path) -> BufferedIOBase:
    """The content of a file, unpacked if it is a gzip file, under any name."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    return gzip.open(path) if packed else path.open("rb")


def _fields(path: Path, block: bytes, kinds: tuple[Any, ...]) -> tuple[Any, list[str]]:
    """A header from its bytes, and notes on what nibabel had to repair in it."""
    kind = next((kind for kind in kinds if _may_be(kind, block)), None)
    if kind is None:
        raise UserError(
            f"{path} cannot be read as a volume: it is {other_kind(block) or 'no NIfTI, Analyze or MGH file'}."
        )
    size = (mghformat.header_dtype if kind is mghformat.MGHHeader else kind.template_dtype).itemsize
    fields = kind(block[:size], check=False)
    pixdim = fields["pixdim"].copy() if "pixdim" in fields else np.ones(4)
    lines: list[str] = []
    log = logging.Logger("header")  # one for each file: another file may be read at the same time
    log.addHandler(_Lines(lines))
    fields.check_fix(logger=log)
    lost = [mm == 0 and n > 1 for mm, n in zip(pixdim[1:4], fields.get_data_shape(), strict=False)]
    if any(lost) and not code_of(fields, "sform_code"):
        raise UserError(f"{path} says that its voxels measure 0 mm (pixdim): correct its header.")
    harmless = ["not SPM compatible", "very large origin", *(["qfac"] if pixdim[0] == 0 else [])]
    repairs = [line for line in lines if not any(words in line for words in harmless)]
    return fields, [f"its header was repaired ({line})" for line in repairs]


def _may_be(kind: Any, block: bytes) -> bool:
    if kind is not mghformat.MGHHeader:
        single = block[344:347] == b"n+1" or block[4:7] == b"n+2"  # it says that its voxels are in the same file
        return bool(kind.may_contain_header(block)) and (single or kind not in _SINGLE)
    return block[:4] == b"\0\0\0\1" and len(block) >= 284 and block[28:30] == b"\0\1"


class _Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _shape(path: Path, fields: Any) -> tuple[int, int, int]:
    """Three numbers of voxels; `UserError` if the program does not read such files."""
    claimed = tuple(int(n) for n in fields.get_data_shape())
    shape, text = claimed, " x ".join(map(str, claimed))
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 2:
        raise UserError(f"{path} is one slice of {text} pixels, not a volume: give it as a PNG file.")
    if len(shape) != 3 or min(shape) < 1:
        raise UserError(f"{path} has the shape {text}: give one volume, a 3-D image.")
    if math.prod(shape) > _LARGEST:
        raise UserError(f"{path} claims {' x '.join(map(str, shape))} voxels, more than any head needs.")
    if fields.get_data_dtype().kind not in "iuf":
        raise UserError(f"{path} holds {fields.get_data_dtype()}, not one real number a voxel: convert it first.")
    return shape


def _offset(fields: Any) -> int:
    """The byte of its file at which the first voxel begins."""
    least = getattr(fields, "single_vox_offset", 0) if getattr(fields, "is_single", False) else 0
    return int(fields.get_data_offset()) or least


def _check_length(path: Path, fields: Any, shape: tuple[int, ...], voxels: Path) -> None:
    """Raise `UserError` if the file is too short for what its header claims, before memory is asked for."""
    first = _offset(fields)
    if not 0 <= first <= _BEFORE:
        raise UserError(f"{path} says that its voxels begin {first} bytes into the file: its header is damaged.")
    claimed, size = first + math.prod(shape) * fields.get_data_dtype().itemsize, voxels.stat().st_size
    with voxels.open("rb") as file:
        most = size * _SQUEEZE if file.read(2) == _GZIP else size
    if claimed > most:
        raise UserError(f"{path} cannot be read as a volume: it is cut short ({size} bytes for {claimed}).")


def _goes_on(stream: BufferedIOBase) -> bool:
    """Read to the end, where gzip keeps its checksum; return whether anything but zeros follows the voxels."""
    more, left = False, _AFTER
    try:
        while left > 0 and (rest := stream.read(2**16)):
            more, left = more or any(rest), left - len(rest)
    except gzip.BadGzipFile as error:
        if "Not a gzipped file" not in str(error):
            raise
        return True  # something else, after a whole gzip file
    return more
