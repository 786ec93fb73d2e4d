import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from helpers import SIZE, blob, command, write_tree
from PIL import Image

from oasis_jax.classes import GREYS, NAMES
from oasis_jax.data import appearance
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.slices import encode_png, folders, read_pair, tidy, write_pair, write_png
from oasis_jax.geometry import Cut
from oasis_jax.system import console
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.png import read_grey


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", slices=12)


def test_slices_are_paired_by_name_and_ordered_by_number_and_other_files_are_ignored(root: Path) -> None:
    for name in (".DS_Store", "._case_9_slice_0.nii.png", "notes.txt"):
        (folders(root, "test")[0] / name).write_text("x")
    tree = load_dataset(root)
    assert [(p.case, p.number) for p in tree.splits["test"]] == [(c, k) for c in ("9", "10") for k in range(12)]
    assert tree.size == SIZE
    for pair in chain(*tree.splits.values()):
        assert pair.image.name.removeprefix("case_") == pair.label.name.removeprefix("seg_")
    images, labels = (np.stack(one) for one in zip(*map(read_pair, chain(*tree.splits.values())), strict=True))
    assert images.dtype == labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    rows, columns = np.flatnonzero(labels.any((0, 2))), np.flatnonzero(labels.any((0, 1)))
    assert tree.extent == (rows[0], rows[-1], columns[0], columns[-1])
    assert tree.ranges["test"] == appearance.ranges([appearance.measure(image) for image in images[-24:]])


def blank(path: Path, size: tuple[int, int] = SIZE, kind: type = np.uint8) -> None:
    Image.fromarray(np.zeros(size, kind)).save(path)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.png")


CASE, SEG = "keras_png_slices_train/case_1_slice_{}.nii.png", "keras_png_slices_seg_train/seg_1_slice_{}.nii.png"

DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    CASE.format(0): (Path.unlink, "label without image (2)"),
    CASE.format(1): (lambda path: path.write_bytes(path.read_bytes()[:200]), "unreadable"),
    CASE.format(2): (flip_a_bit, "unreadable"),
    CASE.format(3): (lambda path: path.write_text("not an image"), "unreadable"),
    CASE.format(4): (lambda path: Image.new("RGB", SIZE).save(path), "PNG of mode RGB"),
    CASE.format(5): (lambda path: blank(path, kind=np.uint16), "PNG of mode I;16"),
    CASE.format(6): (lambda path: blank(path, (16, 2064)), "far larger than a slice (1)"),
    CASE.format(7): (dead_link, "no file"),
    CASE.format("010"): (blank, "two files for one slice (1)"),
    CASE.format(12): (blank, "image without label (1)"),
    SEG.format(8): (
        lambda path: write_png(path, np.eye(*SIZE, dtype=np.uint8) * np.uint8(86)),
        "label values other than 0, 85, 170, 255 (1)",
    ),
    SEG.format(9): (lambda path: blank(path, (64, 64)), "slices of different sizes"),
    SEG.replace("seg_1", "mask_1").format(1): (blank, "not named seg_CASE_slice_K.nii.png (1)"),
}
"""How each file is labelled and written."""


def test_all_problems_are_listed_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_dataset(root)  # a stamp of the sound tree must not hide the damage
    for name, (damage, _) in DAMAGE.items():
        damage(root / name)
    for k in range(2):
        write_pair(root, "test", "1", k, *blob(np.random.default_rng(k)))
    read = Path.read_bytes

    def reading(path: Path) -> bytes:
        if path.name == "case_2_slice_1.nii.png":
            raise MemoryError
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", reading)
    with pytest.raises(UserError, match="MemoryError") as caught:
        load_dataset(root)
    for name, (_, said) in DAMAGE.items():
        assert said in str(caught.value)
        assert name.rpartition("_1_")[2] in str(caught.value) or said == "slices of different sizes"
    for said in ("subject in two splits (1):\n    1: train, test", "seg_1_slice_8.nii.png: 86", "1 files of 64x64"):
        assert said in str(caught.value)


def test_problems_with_subjects_are_named(root: Path) -> None:
    for rows, said in (
        ("1,A 2,B 3,C 9,D", "case not in subjects.csv (1):\n    10"),
        ("1,A 2,B 3,C 10,D 9,E 9,F", "case of two subjects in subjects.csv (1):\n    9: E, F"),
        ("1,A 2,B 3,A 10,C 9,D", "subject in two splits (1):\n    A: train, validate"),
    ):
        (root / "subjects.csv").write_text("\n".join(["case,oasis_subject", *rows.split()]))
        with pytest.raises(UserError, match=re.escape(said)):
            load_dataset(root)


ONE_NAME = [("A", "\tA "), ("A", "A\xa0"), ("A", "\u200bA\ufeff"), ("A B", "A \u3000 B"), ("Ren\xe9", "Rene\u0301")]
"""Pairs that look the same."""

TWO_NAMES = [("OAS1_0001", "oas1_0001"), ("A1", "\uff21\uff11"), ("Stra\xdfe", "STRASSE"), ("\xc9", "e\u0301")]
"""Pairs that look different, and may be one subject."""


@pytest.mark.parametrize("names", ONE_NAME + TWO_NAMES)
@pytest.mark.parametrize("listed", [True, False])
def test_no_spelling_of_a_name_hides_a_subject_in_two_splits(
    names: tuple[str, str], listed: bool, tmp_path: Path
) -> None:
    if listed:
        root = write_tree(tmp_path / "tree", slices=1)
        rows = f"1 ,{names[0]}\n 2,B\n3,{names[1]}\n9\xa0,C\n10,C\n"
        (root / "subjects.csv").write_text(f"case , oasis_subject\n{rows}", encoding="utf-8")
    else:  # the cases have the names
        root = write_tree(tmp_path / "tree", 1, {"train": names[:1], "validate": names[1:], "test": ("x",)})
    said = f"subject in two splits (1):\n    {names[0]}: train, validate"
    if names in TWO_NAMES:
        said = f"subject in two spellings (1):\n    {', '.join(sorted(map(tidy, names)))}: use one"
    with pytest.raises(UserError, match=re.escape(f" 1 problem(s):\n  {said}")):
        load_dataset(root)


def test_a_missing_or_empty_test_split_is_answered_with_the_options_that_do_without(root: Path) -> None:
    for folder in folders(root, "test"):
        shutil.rmtree(folder)
    options = "--train.evaluate validate (train), --split validate (evaluate) or --splits train validate (data check)"
    for kind, place in (("missing folder", "(2):\n    keras_png_slices_seg_test\n"), ("no slices", "(1):\n")):
        with pytest.raises(UserError, match=re.escape(f"{kind}; a tree without test needs {options} {place}")):
            load_dataset(root)
        for folder in folders(root, "test"):
            folder.mkdir(exist_ok=True)
    load_dataset(root, ("train", "validate"))
    done = command("data", "check", root, "--splits", "train", "validate")
    assert done.returncode == 0, done.stderr


def test_a_folder_without_slices_and_sides_that_cannot_be_halved_are_named(root: Path, tmp_path: Path) -> None:
    for folder in folders(root, "validate"):
        shutil.rmtree(folder)
        folder.mkdir()
    odd = write_tree(tmp_path / "odd", slices=1, size=(40, 64))
    for place, said in (
        (tmp_path / "nowhere", "is not a folder"),
        (tmp_path, "missing folder"),
        (root, "no slices"),
        (odd, "not multiples of 16 (1):\n    40x64: put images and labels into the middle of 48x64 black pixels"),
    ):
        with pytest.raises(UserError, match=re.escape(said)):
            load_dataset(place)


def paint(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write each slice of a folder anew."""
    for path in folder.iterdir():
        write_png(path, change(read_grey(path)))


@pytest.mark.parametrize(("grey", "name"), list(zip(GREYS, NAMES, strict=True)))
def test_images_that_show_nothing_and_a_class_that_no_slice_of_training_shows_are_named(
    root: Path, grey: int, name: str
) -> None:
    blank(root / CASE.format(0))
    load_dataset(root)  # one black slice is no harm
    for split in ("train", "test"):
        images, masks = folders(root, split)
        paint(images, np.zeros_like)
        paint(masks, lambda label: np.where(label == grey, np.uint8((grey + 85) % 340), label))
    with pytest.raises(UserError, match=r"3 problem\(s\)") as caught:  # a test may well lack a class
        load_dataset(root)
    for said in (
        "images that show nothing (2):\n    test: all are black",
        f"class that no label of train shows (1):\n    {name} (grey level {grey}): correct the labels, or add slices",
    ):
        assert said in str(caught.value)


def test_an_unchanged_tree_is_not_read_again_and_a_changed_one_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[str] = []

    def track(items: Iterable, total: int, description: str) -> Iterable:
        checks.append(description)
        return items

    monkeypatch.setattr(console, "track", track)
    first = load_dataset(root)
    assert len(checks) == 3
    assert load_dataset(root) == first
    assert len(checks) == 3
    blank(root / CASE.format(0))
    changed = load_dataset(root)
    assert checks[3:] == ["Checking train"]
    assert changed.fingerprints["train"] != first.fingerprints["train"]
    assert changed.fingerprints["test"] == first.fingerprints["test"]
    for stamp in (Path(os.environ["OASIS_JAX_CACHE"]) / "checks").iterdir():
        stamp.write_text('{"size": 3')
    assert load_dataset(root) == changed


@pytest.mark.parametrize("moved", [False, True], ids=["written over", "put in its place"])
def test_a_label_that_changed_and_kept_its_size_and_time_is_read_again(moved: bool, root: Path) -> None:
    path = root / SEG.format(0)
    _, classes = blob(np.random.default_rng(1))
    tampered = classes.copy()
    tampered[0, 0] = 1
    fingerprints = []
    for label in (classes, tampered):
        target = path.with_suffix(".part") if moved else path
        target.write_bytes(encode_png(label * np.uint8(85)).ljust(4096, b"\0"))  # what follows the end does not count
        os.utime(target, ns=(0, 0))  # as rsync -a, tar and git-annex do
        target.rename(path)
        fingerprints.append(load_dataset(root).fingerprints["train"])
    assert fingerprints[0] != fingerprints[1]


def test_a_tree_says_how_it_was_cut_and_a_damaged_record_is_noticed(root: Path) -> None:
    assert load_dataset(root).cut == Cut()
    (root / "cut.json").write_text(json.dumps({"axis": "coronal", "heights": [0.25, 0.5]}))
    assert load_dataset(root).cut == Cut("coronal", (0.25, 0.5))
    for text in ("{", '{"axis": "up", "heights": [0, 1]}', '{"axis": "axial", "heights": 3}'):
        (root / "cut.json").write_text(text)
        with pytest.raises(UserError, match=r"cut\.json"):
            load_dataset(root)
