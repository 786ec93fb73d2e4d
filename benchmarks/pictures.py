"""The pictures of the pages: the labels of a head, for the README, and heads that a network labels wrongly.

Run:  python benchmarks/pictures.py [RUN] [--output docs]

A phantom is drawn as a whole volume and labelled as `oasis_jax.predict` labels a volume. `prediction.png` shows four
slices of the brain, each beside its labels. Then the head is changed in several ways. Each picture in
`failures` shows one slice: the image, the truth and the labels. Prints the hard Dice of that slice, and the notes on
its volume.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import figures
import nibabel as nib
import numpy as np
import tyro

from oasis_jax import classes, overlays
from oasis_jax.data.phantoms.volume import draw_volume
from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.segment import Segmenter
from oasis_jax.metrics import overlap
from oasis_jax.prediction.summary import FileSummary, file_summary
from oasis_jax.pretrained import FOLDER, RunPath
from oasis_jax.runs.folder import Run
from oasis_jax.volumes.cut import read_input
from oasis_jax.volumes.finding import InputFile


@dataclass(frozen=True)
class Arguments:
    """Draw the pictures of the pages."""

    run: tyro.conf.Positional[RunPath] = FOLDER
    """Run folder, or pretrained."""
    output: Path = Path("docs")
    """Folder of `prediction.png` and of the folder `failures`."""


Change = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From intensities and classes of a head, both `(176, 208, planes)`, to those of the head to be labelled."""


class Failure(NamedTuple):
    """A head that is unlike the training data."""

    title: str
    plane: int
    """The plane that is shown, counted from the lowest of the changed volume."""
    change: Change = lambda values, truth: (values, truth)


def contrast_of_t2(values: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CSF bright and white matter dark, as in a T2 scan; what is no brain stays."""
    return np.where(truth > 0, np.clip(160 - values, 0, None), values), truth


def tumour(values: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A round mass of 36 mm with a dark core and a bright rim in the white matter. Its true class stays."""
    x, y, z = np.ogrid[tuple(slice(0, n) for n in values.shape)]
    radius = np.sqrt((x - 115) ** 2 + (y - 85) ** 2 + (z - 100) ** 2)
    mass = np.where(radius < 12, 45.0, 175.0) + np.random.default_rng(0).normal(0, 5, values.shape)
    return np.where((radius < 18) & (truth > 0), mass, values).astype(np.float32), truth


FAILURES = {
    "high": Failure("near the vertex", 150),
    "t2": Failure("contrast of a T2 scan", 105, contrast_of_t2),
    "tumour": Failure("a mass in the white matter", 100, tumour),
}


def labelled(segmenter: Segmenter, values: np.ndarray) -> tuple[Segmentation, FileSummary]:
    """Label a volume of pixels of 1 mm in RAS order, as `oasis_jax.predict` does."""
    with TemporaryDirectory() as name:
        path = Path(name) / "head.nii.gz"
        nib.save(nib.Nifti1Image(values, np.eye(4)), path)  # type: ignore[attr-defined]
        file: Any = read_input(InputFile(path, "head"), segmenter.framing)
    (segmentation,) = label([file], segmenter, keep_probabilities=False)
    return segmentation, file_summary(segmentation, segmenter.trained)


def prediction(segmenter: Segmenter, values: np.ndarray) -> np.ndarray:
    """Four slices of the brain, from low to high, each beside its labels, as indices into the palette."""
    segmentation, _ = labelled(segmenter, values)
    brain = np.flatnonzero(segmentation.classes.any((1, 2)))
    planes = [brain[len(brain) * place // 8] for place in (1, 3, 5, 7)]
    images = np.clip(values, 0, 255).astype(np.uint8)
    tiles = [overlays.tile(images[..., k], segmentation.classes[k], "axial") for k in planes]
    return overlays.mosaic(tiles, columns=2)


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    segmenter = Segmenter.load([Run.load(arguments.run)])
    (arguments.output / "failures").mkdir(parents=True, exist_ok=True)
    head = draw_volume()
    overlays.write_picture(arguments.output / "prediction.png", prediction(segmenter, head[0]))
    rows = []
    for name, failure in FAILURES.items():
        values, truth = failure.change(*head)
        segmentation, summary = labelled(segmenter, values)
        answer = segmentation.classes[failure.plane]
        image = np.clip(values[..., failure.plane], 0, 255).astype(np.uint8)
        true = truth[..., failure.plane]
        picture = overlays.panel([(image, true)], answer[None])
        overlays.write_picture(arguments.output / "failures" / f"{name}.png", picture)
        table = np.zeros((classes.COUNT, classes.COUNT), int)
        np.add.at(table, (true, answer), 1)
        dice = [f"{score:.4f}" for score in overlap.hard_dice(table)[1:]]
        notes = [re.split("[,:]", note)[0] for note in summary.notes]
        rows.append([failure.title, str(failure.plane), *dice, "; ".join(notes) or "none"])
    print(figures.markdown(["phantom", "slice", *classes.NAMES[1:], "notes"], rows))


if __name__ == "__main__":
    main()
