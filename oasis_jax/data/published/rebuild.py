"""Make the `keras_png_slices_*` tree from OASIS-1 discs, cut as the published slices are known to be.

What is known, and how: docs/data.md, "OASIS". A scan is two volumes that name it, in any folders of a disc: with skull,
corrected for the gain field, in Talairach space, `OAS1_NNNN_MRk_mpr_nX_anon_111_t88_gfc.{hdr,img}`; and its FSL FAST
labels, `OAS1_NNNN_MRk_mpr_nX_anon_111_t88_masked_gfc_fseg.{hdr,img}`.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Real
from nibabel import imageglobals

from oasis_jax.classes import COUNT
from oasis_jax.data.published.manifest import SLICES, Manifest
from oasis_jax.data.tree import Broken, Case, write_tree
from oasis_jax.geometry import Pair
from oasis_jax.system import console
from oasis_jax.system.errors import UserError, describe
from oasis_jax.volumes.frame import centre, quantise

SHAPE = (176, 208, 176)
"""Voxels of every T88_111 volume, 1 mm each: left-right, back to front, upward."""

FRAME = (256, 256)
"""Rows and columns of a published slice."""

_LOWEST = 72
"""Height of slice 0: index along the third axis of the volume, counted from the feet."""

_HEADER = re.compile(r"(OAS1_\d{4}_MR\d)_mpr_n\d+_anon_111_t88_(gfc|masked_gfc_fseg)\.hdr")


def rebuild(root: Path, discs: Sequence[Path], manifest: Manifest) -> tuple[list[Case], list[str]]:
    """Write the tree `root` from folders that hold discs of OASIS-1, and return what `write_tree` does.

    Of a scan that lies there twice, the last one counts.

    Raises:
        UserError: `root` exists, a disc is not a folder, no scan of the set lies there, or as `write_tree`.
    """
    if root.exists():
        raise UserError(f"{root} exists already: name a new folder first, then the discs.")
    if absent := [disc for disc in discs if not disc.is_dir()]:
        raise UserError(f"{absent[0]} is not a folder: name the folder of a disc; unpack a .tar.gz first (tar -xzf).")
    headers = [path for disc in discs for path in disc.rglob("OAS1_*.hdr")]
    found = {(match[1], match[2]): path for path in headers if (match := _HEADER.fullmatch(path.name))}
    scans = {manifest.scan_of(case): case for case in manifest.cases}
    complete = [scan for scan in scans if (scan, "gfc") in found and (scan, "masked_gfc_fseg") in found]
    if not complete:
        places = ", ".join(map(str, discs)) or "no disc"
        raise UserError(f"{places}: no scan of the published set; name the folders disc1, disc2, ...")

    def cases() -> Iterator[Case | Broken]:
        for scan in console.track(complete, len(complete), "Rebuilding"):
            case, split, image = scans[scan], manifest.cases[scans[scan]], found[scan, "gfc"]
            try:
                slices = _slices(image, found[scan, "masked_gfc_fseg"])
                yield Case(case, scan.rpartition("_")[0], split, slices)
            except Exception as error:  # one damaged scan must not stop the others
                yield Broken(split, describe(image, error))

    return write_tree(root, cases())


def _slices(image: Path, labels: Path) -> list[Pair]:
    """The published slices of a scan, 256x256.

    Raises:
        Exception: as `_planes`, or the labels are no classes.
    """
    grey, classes = _planes(image), _planes(labels)
    if not (np.isin(classes, range(COUNT)).all() and classes.any()):
        raise UserError(f"{labels}: its labels are not 0, 1, 2, 3; get the disc again.")
    pairs = zip(map(quantise, grey), classes.astype(np.uint8), strict=True)
    return [(centre(one, FRAME), centre(other, FRAME)) for one, other in pairs]


def _planes(header: Path) -> Real[np.ndarray, "32 x y"]:
    """The published planes of an Analyze 7.5 volume, upward; their rows run against x, their columns back to front.

    Raises:
        Exception: the header or the voxels are damaged.
    """
    with imageglobals.LoggingOutputSuppressor():  # nibabel prints what it also raises
        image = nib.AnalyzeImage.from_filename(header)
    # Checked before the voxels are read: a damaged header may announce more of them than memory holds.
    if image.shape not in (SHAPE, (*SHAPE, 1)):
        actual, expected = ("x".join(map(str, shape)) for shape in (image.shape, SHAPE))
        raise UserError(f"{header} has {actual} voxels, not {expected}; get the disc again.")
    values = np.asarray(image.dataobj).reshape(SHAPE)
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise UserError(f"{header} has values that are not real numbers; get the disc again.")
    return np.moveaxis(values[::-1, :, _LOWEST : _LOWEST + SLICES], 2, 0)
