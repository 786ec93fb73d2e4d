"""A user's own study becomes a tree to train on: pairs by name, subjects kept together, cut as described."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checked import present
from helpers import assert_mistake, brain, command, patterns, save
from hypothesis import given
from hypothesis import strategies as st

from oasis_jax.data.cut_study import Rule, cut_scan
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.slices import read_pair
from oasis_jax.data.study import LabelValues, Scan, pair_scans, split_subjects
from oasis_jax.data.tree import Case
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
    assert f"{out / 'contact_sheet.png'}" in done.stdout
    assert_mistake(command(*words), "exists already")


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


def test_fractions_add_up() -> None:
    for fractions in ((0.5, 0.5, 0.5), (1.5, -0.5, 0.0), (float("nan"), 0.2, 0.3)):
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


def test_names_that_look_alike_make_no_second_subject(tmp_path: Path) -> None:
    both = touch(tmp_path / "invisible", "Ren\xe9", "B", "Rene\u0301 ")
    with pytest.raises(UserError, match="are both of Ren\xe9"):
        pair_scans(*both)
    (tmp_path / "invisible/t1/Rene\u0301 /x.nii").unlink()
    (tmp_path / "invisible/labels/Ren\xe9/x.nii").unlink()
    assert [scan.subject for scan in pair_scans(*both)] == ["B", "Ren\xe9"]
    with pytest.raises(UserError, match="one subject in two spellings: OAS1_0001, oas1_0001; rename"):
        pair_scans(*touch(tmp_path / "spellings", "OAS1_0001", "B", "oas1_0001"))


def scan_of(
    folder: Path, values: np.ndarray, truth: np.ndarray, spacing: tuple[float, float, float] = (1, 1, 1)
) -> Scan:
    image, label = save(folder / "i.nii.gz", values, spacing), save(folder / "l.nii.gz", truth, spacing)
    return Scan("s", "", image, label)


def cut(scan: Scan, rule: Rule = RULE) -> Case:
    return cut_scan(scan, "train", rule)


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 26))
    scan = scan_of(tmp_path, values, truth)
    sound = cut(scan).slices
    save(tmp_path / "l.nii.gz", truth, (1, 1, 2))
    with pytest.raises(UserError, match="does not lie on the grid"):
        cut(scan)
    save(tmp_path / "l.nii.gz", truth * 7)
    with pytest.raises(UserError, match="the values 7, 14, 21, which belong to no class"):
        cut(scan)
    mapped = cut(scan, replace(RULE, values=LabelValues(csf=(7,), gray=(14,), white=(21,))))
    np.testing.assert_array_equal(mapped.slices, sound)
    save(tmp_path / "l.nii.gz", truth * np.float32(0.99999994))
    np.testing.assert_array_equal(cut(scan).slices, sound)
    save(tmp_path / "l.nii.gz", np.where(truth == 3, np.float32("nan"), truth.astype(np.float32)))
    with pytest.raises(UserError, match="not finite numbers: label them"):
        cut(scan)
    with pytest.raises(UserError, match="labels no brain"):
        cut(scan_of(tmp_path, np.full(values.shape, np.float32("nan")), truth * 0))
    with pytest.raises(UserError, match="set --frame 48 96"):
        cut(scan_of(tmp_path, values.repeat(2, axis=1), truth.repeat(2, axis=1)))


def test_slices_start_at_the_height_asked_for_and_end_with_the_brain_and_thick_ones_are_fewer(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 26))
    shown = np.flatnonzero(truth.any(axis=(0, 1)))
    scan = scan_of(tmp_path, values, truth)
    half = cut(scan)
    assert half.origin["first_slice"] == shown[0] + (shown[-1] - shown[0]) // 2
    assert len(half.slices) == 8
    high = cut(scan, replace(RULE, start=0.9, extent=100.0))
    assert high.origin["first_slice"] + len(high.slices) - 1 == shown[-1]
    assert present(high.heights)[1] == 1
    every = cut(scan, replace(RULE, every_height=True))
    assert (len(every.slices), every.heights) == (len(shown), None)
    thick = scan_of(tmp_path, *brain((37, 50, 6), (1, 1, 5)), spacing=(1, 1, 5))
    few = cut(thick, replace(RULE, start=0.0, extent=10.0))
    assert len(few.slices) == 2
    assert "5.0 mm apart" in few.notes[0]


def test_broken_scans_are_listed_and_left_out(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 26))
    for k in range(4):
        save(tmp_path / f"{k}_i.nii", values)
        save(tmp_path / f"{k}_l.nii", truth)
    words = (
        "data", "volumes", tmp_path / "out", "--images", f"{tmp_path}/{{subject}}_i.nii",
        "--labels", f"{tmp_path}/{{subject}}_l.nii", "--frame", "48", "64", "--fractions", "1", "0", "0",
    )  # fmt: skip
    (tmp_path / "2_i.nii").write_bytes(b"no volume")
    done = command(*words)
    assert done.returncode == 1, done.stderr
    assert "3 scans of 3 subjects" in done.stdout
    assert "2_i.nii cannot be read as a volume" in done.stderr
    assert set(load_dataset(tmp_path / "out", ["train"]).subjects) == {"0", "1", "3"}


def test_options_out_of_range_are_named(tmp_path: Path) -> None:
    patterns = ("--images", "{subject}.nii", "--labels", "{subject}_l.nii")
    for words, sentence in (
        (("--extent", "inf"), "--extent above 0"),
        (("--csf", "2", "1"), "2 is given twice"),
        (("--frame", "50", "64"), "two multiples of 16"),
    ):
        assert_mistake(command("data", "volumes", tmp_path / "out", *patterns, *words), sentence)
