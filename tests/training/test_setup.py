"""What a run remembers of its data."""

from pathlib import Path

import numpy as np

from oasis_jax.config import Augment, Config, Data
from oasis_jax.data import appearance
from oasis_jax.data.batches import Source
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.slices import folders
from oasis_jax.data.volumes.frame import quantise
from oasis_jax.data.volumes.png import read_grey
from oasis_jax.training import setup


def test_a_network_that_saw_brains_without_skull_knows_them(data: Path) -> None:
    tree = load_dataset(data)
    source = Source(tree.splits["train"], Data())
    plain, stripped = (
        setup._ranges(Config(augment=Augment(strip=strip)), tree, source)  # which a run remembers
        for strip in (0.0, 0.5)
    )
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
