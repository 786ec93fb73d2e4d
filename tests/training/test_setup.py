"""What a run remembers of its data."""

from pathlib import Path

import numpy as np
from helpers import command, options

from oasis_jax.data import appearance
from oasis_jax.data.slices import folders
from oasis_jax.data.volumes.frame import quantise
from oasis_jax.data.volumes.png import read_grey
from oasis_jax.runs import folder as run_folder
from oasis_jax.runs.trained import trained_on


def test_a_network_that_saw_brains_without_skull_knows_them(data: Path, tmp_path: Path) -> None:
    for name, strip in (("plain", "0"), ("stripped", "0.5")):
        words = ("--train.steps", "1", "--augment.strip", strip)
        done = command("train", *options(data, tmp_path / name, *words))
        assert done.returncode == 0, done.stderr
    plain, stripped = (trained_on(run_folder.load(tmp_path / name), 1).ranges for name in ("plain", "stripped"))
    assert all(low <= plain[name][0] and plain[name][1] <= high for name, (low, high) in stripped.items())
    image, label = (
        read_grey(folder / name)
        for folder, name in zip(
            folders(data, "train"), ("case_1_slice_0.nii.png", "seg_1_slice_0.nii.png"), strict=True
        )
    )
    brain = quantise(np.where(label > 0, image, 0))
    values: dict[str, float] = dict(zip(appearance.MEASURES, appearance.measure(brain), strict=True))
    assert all(low <= values[name] <= high for name, (low, high) in stripped.items())
