"""The scans on OASIS-1 discs: folders, `.tar.gz` as downloaded, or folders that hold several of either.

A scan is four files that name it: the gain-field-corrected volume with skull in Talairach space,
`PROCESSED/MPRAGE/T88_111/OAS1_NNNN_MRk_mpr_nX_anon_111_t88_gfc.{hdr,img}`, and its FSL FAST labels,
`FSL_SEG/OAS1_NNNN_MRk_mpr_nX_anon_111_t88_masked_gfc_fseg.{hdr,img}`. Nothing is unpacked, so an archive cannot write
anywhere.
"""

import io
import re
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import nibabel as nib
import numpy as np
from jaxtyping import Real, UInt8
from nibabel import imageglobals

from oasis_jax.classes import COUNT
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.header import BROKEN

SHAPE = (176, 208, 176)
"""Voxels of every T88_111 volume, 1 mm each: left-right, back to front, upward."""

_FILE = re.compile(r"(OAS1_\d{4}_MR\d)_mpr_n\d+_anon_111_t88_(gfc|masked_gfc_fseg)\.(hdr|img)")
_KINDS = tuple(f"{volume}.{end}" for volume in ("gfc", "masked_gfc_fseg") for end in ("hdr", "img"))
_ARCHIVES = (".tar.gz", ".tgz", ".tar")

_MOST = 2**26
"""Bytes of a file that are read; a volume of the widest numbers has 52 million."""

Read = Callable[[], bytes]


class Scan(NamedTuple):
    """One scan of a subject."""

    name: str
    """OAS1_NNNN_MRk."""
    image: Real[np.ndarray, "176 208 176"]
    """Intensities."""
    classes: UInt8[np.ndarray, "176 208 176"]
    """0 background, 1 CSF, 2 gray matter, 3 white matter."""


class Trouble(NamedTuple):
    """A scan or a disc that cannot be used; the others still are."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def read_scans(discs: Sequence[Path], wanted: Collection[str]) -> Iterator[Scan | Trouble]:
    """Read the wanted scans, each once, in the order of the discs, in one pass.

    Args:
        discs: folders and archives. Files may be links; links to folders are not followed.
        wanted: names of scans, OAS1_NNNN_MRk.

    Raises:
        UserError: a disc does not exist.
    """
    if missing := [disc for disc in discs if not disc.exists()]:
        raise UserError(f"{missing[0]} does not exist: name a disc's folder or its .tar.gz.")
    left = set(wanted)
    for place in (place for disc in discs for place in (disc, *_archives(disc))):
        pending: dict[str, dict[str, Read]] = {}
        try:
            for file, read in (_in_folder if place.is_dir() else _in_archive)(place, left):
                scan = file[1]
                pending.setdefault(scan, {})[f"{file[2]}.{file[3]}"] = read
                if len(pending[scan]) == len(_KINDS):
                    found = _scan(scan, pending.pop(scan))
                    if isinstance(found, Scan):
                        left.discard(scan)
                    yield found
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            text = " ".join(str(error).split())
            yield Trouble(str(place), f"cannot be read to its end ({text}); download it again.")
        for scan, parts in pending.items():
            lost = [f"*_t88_{kind}" for kind in _KINDS if kind not in parts]
            yield Trouble(scan, f"{' and '.join(lost)} not beside its other files in {place}; get the disc again.")


def _archives(disc: Path) -> list[Path]:
    """The archives in a folder; hidden ones are ignored."""
    files = sorted(disc.rglob("[!.]*")) if disc.is_dir() else []
    return [file for file in files if file.name.endswith(_ARCHIVES) and file.is_file()]


def _in_folder(folder: Path, left: set[str]) -> Iterator[tuple[re.Match, Read]]:
    """The files in a folder that belong to scans in `left`."""

    def content(path: Path) -> bytes:
        with path.open("rb") as file:
            return file.read(_MOST)

    for path in sorted(folder.rglob("OAS1_*")):
        if path.is_file() and (file := _FILE.fullmatch(path.name)) and file[1] in left:
            yield file, partial(content, path)


def _in_archive(path: Path, left: set[str]) -> Iterator[tuple[re.Match, Read]]:
    """The files in an archive that belong to scans in `left`. Only the last part of their names counts."""
    with tarfile.open(path) as archive:
        for member in archive:
            file = _FILE.fullmatch(PurePosixPath(member.name).name)
            if file and file[1] in left and member.isreg() and (stream := archive.extractfile(member)):
                yield file, partial(bytes, stream.read(_MOST))
        while archive.fileobj and archive.fileobj.read(2**20):  # to the end, where gzip keeps its checksum
            pass


def _scan(name: str, parts: dict[str, Read]) -> Scan | Trouble:
    """The scan in four files, or the reason why they cannot be used."""
    volumes = []
    for kind in ("gfc", "masked_gfc_fseg"):
        try:
            volumes.append(_volume(parts[f"{kind}.hdr"](), parts[f"{kind}.img"]()))
        except BROKEN as error:
            return Trouble(name, f"*_t88_{kind} is damaged ({' '.join(str(error).split())}); get the disc again.")
    image, classes = volumes
    if not np.isin(classes, range(COUNT)).all():
        return Trouble(name, "its labels are not 0, 1, 2, 3; get the disc again.")
    if not classes.any():
        return Trouble(name, "none of its voxels is labelled; get the disc again.")
    return Scan(name, image, classes.astype(np.uint8))


def _volume(header: bytes, content: bytes) -> np.ndarray:
    """The voxels of an Analyze 7.5 volume in the order of the file; either byte order.

    Raises:
        one of `BROKEN`: the header or the voxels are damaged.
    """
    parts = {"header": header, "image": content}
    files = {name: nib.FileHolder(fileobj=io.BytesIO(part)) for name, part in parts.items()}
    with imageglobals.LoggingOutputSuppressor():  # nibabel prints what it also raises
        image = nib.AnalyzeImage.from_file_map(files)
    # Checked before the voxels are read: a damaged header may announce more of them than memory holds.
    if image.shape not in (SHAPE, (*SHAPE, 1)):
        actual, expected = ("x".join(map(str, shape)) for shape in (image.shape, SHAPE))
        raise ValueError(f"{actual} voxels, not {expected}")
    values = np.asarray(image.dataobj).reshape(SHAPE)
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ValueError("values that are not real numbers")
    return values
