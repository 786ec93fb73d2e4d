from itertools import chain, islice
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import write_tree

from oasis_jax.config import Data
from oasis_jax.data.batches import Source, evaluation_batches, train_batches
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.normalise import normalise
from oasis_jax.data.slices import Slice
from oasis_jax.geometry import Pair
from oasis_jax.system.errors import UserError

DATA = Data(normalise="scale")


class Fake(Source):
    """Slices of cases of five, whose grey level is their row. Printing them would take seconds."""

    def __init__(self, count: int, data: Data = DATA) -> None:
        super().__init__([Slice(str(i // 5), i % 5, Path(), Path()) for i in range(count)], data)

    def _padded(self, index: int) -> Pair:
        return np.full((16, 16), index, np.uint8), np.full((16, 16), index % 4, np.uint8)

    def __repr__(self) -> str:
        raise AssertionError("Grain prints what it maps")


def indices(batches: Any, count: int) -> list[list[int]]:
    return [batch["index"].tolist() for batch in islice(batches, count)]


def training(count: int = 23, batch: int = 4, seed: int = 5, **more: Any) -> Any:
    return train_batches(Fake(count), batch=batch, seed=seed, **more)


def test_every_epoch_is_another_permutation_of_whole_batches() -> None:
    steps = indices(training(), 15)
    epochs = [list(chain(*steps[i : i + 5])) for i in (0, 5, 10)]
    for epoch in epochs:
        assert len(set(epoch)) == 20
    assert epochs[0] != epochs[1] != epochs[2]
    assert set(epochs[0]) != set(epochs[1])  # other slices are left over
    assert indices(training(seed=6), 15) != steps == indices(training(), 15)


def test_any_step_can_be_continued_from_and_processes_share_it() -> None:
    whole = indices(training(), 15)
    for start in (0, 1, 4, 5, 12):
        assert indices(training(start=start), 3) == whole[start : start + 3]
    for count in (2, 4):
        parts = [indices(training(processes=(rank, count)), 15) for rank in range(count)]
        for step, shares in zip(whole, zip(*parts, strict=True), strict=True):
            assert sorted(step) == sorted(chain(*shares))


def test_a_batch_has_the_contracted_types() -> None:
    batch = next(training())
    assert {name: (value.dtype, value.shape) for name, value in batch.items()} == {
        "image": (np.float32, (4, 16, 16, 1)),
        "label": (np.uint8, (4, 16, 16)),
        "index": (np.int32, (4,)),
        "valid": (np.bool_, (4,)),
    }
    assert batch["valid"].all()


def test_neighbours_are_channels_of_training_and_evaluation() -> None:
    data = Data(normalise="scale", neighbours=2)
    train = next(train_batches(Fake(23, data), batch=4, seed=0, brain=True))
    evaluation = list(evaluation_batches(Fake(23, data), batch=4))
    for batch in [train, *evaluation]:
        for image, label, row in zip(batch["image"], batch["label"], batch["index"], strict=True):
            first, last = row // 5 * 5, min(row // 5 * 5 + 4, 22)
            wanted = [min(max(row + d, first), last) for d in (-2, -1, 0, 1, 2)]
            np.testing.assert_allclose(image[0, 0] * 255, wanted, atol=1e-4)
            assert (label == row % 4).all()
    np.testing.assert_array_equal(train["brain"][:, 0, 0], np.rint(train["image"][:, 0, 0] * 255) % 4 > 0)
    assert "brain" not in evaluation[0]


@pytest.mark.parametrize(("count", "processes"), [(23, 1), (24, 1), (3, 1), (23, 2), (5, 4)])
def test_evaluation_gives_every_slice_once_in_order(count: int, processes: int) -> None:
    steps = -(-count // 4)
    rows: list[int] = []
    for rank in range(processes):
        batches = list(evaluation_batches(Fake(count), batch=4, processes=(rank, processes)))
        assert len(batches) == steps
        for batch in batches:
            assert len(batch["index"]) == 4 // processes
            rows += batch["index"][batch["valid"]].tolist()
    assert (rows if processes == 1 else sorted(rows)) == list(range(count))


def test_cached_slices_are_the_same_and_are_read_once_and_others_are_named_where_they_break(tmp_path: Path) -> None:
    pairs = load_dataset(write_tree(tmp_path / "tree", slices=2)).splits["train"]
    cached, files = (Source(pairs, Data(cache=cache)) for cache in (True, False))
    before = [files[i] for i in range(len(files))]
    for a, b in zip(cached, before, strict=True):
        np.testing.assert_array_equal(a, b)
    pairs[0].image.unlink()
    np.testing.assert_array_equal(cached[0][0], before[0][0])
    with pytest.raises(UserError, match=r"case_1_slice_0.*Put the files back"):
        next(train_batches(files, batch=4, seed=0))


def test_batches_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="only 3 training slices"):
        training(count=3)
    with pytest.raises(UserError, match="3 processes cannot share"):
        training(processes=(0, 3))


@pytest.mark.parametrize("method", ["scale", "zscore"])
def test_normalise_is_exact_and_the_same_in_jax_and_for_a_slice_alone(method: Any) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3)).astype(np.uint8)
    ours, centred = normalise(grey, method), grey - grey.mean((1, 2), keepdims=True)
    assert ours.dtype == np.float32
    exact = grey / 255 if method == "scale" else centred / grey.std((1, 2), keepdims=True)
    np.testing.assert_allclose(ours, exact, atol=1e-6)
    np.testing.assert_allclose(ours, normalise(jnp.asarray(grey), method), atol=1e-6)
    for k in range(3):
        np.testing.assert_array_equal(ours[..., k], normalise(grey[..., [k]], method)[..., 0])
    assert not normalise(np.zeros((1, 4, 4, 1), np.uint8), method).any()
