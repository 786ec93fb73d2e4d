"""The data of a config: its spacing; several trees as one, people in two of them, and the share of each."""

import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import write_tree

from oasis_jax.config import Data
from oasis_jax.data.batches import Source, train_batches
from oasis_jax.data.dataset import Dataset
from oasis_jax.data.open import open_data
from oasis_jax.data.slices import folders, read_pair
from oasis_jax.geometry import Cut, Spacing, write_cut
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
    return open_data(data, splits or ("train", "validate", "test"))


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
    _, rows, columns = np.nonzero(np.stack([source[k][1] for k in range(len(source))]))
    assert tree.extent[0] <= rows.min() <= rows.max() <= tree.extent[1]
    assert tree.extent[2] <= columns.min() <= columns.max() <= tree.extent[3]
    # The first slice of the second tree: nothing of the first lies below it.
    below, slice_, above = np.moveaxis(source.example(6)["image"], -1, 0)
    np.testing.assert_array_equal(below, slice_)
    np.testing.assert_array_equal(above, source.example(7)["image"][..., 1])


def test_a_person_in_two_splits_of_two_trees_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    data = trees(tmp_path)
    table = tmp_path / "two" / "subjects.csv"
    table.write_text(table.read_text().replace("TWO8", "ONE2"))  # trains in one, validates in two
    with pytest.raises(UserError, match=r"1 subject.*ONE2: train and validate.*--data\.leave-out"):
        opened(data)
    kept = opened(replace(data, leave_out=("ONE2",)))
    assert {pair.case for pair in kept.splits["train"]} == {"one-1", "two-1", "two-7"}
    assert kept.parts["train"] == (3, 4)
    with pytest.raises(UserError, match="leave_out names NOBODY"):
        opened(replace(data, leave_out=("NOBODY",)))


def test_trees_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    data = trees(tmp_path)
    with pytest.raises(UserError, match="Two of the joined folders are named one"):
        opened(replace(data, join=(tmp_path / "one",)))
    write_cut(tmp_path / "two", Cut(axis="coronal"))
    with pytest.raises(UserError, match="axial and coronal"):
        opened(data)
    with pytest.raises(UserError, match="missing is not a folder"):
        opened(replace(data, join=(tmp_path / "missing",)))
    for tree in ("one", "two"):
        for folder in folders(tmp_path / tree, "test"):
            shutil.rmtree(folder, ignore_errors=True)
    write_cut(tmp_path / "two", Cut())
    with pytest.raises(UserError, match="None of the joined folders has keras_png_slices_test"):
        opened(data)


def drawn(data: Data, count: int, **more: Any) -> list[int]:
    """The rows of the first slices of a training."""
    tree = opened(data, "train")
    source = Source(tree.splits["train"], data, size=tree.size)
    batches = train_batches(source, batch=2, seed=3, parts=tree.parts["train"], **more)
    return [int(row) for batch in islice(batches, count // 2) for row in batch["index"]]


def test_each_tree_gets_its_share_of_a_training(tmp_path: Path) -> None:
    data = trees(tmp_path)
    shared = replace(data, shares=(1.0, 3.0))
    rows = drawn(shared, 200)
    assert sum(row < 6 for row in rows) == pytest.approx(50, abs=2)
    assert set(rows) == set(range(10))
    own = [row for row in rows if row >= 6]
    epochs = [tuple(own[k : k + 4]) for k in range(0, 140, 4)]
    assert all(set(epoch) == {6, 7, 8, 9} for epoch in epochs)  # every slice once before any comes twice
    assert len(set(epochs)) > 4  # in another order each time
    assert drawn(shared, 40, start=7) == rows[14:54]
    whole, parts = drawn(shared, 40), [drawn(shared, 20 * 2, processes=(rank, 2)) for rank in (0, 1)]
    assert [row for pair in zip(*parts, strict=True) for row in pair][:40] == whole
    assert set(drawn(replace(data, shares=(1.0, 0.0)), 24)) == set(range(6))
    with pytest.raises(UserError, match=r"data\.shares has 1 number\(s\) for 2 folder\(s\)"):
        drawn(replace(data, shares=(1.0,)), 2)


def spacing(data: Data) -> Spacing | None:
    (of_all_cases,) = set(opened(data, "test").spacing.values())
    return of_all_cases


def test_the_spacing_in_a_tree_takes_precedence_over_the_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Data(root=write_tree(tmp_path / "tree"), spacing_mm=(2.0, 2.0, None))
    assert spacing(data) == (2.0, 2.0, None)
    assert spacing(replace(data, spacing_mm=None)) is None
    write_cut(tmp_path / "tree", Cut(spacing=(0.9, 0.9, 3.0)))
    assert spacing(Data(root=data.root)) == (0.9, 0.9, 3.0)
    assert "Note" not in capsys.readouterr().err  # nobody asked for another one
    assert spacing(data) == (0.9, 0.9, 3.0)
    assert "its pixels are 0.9 0.9 3.0 mm; data.spacing_mm is not used." in capsys.readouterr().err
