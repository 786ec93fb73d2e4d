"""Several trees as one: names, sizes, neighbours, people in two of them, and how much of a training each gets."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import write_tree

from oasis_jax.config import Config, Data
from oasis_jax.data.batches import Source, train_batches
from oasis_jax.data.dataset import Dataset
from oasis_jax.data.open import open_data
from oasis_jax.data.slices import read_pair
from oasis_jax.geometry import Cut, write_cut
from oasis_jax.system.errors import UserError


def trees(folder: Path) -> Data:
    """Two trees of different size and spacing; the second has no test split."""
    one = write_tree(folder / "one", slices=3)
    two = write_tree(folder / "two", slices=2, size=(80, 96), cases={"train": ("1", "7"), "validate": ("8",)})
    write_cut(two, Cut(heights=None, spacing=(1.0, 1.0, 2.0)))
    for tree, names in ((one, "1 2 3 9 10"), (two, "1 7 8")):
        rows = [f"{case},{tree.name.upper()}{case}" for case in names.split()]
        (tree / "subjects.csv").write_text("\n".join(["case,oasis_subject", *rows]) + "\n")
    return Data(root=one, join=(two,), normalise="scale", neighbours=1)


def opened(data: Data, *splits: str) -> Dataset:
    return open_data(Config(data=data), splits or ("train", "validate", "test"))


def test_slices_of_all_trees_are_padded_to_one_size_and_keep_what_is_theirs(tmp_path: Path) -> None:
    data = trees(tmp_path)
    tree = opened(data)
    assert tree.size == (80, 96)
    train = tree.splits["train"]
    assert [pair.case for pair in train] == ["one-1"] * 3 + ["one-2"] * 3 + ["two-1"] * 2 + ["two-7"] * 2
    assert {pair.case for pair in tree.splits["test"]} == {"one-9", "one-10"}
    assert tree.parts == {"train": (6, 4), "validate": (3, 2), "test": (6, 0)}
    assert tree.spacing["one-1"] == (1.0, 1.0, 1.0)
    assert tree.spacing["two-7"] == (1.0, 1.0, 2.0)
    assert tree.subjects["one-1"] == "ONE1"
    assert tree.subjects["two-1"] == "TWO1"
    assert tree.cut.heights is None

    source = Source(train, data, size=tree.size)
    image, classes = source[0]
    original, truth = read_pair(train[0])
    top, left = (80 - original.shape[0]) // 2, (96 - original.shape[1]) // 2
    inside = slice(top, top + original.shape[0]), slice(left, left + original.shape[1])
    np.testing.assert_array_equal(image[inside], original)
    np.testing.assert_array_equal(classes[inside], truth)
    assert image.sum() == original.sum(dtype=int)
    channels, _ = source.with_neighbours(6)  # the first slice of the second tree: nothing of the first lies below it
    np.testing.assert_array_equal(channels[..., 0], source[6][0])
    np.testing.assert_array_equal(channels[..., 2], source[7][0])


def test_the_labels_of_a_smaller_tree_are_known_in_the_larger_frame(tmp_path: Path) -> None:
    tree = opened(trees(tmp_path))
    source = Source(tree.splits["train"], Data(), size=tree.size)
    _, rows, columns = np.nonzero(np.stack([source[k][1] for k in range(len(source))]))
    assert tree.extent[0] <= rows.min() <= rows.max() <= tree.extent[1]
    assert tree.extent[2] <= columns.min() <= columns.max() <= tree.extent[3]


def test_one_tree_alone_is_as_before(tmp_path: Path) -> None:
    tree = opened(Data(root=write_tree(tmp_path / "tree")))
    assert tree.parts["train"] == (len(tree.splits["train"]),)
    assert {pair.case for pair in tree.splits["train"]} == {"1", "2"}


def test_a_person_in_two_splits_of_two_trees_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    data = trees(tmp_path)
    table = tmp_path / "two" / "subjects.csv"
    table.write_text(table.read_text().replace("TWO8", "ONE2"))  # trains in one, validates in two
    with pytest.raises(UserError, match=r"1 subject.*ONE2: train and validate.*--data\.leave-out"):
        opened(data)
    kept = opened(Data(root=data.root, join=data.join, leave_out=("ONE2",)))
    assert {pair.case for pair in kept.splits["train"]} == {"one-1", "two-1", "two-7"}
    assert kept.parts["train"] == (3, 4)
    with pytest.raises(UserError, match="leave_out names NOBODY"):
        opened(Data(root=data.root, join=data.join, leave_out=("NOBODY",)))


def test_trees_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    data = trees(tmp_path)
    assert data.root is not None
    with pytest.raises(UserError, match="Two of the joined folders are named one"):
        opened(Data(root=data.root, join=(data.root,)))
    write_cut(tmp_path / "two", Cut(axis="coronal"))
    with pytest.raises(UserError, match="axial and coronal"):
        opened(data)
    with pytest.raises(UserError, match="missing is not a folder"):
        opened(Data(root=data.root, join=(tmp_path / "missing",)))


def test_a_split_that_no_tree_has_is_named(tmp_path: Path) -> None:
    cases = {"train": ("1",), "validate": ("2",)}
    one, two = (write_tree(tmp_path / name, cases=cases) for name in ("one", "two"))
    with pytest.raises(UserError, match="keras_png_slices_test"):
        opened(Data(root=one, join=(two,)))


def drawn(data: Data, count: int, **more: Any) -> list[int]:
    """The rows of the first slices of a training."""
    tree = opened(data, "train")
    source = Source(tree.splits["train"], data, size=tree.size)
    batches = train_batches(source, data, batch=2, seed=3, parts=tree.parts["train"], **more)
    return [int(row) for batch in islice(batches, count // 2) for row in batch["index"]]


def test_each_tree_gets_its_share_of_a_training(tmp_path: Path) -> None:
    data = trees(tmp_path)
    shared = Data(root=data.root, join=data.join, shares=(1.0, 3.0), neighbours=1)
    rows = drawn(shared, 400)
    assert sum(row < 6 for row in rows) == pytest.approx(100, abs=2)
    assert set(rows) == set(range(10))
    own = [row for row in rows if row >= 6]
    epochs = [tuple(own[k : k + 4]) for k in range(0, 280, 4)]
    assert all(set(epoch) == {6, 7, 8, 9} for epoch in epochs)  # every slice once before any comes twice
    assert len(set(epochs)) > 4  # in another order each time
    assert drawn(shared, 40, start=7) == rows[14:54]
    whole, parts = drawn(shared, 40), [drawn(shared, 20 * 2, processes=(rank, 2)) for rank in (0, 1)]
    assert [row for pair in zip(*parts, strict=True) for row in pair][:40] == whole


def test_a_tree_with_the_share_0_trains_nothing(tmp_path: Path) -> None:
    data = trees(tmp_path)
    assert set(drawn(Data(root=data.root, join=data.join, shares=(1.0, 0.0)), 24)) == set(range(6))


def test_shares_without_a_number_for_each_tree_are_refused(tmp_path: Path) -> None:
    data = trees(tmp_path)
    with pytest.raises(UserError, match=r"data\.shares has 1 number\(s\) for 2 folder\(s\)"):
        drawn(Data(root=data.root, join=data.join, shares=(1.0,)), 2)
