"""The pages of a prediction: a page for each volume, and an index.

Each page is one file with all its data that any browser opens, without a network.
"""

from pathlib import Path

from oasis_jax.classes import NAMES, SHORT
from oasis_jax.inference.label import Segmentation
from oasis_jax.prediction import tables
from oasis_jax.prediction.summary import FileSummary, SliceSummary
from oasis_jax.prediction.voxels import packed
from oasis_jax.report import template
from oasis_jax.system.files import printable
from oasis_jax.volumes.finding import stem

INDEX = "index.html"

PAGE, OVERLAY = "_view.html", "_overlay.png"
"""The page and the picture of a file have the name of its results and these suffixes."""


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
