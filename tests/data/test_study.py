"""A user's own study becomes a tree to train on: pairs by name, subjects kept together, cut as described."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers import assert_mistake, brain, command, patterns, save
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oasis_jax.data.build import Rule, cut_scan
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.slices import read_pair
from oasis_jax.data.study import LabelValues, Scan, pair_scans, split_subjects
from oasis_jax.geometry import Cut
from oasis_jax.system.errors import UserError

RULE = Rule(extent=8.0, frame=(48, 64))


def test_the_command_makes_a_tree_that_training_accepts(study: Path, tmp_path: Path) -> None:
    images, labels = patterns(study)
    out = tmp_path / "my tree"
    words = ("data", "volumes", out, "--images", images, "--labels", labels, "--frame", "48", "64", "--extent", "8")
    done = command(*words)
    assert done.returncode == 0, done.stderr
    tree = load_dataset(out)
    assert tree.size == (48, 64)
    assert sum(len({p.case for p in pairs}) for pairs in tree.splits.values()) == 5
    assert set(tree.subjects.values()) == {"2", "10", "x", "y"}
    assert tree.cut.axis == "axial"
    assert tree.cut.heights is not None
    assert 0.45 < tree.cut.heights[0] < 0.55 < tree.cut.heights[1] < 0.9
    assert tree.cut.spacing == (1.0, 1.0, 1.0)
    for pairs in tree.splits.values():
        for pair in pairs:
            image, classes = read_pair(pair)
            assert image.max() > 150  # the whole head decides what is white, so a slice may be darker
            assert np.array_equal(np.digitize(image * (180 / 255), [30, 90, 150]), classes)
    with (out / "volumes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["case"] for row in rows} == {"2-a", "10-a", "x-a", "x-b", "y-a"}
    assert {row["slices"] for row in rows} == {"8"}
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.size == (3 * 2 * 64, 5 * 48)
    assert "contact_sheet.png" in done.stdout
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    again = command(*words)
    assert_mistake(again, "exists already")


def scans_of(subjects: int) -> list[Scan]:
    """Two scans of each subject."""
    return [Scan(str(n // 2), str(n % 2), Path("i"), Path("l")) for n in range(2 * subjects)]


def test_the_same_seed_gives_the_same_split_and_sessions_stay_together() -> None:
    scans = scans_of(20)
    first = split_subjects(scans, (0.7, 0.15, 0.15), 3)
    assert first == split_subjects(scans[::-1], (0.7, 0.15, 0.15), 3)
    assert first != split_subjects(scans, (0.7, 0.15, 0.15), 4)
    assert [list(first.values()).count(split) for split in ("train", "validate", "test")] == [14, 3, 3]


@given(st.integers(3, 60), st.tuples(*[st.just(0.0) | st.floats(0.01, 1)] * 3).filter(any))
def test_every_split_with_a_share_has_a_subject(count: int, weights: tuple[float, float, float]) -> None:
    shares = weights[0] / sum(weights), weights[1] / sum(weights), weights[2] / sum(weights)
    splits = list(split_subjects(scans_of(count), shares, 0).values())
    assert len(splits) == count
    assert set(splits) == {split for split, share in zip(("train", "validate", "test"), shares, strict=True) if share}


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.5, -0.5, 0.0), (float("nan"), 0.2, 0.3)])
def test_fractions_add_up(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(UserError, match="add up to 1"):
        split_subjects(scans_of(5), fractions, 0)
    with pytest.raises(UserError, match="3 or more"):
        split_subjects(scans_of(2), (0.6, 0.2, 0.2), 0)


def test_files_that_cannot_be_paired_are_named(study: Path, tmp_path: Path) -> None:
    images, labels = patterns(study)
    assert [scan.case for scan in pair_scans(images, labels)] == ["2-a", "10-a", "x-a", "x-b", "y-a"]
    folder = tmp_path / "x"
    for name in ("1_a.nii", "1_b.nii", "1_l.nii", "3_l.nii", "1-2_3.nii", "1_2-3.nii", "1-2_3.l", "1_2-3.l"):
        folder.mkdir(exist_ok=True)
        (folder / name).touch()
    for images, labels, part in (
        ("a/*.nii", "{subject}_l.nii", r"a/\*\.nii must hold \{subject\}"),
        ("{subject}*.nii", "{subject}_l.nii", "text between"),
        ("{subject}.png", "{subject}_l.nii", "no file matches"),
        ("{subject}.png", "{subject}_l.nii", "3_l.nii has no image"),
        ("{subject}_b.nii", "{subject}.png", "1_b.nii has no label volume"),
        ("{subject}_*.nii", "{subject}_l.nii", "are both of 1"),
        ("/{subject}_{session}.nii", "{subject}_{session}.l", "2 scans would have the name 1-2-3"),
    ):
        with pytest.raises(UserError, match=part):
            pair_scans(f"{folder}/{images}", f"{folder}/{labels}")


def touch(folder: Path, *names: str) -> tuple[str, str]:
    """Empty image and label files of subjects; their patterns."""
    for name in names:
        for kind in ("t1", "labels"):
            (folder / kind / name).mkdir(parents=True)
            (folder / kind / name / "x.nii").touch()
    return f"{folder}/t1/{{subject}}/x.nii", f"{folder}/labels/{{subject}}/x.nii"


@pytest.mark.parametrize(("name", "other"), [("A", "A "), ("A", "\xa0A"), ("Ren\xe9", "Rene\u0301")])
def test_invisible_differences_of_a_name_make_no_second_subject(name: str, other: str, tmp_path: Path) -> None:
    both = touch(tmp_path, name, "B", other)
    with pytest.raises(UserError, match=f"are both of {name}"):
        pair_scans(*both)
    (tmp_path / "t1" / other / "x.nii").unlink()
    (tmp_path / "labels" / name / "x.nii").unlink()
    assert sorted(scan.subject for scan in pair_scans(*both)) == sorted([name, "B"])


def test_a_subject_in_two_spellings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one subject in two spellings: OAS1_0001, oas1_0001; rename"):
        pair_scans(*touch(tmp_path, "OAS1_0001", "B", "oas1_0001"))


def scan_of(
    folder: Path, values: np.ndarray, truth: np.ndarray, spacing: tuple[float, float, float] = (1, 1, 1)
) -> Scan:
    image, label = save(folder / "i.nii.gz", values, spacing), save(folder / "l.nii.gz", truth, spacing)
    return Scan("s", "", image, label)


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 26))
    scan = scan_of(tmp_path, values, truth)
    save(tmp_path / "l.nii.gz", truth, (1, 1, 2))
    with pytest.raises(UserError, match="does not lie on the grid"):
        cut_scan(scan, RULE)
    save(tmp_path / "l.nii.gz", truth * 7)
    with pytest.raises(UserError, match="the values 7, 14, 21, which belong to no class"):
        cut_scan(scan, RULE)
    mapped = cut_scan(scan, replace(RULE, values=LabelValues(csf=(7,), gray=(14,), white=(21,))))
    scan_of(tmp_path, values, truth)
    assert np.array_equal(mapped.classes, cut_scan(scan, RULE).classes)
    save(tmp_path / "l.nii.gz", truth * np.float32(0.99999994))
    assert np.array_equal(cut_scan(scan, RULE).classes, mapped.classes)
    save(tmp_path / "l.nii.gz", np.where(truth == 3, np.float32("nan"), truth.astype(np.float32)))
    with pytest.raises(UserError, match="not finite numbers: label them"):
        cut_scan(scan, RULE)
    save(tmp_path / "l.nii.gz", truth * 0)
    with pytest.raises(UserError, match="labels no brain"):
        cut_scan(scan, RULE)
    scan_of(tmp_path, values.repeat(2, axis=1), truth.repeat(2, axis=1))
    with pytest.raises(UserError, match="set --frame 48 96"):
        cut_scan(scan, RULE)


def test_slices_start_at_the_height_asked_for_and_end_with_the_brain(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 26))
    shown = np.flatnonzero(truth.any(axis=(0, 1)))
    scan = scan_of(tmp_path, values, truth)
    half = cut_scan(scan, RULE)
    assert half.first == shown[0] + (shown[-1] - shown[0]) // 2
    assert len(half.images) == 8
    high = cut_scan(scan, replace(RULE, start=0.9, extent=100.0))
    assert high.first + len(high.images) - 1 == shown[-1]
    assert high.heights[1] == 1


def test_thick_slices_give_a_note_and_are_fewer(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 6), (1, 1, 5))
    cut = cut_scan(scan_of(tmp_path, values, truth, spacing=(1, 1, 5)), replace(RULE, start=0.0, extent=10.0))
    assert len(cut.images) == 2
    assert "5.0 mm apart" in cut.notes[0]


def test_broken_scans_are_listed_and_left_out(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 26))
    for k in range(4):
        save(tmp_path / f"{k}_i.nii", values)
        save(tmp_path / f"{k}_l.nii", truth)
    words = (
        "data", "volumes", tmp_path / "out", "--images", f"{tmp_path}/{{subject}}_i.nii",
        "--labels", f"{tmp_path}/{{subject}}_l.nii", "--frame", "48", "64",
    )  # fmt: skip
    scans = [Scan(str(k), "", Path(), Path()) for k in range(4)]
    splits = split_subjects(scans, (0.7, 0.15, 0.15), 0)
    spare = next(k for k in splits if list(splits.values()).count(splits[k]) > 1)
    (tmp_path / f"{spare}_i.nii").write_bytes(b"no volume")
    done = command(*words)
    assert done.returncode == 1, done.stderr
    assert "3 scans of 3 subjects" in done.stdout
    assert f"{spare}_i.nii cannot be read as a volume" in done.stderr
    assert set(load_dataset(tmp_path / "out").subjects) == set(splits) - {spare}

    shutil.rmtree(tmp_path / "out")
    other = next(k for k in splits if k != spare)
    save(tmp_path / f"{other}_l.nii", truth + 5)
    assert_mistake(command(*words), "2 problem(s)", f"{other}_l.nii holds the values 5, 6, 7, 8", f"{spare}_i.nii")
    assert not (tmp_path / "out").exists()


def test_a_tree_says_how_it_was_cut_and_a_damaged_record_is_noticed(tree: Path, tmp_path: Path) -> None:
    root = shutil.copytree(tree, tmp_path / "tree")
    assert load_dataset(root).cut == Cut()
    (root / "cut.json").write_text(json.dumps({"axis": "coronal", "heights": [0.25, 0.5]}))
    assert load_dataset(root).cut == Cut("coronal", (0.25, 0.5))
    for text in ("{", '{"axis": "up", "heights": [0, 1]}', '{"axis": "axial", "heights": 3}'):
        (root / "cut.json").write_text(text)
        with pytest.raises(UserError, match=r"cut\.json"):
            load_dataset(root)


def test_a_volume_that_is_no_number_anywhere_is_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full((4, 4, 4), np.nan, np.float32), np.eye(4)), tmp_path / "i.nii")
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "l.nii")
    with pytest.raises(UserError, match="labels no brain"):
        cut_scan(Scan("s", "", tmp_path / "i.nii", tmp_path / "l.nii"), RULE)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--extent", "inf"), "--extent above 0"),
        (("--csf", "2", "1"), "2 is given twice"),
        (("--frame", "50", "64"), "two multiples of 16"),
    ],
)
def test_options_out_of_range_are_named(words: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    patterns = ("--images", "{subject}.nii", "--labels", "{subject}_l.nii")
    assert_mistake(command("data", "volumes", tmp_path / "out", *patterns, *words), sentence)
