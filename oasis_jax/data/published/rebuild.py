"""Make the `keras_png_slices_*` tree from OASIS-1 discs, cut as the published slices are known to be.

What is known, and how: docs/data.md, "OASIS".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Real, Shaped

from oasis_jax.data.published.discs import Trouble, read_scans
from oasis_jax.data.published.manifest import SLICES, Manifest
from oasis_jax.data.slices import folders, write_pair
from oasis_jax.system.console import Tracker, silent
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import atomic_folder, csv_text, write_text
from oasis_jax.volumes.frame import centre, quantise

FRAME = (256, 256)
"""Rows and columns of a published slice."""

_LOWEST = 72
"""Height of slice 0: index along the third axis of the volume, counted from the feet."""


class Rebuilt(NamedTuple):
    """What became of the scans."""

    written: tuple[str, ...]
    """Scans whose slices were written, OAS1_NNNN_MRk, in the order of the discs."""
    missing: tuple[str, ...]
    """Scans of the set that were not."""
    troubles: tuple[Trouble, ...]
    """What could not be used of the discs."""


def rebuild(root: Path, discs: Sequence[Path], manifest: Manifest, track: Tracker = silent) -> Rebuilt:
    """Write the tree in one pass over the discs, with a `subjects.csv`; it appears whole or not at all.

    Args:
        root: the folder to make.
        discs: folders and archives of OASIS-1.
        manifest: the set to rebuild.
        track: shows progress over the scans.

    Raises:
        UserError: `root` exists, a disc does not, or no scan could be read.
    """
    if root.exists():
        raise UserError(f"{root} exists already: name a new folder first, then the discs.")
    cases = {manifest.scan_of(case): case for case in manifest.cases}
    written: list[str] = []
    troubles: list[Trouble] = []

    def fill(part: Path) -> None:
        for split in dict.fromkeys(manifest.cases.values()):
            for folder in folders(part, split):
                folder.mkdir()
        for found in track(read_scans(discs, cases), len(cases), "Rebuilding"):
            if isinstance(found, Trouble):
                troubles.append(found)
                continue
            case = cases[found.name]
            for number, planes in enumerate(zip(cut(found.image), cut(found.classes), strict=True)):
                image, classes = centre(quantise(planes[0]), FRAME), centre(planes[1], FRAME)
                write_pair(part, manifest.cases[case], case, number, image, classes)
            written.append(found.name)
        if not written:
            places = ", ".join(map(str, discs)) or "no disc"
            mend = "name the folders disc1, disc2, ... or their .tar.gz as downloaded."
            listing = [f"{places}: no scan of the published set; {mend}", *(f"  {trouble}" for trouble in troubles)]
            raise UserError("\n".join(listing))
        rows = [(case, scan.rpartition("_")[0]) for scan, case in cases.items() if scan in written]
        write_text(part / "subjects.csv", csv_text(["case", "oasis_subject"], rows))

    atomic_folder(root, fill)
    missing = tuple(scan for scan in cases if scan not in written)
    # A damaged scan does no harm if another copy of it was read.
    return Rebuilt(tuple(written), missing, tuple(trouble for trouble in troubles if trouble.where not in written))


def cut(volume: Real[np.ndarray, "x y z"]) -> Shaped[np.ndarray, "32 x y"]:
    """The published planes of a volume, upward; their rows run against x, their columns from back to front."""
    return np.moveaxis(volume[::-1, :, _LOWEST : _LOWEST + SLICES], 2, 0)
