"""The pages of a prediction: a page for each volume, and an index.

Each page is one file with all its data that any browser opens, without a network.
"""

import base64
import gzip
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped
from nibabel import affines
from scipy import ndimage

from oasis_jax.classes import NAMES, SHORT
from oasis_jax.geometry import AXES
from oasis_jax.inference.label import Segmentation
from oasis_jax.overlays import tinted
from oasis_jax.prediction import tables
from oasis_jax.prediction.summary import FileSummary, SliceSummary
from oasis_jax.report import template
from oasis_jax.system.files import printable
from oasis_jax.volumes.finding import stem
from oasis_jax.volumes.frame import volume_grey
from oasis_jax.volumes.nifti import Volume, stacked

INDEX = "index.html"

PAGE, OVERLAY = "_view.html", "_overlay.png"
"""The page and the picture of a file have the name of its results and these suffixes."""

_MARGIN = 6
"""mm around the head."""

_LARGEST = 2**24
"""Maximum number of voxels on a page, those of 256x256x256. Packed, they take 19 MB if they are nothing but noise."""


def volume_page(found: Segmentation, summary: FileSummary) -> str:
    """The page of a labelled volume: its tissue, its notes, and three views of it."""
    data, voxels = packed(found)
    texts = {row.number: f"{found.input.axis.title()} {_sentence(row)}" for row in summary.slices}
    data |= {"classes": template.CLASSES, "texts": [texts[number] for number in data["numbers"][data["axis"]]]}
    thinned = f" One in {' x '.join(map(str, data['stride']))} voxels is shown." if max(data["stride"]) > 1 else ""
    unit, values = summary.amounts
    return template.render(
        "views.html",
        title=printable(summary.file),
        introduction=f"The table is the sum over {len(summary.slices)} slice(s).",
        notes=list(map(printable, summary.notes)),
        head=["", *NAMES[1:], "total"],
        rows=[(unit.replace("2", "²"), [f"{value:.1f}" for value in (*values, values.sum())])],
        data=data,
        voxels=voxels,
        thinned=thinned,
        up=summary.file.count("/") * "../",
    )


def index_page(folder: Path) -> str:
    """The index of a folder of predictions.

    It comes from `tissue.csv`, so it also holds the files of earlier predictions. The name of a volume links to its
    page, the name of a PNG slice to its picture.
    """
    rows = tables.read(folder / tables.TISSUE, tables.TISSUE_COLUMNS) or []
    body = []
    for row in rows:
        targets = [f"{stem(row['file'])}{suffix}" for suffix in (PAGE, OVERLAY)]
        page = next((target for target in targets if (folder / target).is_file()), None)
        unit = "ml" if row[f"{tables.TISSUES[0]}_ml"] else "cm2"
        values = [f"{row[f'{name}_{unit}']} {unit.replace('2', '²')}" for name in tables.TISSUES]
        body.append((row["file"], page, [row["slices"], *values, row["notes"] or "-"]))
    return template.render(
        "index.html",
        title="Labelled files",
        flagged=sum(row["notes"] != "" for row in rows),
        head=["file", "slices", *SHORT[1:], "notes"],
        rows=body,
    )


def _sentence(row: SliceSummary) -> str:
    """The text under a slice."""
    areas = ", ".join(f"{name} {area / 100:.1f}" for name, area in zip(SHORT[1:], row.areas, strict=True))
    unlike = " It looks unlike the training slices." if row.unlike_training else ""
    return f"slice {row.number}. {areas} cm².{unlike}"


def packed(found: Segmentation) -> tuple[dict[str, Any], str]:
    """What `views.js` reads of a labelled volume: how its voxels lie, and the voxels as base64 of gzip."""
    volume = found.input.volume
    assert volume is not None
    box = _head_box(stacked(found.input.head, found.input.axis), volume)
    step = _step([part.stop - part.start for part in box], volume.spacing)
    thinned = tuple(slice(part.start, part.stop, n) for part, n in zip(box, step, strict=True))
    shown = stacked(found.classes, found.input.axis)[thinned]
    affine = volume.affine @ affines.from_matvec(np.diag(step), [part.start for part in box])
    voxels = tinted(volume_grey(volume.values[thinned]), shown)
    data = {
        "size": list(shown.shape),
        "mm": [mm * n for mm, n in zip(volume.spacing, step, strict=True)],
        "stride": step,
        "numbers": [list(volume.numbers(axis)[part]) for axis, part in zip(AXES, thinned, strict=True)],
        "order": volume.ornt[:, 0].astype(int).tolist(),
        "affine": affine[:3].tolist(),
        "first": [(part.start + part.stop - 1) // 2 for part in _box(shown)],  # in the middle of the brain
        "axis": AXES.index(found.input.axis),
    }
    return data, base64.b64encode(gzip.compress(voxels.tobytes(), compresslevel=6, mtime=0)).decode()


def _head_box(head: Bool[np.ndarray, "x y z"], volume: Volume) -> list[slice]:
    """The voxels of a volume that show the head, with a margin; `head` has pixels of 1 mm within slices."""
    box = []
    for part, n, own, mm in zip(_box(head), head.shape, volume.values.shape, volume.spacing, strict=True):
        margin = round(_MARGIN / mm)
        box.append(slice(max(part.start * own // n - margin, 0), min(-(-part.stop * own // n) + margin, own)))
    return box


def _box(shown: Shaped[np.ndarray, "x y z"]) -> tuple[slice, ...]:
    """The smallest box around what is not 0; all places if nothing is."""
    found = ndimage.find_objects((shown != 0).astype(np.uint8))
    return found[0] if found else tuple(slice(0, n) for n in shown.shape)


def _step(size: list[int], spacing: tuple[float, float, float]) -> list[int]:
    """Every how many voxels along each axis are shown: 1, but if there are too many, the finest axes are thinned."""
    step = np.ones(3, int)
    while np.prod(-(-np.array(size) // step)) > _LARGEST:
        step[np.argmin(step * spacing)] *= 2
    return step.tolist()
