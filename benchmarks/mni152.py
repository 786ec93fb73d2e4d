"""A head that nobody trained on: the MNI152 template (average of 152 people) against its own tissue maps.

Run:  python benchmarks/mni152.py RUN [--mirror]
      (needs: pip install nilearn, whose package holds the template, skull removed, and its gray and white matter maps)

A voxel's true class is gray or white matter where that map is the larger one and above 0.5; the maps do not tell CSF
from the rest. Prints hard Dice of both classes over the slices at heights that training saw, and over all others.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import figures
import numpy as np
import tyro

from oasis_jax import classes
from oasis_jax.inference.label import label
from oasis_jax.inference.segment import Segmenter
from oasis_jax.prediction.summary import file_summary
from oasis_jax.pretrained import RunPath
from oasis_jax.runs.folder import Run
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.inputs import read_input


@dataclass(frozen=True)
class Arguments:
    """Label the MNI152 template and compare gray and white matter with its maps."""

    run: tyro.conf.Positional[RunPath]
    """Run folder, or pretrained."""
    mirror: bool = False
    """Average over mirror images."""


def template(path: Path) -> np.ndarray:
    """Write the template's T1 to a file; return its true classes 0, 2 and 3, uint8, in RAS order."""
    from nilearn import datasets  # type: ignore[import-not-found]

    t1, gray, white = (
        load(resolution=1)
        for load in (datasets.load_mni152_template, datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    )
    t1.to_filename(path)
    maps = np.stack([np.zeros(gray.shape), np.full(gray.shape, 0.5), *(one.get_fdata() for one in (gray, white))])
    truth = maps.argmax(0)
    return np.where(truth == 1, 0, truth).astype(np.uint8)


def dice(truth: np.ndarray, answer: np.ndarray, k: int) -> float:
    return 2 * float(((truth == k) & (answer == k)).sum()) / float((truth == k).sum() + (answer == k).sum())


def main() -> None:
    arguments = tyro.cli(Arguments)
    segmenter = Segmenter.load([Run.load(arguments.run)], mirror=arguments.mirror)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "mni152.nii.gz"
        truth = np.moveaxis(template(path), 2, 0)
        file: Any = read_input(InputFile(path, "mni152"), segmenter.framing)
        (labelled,) = label([file], segmenter, keep_probabilities=False)
        summary = file_summary(labelled, segmenter.trained)
    trained = np.array([bool(one.in_trained_heights) for one in summary.slices])
    rows = [
        [where, str(int(chosen.sum()))] + [f"{dice(truth[chosen], labelled.classes[chosen], k):.4f}" for k in (2, 3)]
        for where, chosen in (("trained", trained), ("other", ~trained))
    ]
    print(figures.markdown(["heights", "slices", *classes.NAMES[2:]], rows))
    print("notes:", "; ".join(summary.notes) or "none")


if __name__ == "__main__":
    main()
