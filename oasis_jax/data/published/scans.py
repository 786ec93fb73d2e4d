"""The scans on OASIS-1 discs.

A scan is four files that name it: the gain-field-corrected volume with skull in Talairach space,
`PROCESSED/MPRAGE/T88_111/OAS1_NNNN_MRk_mpr_nX_anon_111_t88_gfc.{hdr,img}`, and its FSL FAST labels,
`FSL_SEG/OAS1_NNNN_MRk_mpr_nX_anon_111_t88_masked_gfc_fseg.{hdr,img}`.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel import imageglobals

from oasis_jax.classes import COUNT
from oasis_jax.data.published.archives import Entry, Other, Part, Trouble, read_disc
from oasis_jax.data.volumes.header import BROKEN
from oasis_jax.system.errors import UserError

SHAPE = (176, 208, 176)
"""Voxels of every T88_111 volume, 1 mm each: left-right, back to front, upward."""

_KINDS = {f"{volume}.{end}" for volume in ("gfc", "masked_gfc_fseg") for end in ("hdr", "img")}

_OPEN = 4
"""Largest number of incomplete scans in memory: a disc holds the files of a scan together."""


class Scan(NamedTuple):
    """One scan of a subject."""

    name: str
    """OAS1_NNNN_MRk."""
    image: np.ndarray
    """Intensities, any real dtype, `(176, 208, 176)`."""
    classes: np.ndarray
    """0 background, 1 CSF, 2 gray matter, 3 white matter; uint8 `(176, 208, 176)`."""


def read_scans(discs: Sequence[Path], wanted: Sequence[str]) -> Iterator[Scan | Trouble | Other]:
    """Read the wanted scans, each once, in the order of the discs; one pass, a few scans in memory.

    Args:
        discs: folders and archives.
        wanted: names of scans, OAS1_NNNN_MRk.

    Raises:
        UserError: a disc does not exist.
    """
    for disc in discs:
        if not disc.exists():
            raise UserError(f"{disc} does not exist: name a disc's folder or its .tar.gz.")
    left, others = set(wanted), set[str]()
    for disc in discs:
        for entry in _assemble(read_disc(disc, left), disc):
            if isinstance(entry, Scan):
                left.discard(entry.name)
            elif isinstance(entry, Other):
                if entry.scan in others or entry.scan in wanted:  # counted already, or read already
                    continue
                others.add(entry.scan)
            yield entry


def _assemble(entries: Iterator[Entry], disc: Path) -> Iterator[Scan | Trouble | Other]:
    """Join the four files of each scan."""
    pending: dict[str, dict[str, bytes]] = {}
    for entry in entries:
        if not isinstance(entry, Part):
            yield entry
            continue
        parts = pending.setdefault(entry.scan, {})
        parts.setdefault(entry.kind, entry.content)
        if parts.keys() == _KINDS:
            yield _scan(entry.scan, pending.pop(entry.scan))
        elif len(pending) > _OPEN:
            first = next(iter(pending))
            yield _incomplete(first, pending.pop(first), disc)
    for name, parts in pending.items():
        yield _incomplete(name, parts, disc)


def _incomplete(name: str, parts: dict[str, bytes], disc: Path) -> Trouble:
    missing = [f"*_t88_{kind}" for kind in sorted(_KINDS - parts.keys())]
    return Trouble(name, f"{' and '.join(missing)} not beside its other files in {disc}; get the disc again.")


def _scan(name: str, parts: dict[str, bytes]) -> Scan | Trouble:
    """The scan in four files, or the reason why they cannot be used."""
    volumes = []
    for kind in ("gfc", "masked_gfc_fseg"):
        try:
            volumes.append(_volume(parts[f"{kind}.hdr"], parts[f"{kind}.img"]))
        except BROKEN as error:
            return Trouble(name, f"*_t88_{kind} is damaged ({' '.join(str(error).split())}); get the disc again.")
    image, classes = volumes
    if classes.min() < 0 or classes.max() >= COUNT or (classes != np.floor(classes)).any():
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
