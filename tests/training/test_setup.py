"""What a run remembers of its data, and what it says of data that do not fit."""

from pathlib import Path

import numpy as np
import pytest

from oasis_jax.config import Augment, Config, Data, Model
from oasis_jax.data import appearance
from oasis_jax.data.batches import Source
from oasis_jax.data.dataset import load_dataset
from oasis_jax.network import unet
from oasis_jax.system import sharding
from oasis_jax.system.errors import UserError
from oasis_jax.training import program, setup
from oasis_jax.volumes.frame import quantise


def test_a_network_that_saw_brains_without_skull_knows_them(data: Path) -> None:
    tree = load_dataset(data)
    source = Source(tree.splits["train"], Data())
    plain, stripped = (setup._ranges(Config(augment=Augment(strip=strip)), tree, source) for strip in (0.0, 0.5))
    image, label = source[0]
    bare = appearance.ranges([appearance.measure(quantise(np.where(label > 0, image, 0)))])
    for known in (plain, bare):
        assert all(low <= known[name][0] and known[name][1] <= high for name, (low, high) in stripped.items())


def test_who_names_no_data_hears_that_the_phantoms_do_not_fit(data: Path) -> None:
    tree, mesh = load_dataset(data), sharding.make_mesh(8)
    model = Model(stem=2, levels=3, crop=(16, 32))
    for root, begins in ((None, r"These are the phantoms, because --data\.root names no data: "), (data, "")):
        with pytest.raises(UserError, match=rf"^{begins}model\.crop, 16x32, cuts off labels"):
            program.build(Config(model=model, data=Data(root=root)), tree, unet.network(model), mesh)
