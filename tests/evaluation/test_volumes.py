"""Whole volumes are evaluated on their own voxels, in any orientation and spacing."""

import csv
import json
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from checked import load, present
from helpers import ALL_WAYS, assert_mistake, brain, command, patterns, save, stand_in

from oasis_jax.classes import TISSUES
from oasis_jax.data.study import Scan, classes_on
from oasis_jax.evaluation import volumes
from oasis_jax.metrics import surface
from oasis_jax.report.write import write_evaluation
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.nifti import read_volume

evaluate = partial(volumes.evaluate_volumes, values=((0,), (1,), (2,), (3,)), data="study")


def scan(folder: Path, name: str, subject: str, spacing: tuple[float, float, float], way: str, wrong: int = 0) -> Scan:
    """A scan whose label volume is shifted right by `wrong` voxels, so that the prediction is wrong."""
    shape = tuple(round(n / mm) for n, mm in zip((37, 50, 30), spacing, strict=True))
    values, truth = brain((shape[0], shape[1], shape[2]), spacing)
    image = save(folder / f"{name}_t1.nii.gz", values, spacing, way=way)
    label = save(folder / f"{name}_seg.nii.gz", np.roll(truth, wrong, axis=0), spacing, way=way)
    return Scan(subject, name, image, label)


def test_counts_surfaces_and_millilitres_are_those_of_the_volumes(tmp_path: Path) -> None:
    scans = [
        scan(tmp_path, "a", "x", (1.0, 1.0, 1.0), ALL_WAYS[5], wrong=2),
        scan(tmp_path, "b", "y", (1.0, 1.0, 2.0), ALL_WAYS[20]),
    ]
    result, problems = evaluate(scans, stand_in())
    evaluation, scores = result.evaluated, result.metrics.scores
    assert not problems
    assert evaluation.whole
    found = present(evaluation.surfaces)
    assert [len([p for p in evaluation.pairs if p.case == case]) for case in ("x-a", "y-b")] == [30, 15]
    for i, (case, spacing) in enumerate((("x-a", (1.0, 1.0, 1.0)), ("y-b", (1.0, 1.0, 2.0)))):
        own = [k for k, pair in enumerate(evaluation.pairs) if pair.case == case]
        truth = np.stack([evaluation.slices[k][1] for k in own])
        predicted = np.stack([evaluation.predictions[k] for k in own])
        wanted = surface.row(truth, predicted, (spacing[2], *spacing[:2]))
        np.testing.assert_allclose(found.hausdorff[i], wanted.hausdorff)
        np.testing.assert_allclose(found.near[i], wanted.near)
        for k, name in enumerate(TISSUES, 1):
            amount = scores.tissue.each[case].true[name]
            assert amount == pytest.approx((truth == k).sum() * np.prod(spacing) / 1000)
        counts = np.bincount((4 * truth.astype(int) + predicted).ravel(), minlength=16).reshape(4, 4)
        assert np.array_equal(evaluation.table.confusion[own].sum(0), counts)
    surfaces = present(scores.surfaces)
    assert (surfaces.each, scores.tissue.unit, scores.tissue.of) == ("volume", "ml", "whole volumes")
    dice = scores.hard_dice_per_subject.each
    # The labels of x are shifted. The slices of y are thick, which only makes rings of tissue rough.
    assert present(dice["x"]["CSF"]) + 0.1 < present(dice["y"]["CSF"])
    assert found.hausdorff[0, 0] >= 1  # CSF of x


def test_the_command_writes_a_report_of_volumes_and_names_mistakes(finished: Path, study: Path) -> None:
    images, labels = patterns(study)
    done = command("evaluate", finished, "--images", images, "--labels", labels)
    assert done.returncode == 0, done.stderr
    assert "of 4 subjects" in done.stdout
    assert "These are whole volumes" in " ".join(done.stdout.split())
    folder = finished / "evaluation" / "volumes"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["scores"]["tissue"]["scans"] == 5
    assert metrics["scores"]["tissue"]["retest"]["subjects"] == 1
    with (folder / "tissue.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["case"] for row in rows} == {"2-a", "10-a", "x-a", "x-b", "y-a"}
    assert (folder / "report.html").stat().st_size > 10_000
    compared = command("compare", finished, "--split", "volumes")
    assert compared.returncode == 0, compared.stderr
    both = ("--images", images, "--labels", labels)
    nothing = ("--background", "0", "1", "2", "3", "--csf", "11", "--gray", "12", "--white", "13")
    for words, sentence in (
        (("--images", images), "need both --images and --labels"),
        (("--orientation", "RAS"), "need both --images and --labels"),
        ((*both, "--split", "test"), "leave out --split"),
        ((*both, "--orientation", "RAX"), "--orientation is RAX"),
        ((*both, *nothing), "labels no brain"),
    ):
        assert_mistake(command("evaluate", finished, *words), sentence)


def test_bad_scans_are_named_and_the_others_are_evaluated(tmp_path: Path) -> None:
    sound = scan(tmp_path, "a", "x", (1.0, 1.0, 1.0), "RAS")
    other = scan(tmp_path, "b", "y", (1.0, 1.0, 1.0), "LPI")
    bad = scan(tmp_path, "c", "z", (1.0, 1.0, 1.0), "RAS")
    bad.label.write_bytes(b"no volume")
    far = scan(tmp_path, "d", "w", (1.0, 1.0, 1.0), "RAS")
    nib.save(nib.Nifti1Image(np.full((37, 50, 30), 9, np.uint8), np.eye(4)), far.label)
    result, problems = evaluate([bad, sound, far, other], stand_in())
    evaluation = result.evaluated
    assert "2 of 4 scans could not be evaluated and are left out." in result.metrics.scores.caveats
    assert list(result.counts.spacing) == ["x-a", "y-b"]
    assert set(evaluation.subjects) == {"x-a", "y-b"}
    assert len(present(evaluation.surfaces).hausdorff) == 2
    assert len(problems) == 2
    assert f"{bad.label} cannot be read as a volume" in problems[0]
    assert str(far.label) in problems[1]
    unasked = stand_in(lambda frames: pytest.fail("all labels are checked before the network runs"))
    with pytest.raises(UserError, match=r"(?s)None of the volumes.*no NIfTI.*which belong to no class"):
        evaluate([bad, far], unasked)


def test_a_sheared_volume_has_millilitres_but_no_surfaces(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 30))
    affine = np.eye(4)
    affine[0, 1], affine[1, 2] = 0.1, 0.4  # within the slices, and from one to the next
    for name, array in (("i", values), ("l", truth)):
        nib.save(nib.Nifti1Image(array, affine), tmp_path / f"{name}.nii")
    result, _ = evaluate([Scan("s", "", tmp_path / "i.nii", tmp_path / "l.nii")], stand_in())
    scores = result.metrics.scores
    assert result.evaluated.surfaces is None
    assert scores.surfaces is None
    assert any("voxels of a volume are not rectangular" in caveat for caveat in scores.caveats)
    write_evaluation(result, out := tmp_path / "out", tmp_path / "none.png")
    assert (out / "report.html").exists()
    assert scores.tissue.each["s"].true["CSF"] == pytest.approx((truth == 1).sum() / 1000)


def test_labels_without_orientation_in_scaled_int16_are_those_of_the_scan(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 30))
    image = save(tmp_path / "i.nii", values, way="LAS")
    stored_classes = np.asarray(load(save(tmp_path / "l.nii", truth, way="LAS")).dataobj)
    codes = np.array([0, 24, 2035, 1041], np.float64)[stored_classes]
    bare = nib.Nifti1Image(codes, None)
    bare.set_data_dtype(np.int16)
    bare.header.set_zooms((1, 1, 1))
    nib.save(bare, tmp_path / "l.nii")
    stored = np.unique(load(tmp_path / "l.nii").get_fdata())
    assert not np.array_equal(stored, np.rint(stored))
    scan = read_volume(image)
    classes = ((0,), (24,), (2035,), (1041,))
    with pytest.raises(UserError, match="--orientation RAS"):
        classes_on(scan, read_volume(tmp_path / "l.nii"), classes)
    assert np.array_equal(classes_on(scan, read_volume(tmp_path / "l.nii", "LAS"), classes), truth)
