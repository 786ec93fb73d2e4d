"""A tree of slices is written whole or not at all, says where its slices come from, and shows some of them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import blob
from PIL import Image

from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.slices import read_pair
from oasis_jax.data.tree import Broken, Case, write_tree
from oasis_jax.geometry import Cut
from oasis_jax.system.errors import UserError


def case(name: str, split: str, count: int = 3, **more: Any) -> Case:
    return Case(name, f"subject {name}", split, [blob(np.random.default_rng(k)) for k in range(count)], **more)


def test_a_tree_holds_what_its_cases_say_but_those_of_broken_scans(tmp_path: Path) -> None:
    root = tmp_path / "new" / "tree"
    cases = [
        case("1", "train", heights=(0.2, 0.5), gap=2.0, origin={"image": "1.nii", "mm": "2"}),
        Broken("train", "2.nii is broken"),
        case("b é", "validate", heights=(0.3, 0.6), gap=2.001, origin={"image": "b é.nii", "mm": "2.001"}),
        case("3", "test", heights=(0.3, 0.5), gap=2.0, origin={"image": "3.nii", "mm": "2"}),
    ]
    written, problems = write_tree(root, cases, "coronal")
    assert ([one.name for one in written], problems) == (["1", "b é", "3"], ["2.nii is broken"])
    tree = load_dataset(root)
    assert tree.cut == Cut("coronal", (0.2, 0.6), (1.0, 1.0, 2.0))
    assert tree.subjects == {name: f"subject {name}" for name in ("1", "b é", "3")}
    for k, pair in enumerate(tree.splits["validate"]):
        np.testing.assert_array_equal(read_pair(pair), blob(np.random.default_rng(k)))
    lines = (root / "volumes.csv").read_text(encoding="utf-8").splitlines()
    assert lines[:3] == [
        "case,subject,split,image,mm",
        "1,subject 1,train,1.nii,2",
        "b é,subject b é,validate,b é.nii,2.001",
    ]
    write_tree(tmp_path / "other", [case("1", "train", heights=None), case("2", "train", heights=None, gap=1.5)])
    assert '"heights": null' in (tmp_path / "other/cut.json").read_text()
    assert sorted(os.listdir(tmp_path / "other"))[:2] == ["contact_sheet.png", "cut.json"]


def test_the_contact_sheet_shows_slices_with_the_nose_up_beside_their_labels(tmp_path: Path) -> None:
    image, classes = np.zeros((2, 48, 64), np.uint8)
    image[5, 60] = 252  # on the left, in front
    classes[20:40, 10:50] = 2
    cases = [Case(str(k), str(k), "train", [(image, classes)] * (k + 1)) for k in range(14)]
    write_tree(tmp_path / "tree", cases)
    with Image.open(tmp_path / "tree" / "contact_sheet.png") as sheet:
        colours = np.asarray(sheet.convert("RGB"))
    assert colours.shape == (12 * (20 + 64), 4 * 2 * 48, 3)
    assert colours[:20, :96].max() == 255  # the name
    upright = colours[20:84, :96]
    assert (upright[63 - 60, 47 - 5] == 255).all()
    assert (upright[20:40, 10:25] == 0).all()
    assert (upright[20:40, 48 + 10 : 48 + 25] == (115, 79, 0)).all()
    assert not colours[20:84, 96:].any()  # this case has one slice


def interrupted() -> Iterator[Case]:
    yield case("1", "train")
    raise KeyboardInterrupt


def test_a_tree_that_is_not_complete_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_tree(tmp_path / "tree", interrupted())
    broken = [Broken("validate", "a.nii is broken"), case("1", "train"), Broken("validate", "b.nii too")]
    with pytest.raises(
        UserError, match=r"^tree was not written: no scan is left for validate\. 2 problem.*\n  a.*\n  b"
    ):
        write_tree(tmp_path / "tree", broken)
    assert os.listdir(tmp_path) == []
