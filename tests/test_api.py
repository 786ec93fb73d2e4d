"""The door for other programs gives what the commands write, and leaves nothing on disk."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import nibabel as nib
import numpy as np
import pytest
from checked import load, present
from helpers import brain, command, save
from PIL import Image

import oasis_jax
from oasis_jax.classes import TISSUES

SPACING = {"RAS": (1, 1, 1), "PSL": (1.5, 0.8, 1.25)}
"""Two orders of axes, each with a spacing along X, Y and Z."""

FLAT: np.ndarray = np.zeros((30, 30, 30), np.uint8)


class Predicted(NamedTuple):
    """What `predict` made of files."""

    files: dict[str, Path]
    """A volume for each order of axes, and a slice."""
    labels: Path
    facts: dict[str, dict[str, Any]]
    """The lines of `--json`, by the name of the file."""


@pytest.fixture(scope="module")
def predicted(finished: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Predicted:
    folder = tmp_path_factory.mktemp("scans")
    files = {"slice": data / "keras_png_slices_test/case_9_slice_3.nii.png"}
    for way, spacing in SPACING.items():
        x, y, z = (round(n / mm) for n, mm in zip((37, 50, 26), spacing, strict=True))
        files[way] = save(folder / f"{way}.nii.gz", brain((x, y, z), spacing)[0], spacing, way)
    done = command("predict", finished, *files.values(), "--output", folder / "labels", "--probabilities", "--json")
    assert done.returncode == 0, done.stderr
    facts = {line["file"]: line for line in map(json.loads, done.stdout.splitlines())}
    return Predicted(files, folder / "labels", facts)


@pytest.fixture(scope="module")
def model(finished: Path) -> oasis_jax.Segmenter:
    return oasis_jax.load(finished)


def assert_as_predicted(found: oasis_jax.LabelledScan, way: str, predicted: Predicted) -> None:
    labels = load(predicted.labels / f"{way}_labels.nii.gz")
    assert found.classes.dtype == np.uint8
    assert np.array_equal(found.classes, np.asarray(labels.dataobj))
    assert np.array_equal(present(found.affine), present(labels.affine))
    facts = predicted.facts[f"{way}.nii.gz"]
    assert {name: round(ml, 2) for name, ml in present(found.millilitres).items()} == dict(
        zip(TISSUES, facts["ml"].values(), strict=True)
    )
    assert list(found.notes) == facts["notes"]


@pytest.mark.parametrize("way", SPACING)
def test_a_file_an_image_and_an_array_are_labelled_as_predict_labels_the_file(
    way: str, model: oasis_jax.Segmenter, predicted: Predicted
) -> None:
    path = predicted.files[way]
    found, image = oasis_jax.label(model, path, probabilities=True), load(path)
    assert_as_predicted(found, way, predicted)
    written = np.asarray(load(predicted.labels / f"{way}_probabilities.nii.gz").dataobj)
    assert np.array_equal(present(found.probabilities), written)
    assert len(np.unique(found.classes)) > 1
    values, (i, j, k) = np.asarray(image.dataobj), map(float, image.header.get_zooms())
    for given in (image, nib.Nifti1Image(values, image.affine)):
        assert_as_predicted(oasis_jax.label(model, given), way, predicted)
    bare = oasis_jax.label(model, values, spacing=(i, j, k), orientation=way)
    assert np.array_equal(bare.classes, found.classes)
    assert bare.millilitres == pytest.approx(present(found.millilitres))
    assert bare.probabilities is None


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image, nib.MGHImage, nib.AnalyzeImage])
def test_images_of_all_kinds_are_labelled_as_when_they_are_saved(
    kind: Any, model: oasis_jax.Segmenter, predicted: Predicted, tmp_path: Path
) -> None:
    image = kind(np.asarray(load(predicted.files["RAS"]).dataobj), np.eye(4))
    orientation = "RAS" if kind is nib.AnalyzeImage else None
    if orientation is None:
        image.affine[:3, 1] *= -2  # the header does not see it
    found = oasis_jax.label(model, image, orientation=orientation)
    path = tmp_path / f"a{kind.files_types[0][1]}"
    nib.save(image, path)
    saved = oasis_jax.label(model, path, orientation=orientation)
    assert np.array_equal(present(found.affine), present(saved.affine))
    assert np.array_equal(found.classes, saved.classes)
    assert (found.millilitres, found.notes) == (saved.millilitres, saved.notes)


def test_a_slice_is_labelled_as_predict_labels_it_and_nothing_is_written(
    model: oasis_jax.Segmenter, predicted: Predicted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(predicted.labels.parent.rglob("*"))
    found = oasis_jax.label(model, str(predicted.files["slice"]), probabilities=True)
    assert sorted(predicted.labels.parent.rglob("*")) == before
    assert not list(tmp_path.iterdir())
    written = np.array(Image.open(predicted.labels / "case_9_slice_3_labels.png"))
    assert np.array_equal(found.classes * np.uint8(85), written)
    assert np.array_equal(present(found.probabilities), np.load(predicted.labels / "case_9_slice_3_probabilities.npy"))
    assert (found.millilitres, found.affine) == (None, None)
    assert oasis_jax.score(found, found.classes)["CSF"] == 1
    with pytest.raises(oasis_jax.UserError, match="truth must be an array"):
        oasis_jax.score(found, predicted.files["slice"])


def test_labels_are_the_same_whatever_the_settings_of_jax(finished: Path, predicted: Predicted) -> None:
    with jax.enable_x64(True):
        assert_as_predicted(oasis_jax.label(oasis_jax.load(finished), predicted.files["PSL"]), "PSL", predicted)


def test_scores_are_the_dice_of_each_class_whatever_holds_the_truth(
    model: oasis_jax.Segmenter, predicted: Predicted, tmp_path: Path
) -> None:
    found = oasis_jax.label(model, predicted.files["PSL"])
    image = load(predicted.files["PSL"])
    truth = np.digitize(np.asarray(image.dataobj), [42, 102, 162]).astype(np.uint8)
    scores = oasis_jax.score(found, truth)
    for k, name in enumerate(("background", "CSF", "gray matter", "white matter")):
        both, either = ((found.classes == k) & (truth == k)).sum(), (found.classes == k).sum() + (truth == k).sum()
        assert scores[name] == pytest.approx(2 * both / either)
    assert scores["foreground mean"] == pytest.approx(np.mean([present(scores[name]) for name in TISSUES]))
    stored = nib.Nifti1Image(truth, image.affine)
    nib.save(stored.as_reoriented(np.array([[1, -1], [0, 1], [2, 1]])), tmp_path / "truth.nii")  # pyright: ignore[reportArgumentType]
    assert oasis_jax.score(found, tmp_path / "truth.nii") == scores
    assert oasis_jax.score(found, stored) == scores
    assert oasis_jax.score(found, 10 * truth, values=((0,), (10,), (20,), (30,))) == scores
    itself = oasis_jax.score(found._replace(classes=np.minimum(truth, 2)), np.minimum(truth, 2))
    assert itself == {"background": 1, "CSF": 1, "gray matter": 1, "white matter": None, "foreground mean": None}


@pytest.mark.parametrize(
    ("scan", "options", "sentence"),
    [
        ("gone.nii", {}, "gone.nii does not exist."),
        ("labels", {}, "files: label one at a time."),
        ("RAS.nii.gz", {"spacing": (1.0, 1.0, 1.0)}, "spacing is for an array"),
        ("RAS.nii.gz", {"orientation": "RAX"}, "must name three directions"),
        (FLAT, {}, "scan is an array: give its spacing"),
        (FLAT, {"spacing": (1.0, 1.0, 0.0), "orientation": "RAS"}, "scan is an array: give its spacing"),
        (FLAT, {"spacing": (1.0, 1.0, 99.0), "orientation": "RAS"}, "scan has voxels of"),
        (FLAT[0], {"spacing": (1.0, 1.0, 1.0), "orientation": "RAS"}, "give one volume"),
        (FLAT.astype(complex), {"spacing": (1.0, 1.0, 1.0), "orientation": "RAS"}, "holds complex128"),
        (nib.Nifti1Image(FLAT, None), {}, "scan has no orientation"),
        (nib.Nifti1Image(np.zeros((9, 9, 9, 2), np.uint8), np.eye(4)), {}, "scan has the shape 9 x 9 x 9 x 2"),
        (nib.Spm2AnalyzeImage(FLAT, None), {}, "scan has no orientation"),
        (nib.Minc1Image(FLAT, np.eye(4)), {}, "scan is a Minc1Image"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_each_mistake_is_a_sentence(
    scan: Any, options: dict[str, Any], sentence: str, model: oasis_jax.Segmenter, predicted: Predicted
) -> None:
    given = predicted.labels.parent / scan if isinstance(scan, str) else scan
    with pytest.raises(oasis_jax.UserError) as error:
        oasis_jax.label(model, given, **options)
    assert sentence in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_truth_that_does_not_belong_is_a_sentence(model: oasis_jax.Segmenter, predicted: Predicted) -> None:
    found = oasis_jax.label(model, predicted.files["RAS"])
    for truth, sentence in (
        (predicted.files["PSL"], "does not lie on the grid of"),
        (nib.Nifti1Image(found.classes, np.diag([2.0, 1, 1, 1])), "truth does not lie on the grid of"),
        (found.classes[1:], "truth has the shape"),
        (found.classes + 4, "truth holds the values 4"),
    ):
        with pytest.raises(oasis_jax.UserError, match=sentence):
            oasis_jax.score(found, truth)
    with pytest.raises(oasis_jax.UserError, match="nothing is not a run"):
        oasis_jax.load("nothing")


def test_a_model_that_comes_with_the_program_is_loaded_by_its_name() -> None:
    assert oasis_jax.load("pretrained-slices").ensemble.runs[0].name == "pretrained-slices"


def test_importing_the_package_imports_no_jax_and_its_names_come_when_they_are_used() -> None:
    code = """
import sys
import oasis_jax
assert {"LabelledScan", "Segmenter", "UserError", "label", "load", "score", "__version__"} <= set(dir(oasis_jax))
assert not [name for name in sys.modules if name.split(".")[0] in ("jax", "numpy", "nibabel")]
from oasis_jax import load
assert "jax" in sys.modules and load is oasis_jax.load
from oasis_jax import train
assert train.__name__ == "oasis_jax.train"
assert not hasattr(oasis_jax, "nothing")
from pathlib import Path
assert not {path.stem for path in Path(oasis_jax.__file__).parent.iterdir()} & set(oasis_jax.__all__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
