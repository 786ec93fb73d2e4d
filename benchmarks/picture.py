"""The picture of the README: a phantom head, and the labels of the network that comes with the program.

Run:  python benchmarks/picture.py

The head is that of `python -m oasis_jax.data phantom --volume`, labelled as `oasis_jax.predict` labels a volume. Shows
four slices at heights that training saw, from low to high, each beside its labels.
"""

from pathlib import Path

import numpy as np
from failures import labelled

from oasis_jax.data import overlays
from oasis_jax.data.phantoms.volume import draw_volume
from oasis_jax.inference.segment import Segmenter
from oasis_jax.pretrained import FOLDER
from oasis_jax.runs.folder import Run
from oasis_jax.system.console import track

PICTURE = Path(__file__).parent.parent / "docs" / "prediction.png"
SHOWN = 4


def main() -> None:
    values, _ = draw_volume(track=track)
    segmentation, summary = labelled(Segmenter.load([Run.load(FOLDER)]), values)
    trained = [k for k, shown in enumerate(summary.slices) if shown.in_trained_heights]
    planes = [trained[len(trained) * (2 * i + 1) // (2 * SHOWN)] for i in range(SHOWN)]
    images = np.clip(values, 0, 255).astype(np.uint8)
    slices = [(overlays.upright(images[..., k]), overlays.upright(segmentation.classes[k])) for k in planes]
    tiles = [overlays.beside(overlays.lettered(grey, "axial"), classes) for grey, classes in slices]
    overlays.write_picture(PICTURE, overlays.mosaic(tiles, columns=2))


if __name__ == "__main__":
    main()
