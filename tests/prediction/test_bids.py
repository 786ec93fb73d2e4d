"""A BIDS folder gives a BIDS derivative: the names, the values, the descriptions, and a validator agrees."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from checked import load, rows
from helpers import ALL_WAYS, brain, predict_with, save, stand_in

from oasis_jax.prediction import bids
from oasis_jax.system.errors import UserError

VALIDATOR = shutil.which("bids-validator-deno") or shutil.which(Path(sys.executable).with_name("bids-validator-deno"))

SCANS = ("sub-01/anat/sub-01", "sub-02/ses-a/anat/sub-02_ses-a_acq-x_run-1", "sub-02/ses-b/anat/sub-02_ses-b_desc-n4")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A BIDS folder with three T1w files among others."""
    root = tmp_path / "my study"
    for k, scan in enumerate(SCANS):
        (root / scan).parent.mkdir(parents=True)
        image = load(save(root / "scan.nii", brain((37, 50, k + 8))[0], way=ALL_WAYS[9 * k]))
        image.header.set_xyzt_units("mm", "sec")
        nib.save(image, root / f"{scan}_T1w.nii.gz")
    (root / "scan.nii").unlink()
    save(root / "sub-01/anat/sub-01_T2w.nii.gz", brain((37, 50, 8))[0])
    (root / "derivatives/other/sub-01/anat").mkdir(parents=True)
    shutil.copy(root / f"{SCANS[0]}_T1w.nii.gz", root / "derivatives/other/sub-01/anat/sub-01_T1w.nii.gz")
    (root / "dataset_description.json").write_text(json.dumps({"Name": "mine", "BIDSVersion": "1.10.0"}))
    return root


def label(dataset: Path, name: str = "oasis_jax", **options: Any) -> Path:
    out = dataset / "derivatives" / name
    assert predict_with(stand_in(), [dataset], out, **options) == (3, [])
    return out


def values(path: Path) -> np.ndarray:
    return np.asarray(nib.as_closest_canonical(load(path)).dataobj)


def test_the_derivative_holds_labels_probabilities_and_what_they_mean(dataset: Path) -> None:
    out = label(dataset, probabilities=True)
    for k, scan in enumerate(SCANS):
        truth = brain((37, 50, k + 8))[1]
        deep = (truth == 3).any(axis=(0, 1))
        labels = values(out / f"{scan}_dseg.nii.gz")
        assert np.array_equal(labels[..., deep], truth[..., deep])
        start, _, last = scan.partition("_desc")
        for number, name in enumerate(("CSF", "GM", "WM"), 1):
            shares = values(out / f"{start}_label-{name}{'_desc' * bool(last)}{last}_probseg.nii.gz")
            assert shares.dtype == np.float32
            assert np.array_equal(shares > 0.5, labels == number)
        about = json.loads((out / f"{scan}_dseg.json").read_text())
        assert about["Sources"] == [f"bids:raw:{scan}_T1w.nii.gz"]
        assert "1 CSF; 2 gray matter; 3 white matter" in about["Description"]
        record = out / f"{scan}_T1w_record.json"
        written = {str(path.relative_to(out)) for path in record.parent.iterdir() if path != record}
        assert written == json.loads(record.read_text())["outputs"].keys()
        assert len(written) == 10  # four images with their descriptions, a picture and a page
    assert (out / "dseg.tsv").read_text().splitlines()[:3] == [
        "index\tname\tabbreviation\tcolor",
        "0\tbackground\tBG\t#000000",
        "1\tCSF\tCSF\t#56B4E9",
    ]
    about = json.loads((out / "dataset_description.json").read_text())
    assert (about["DatasetType"], about["GeneratedBy"][0]["Name"]) == ("derivative", "oasis_jax")
    assert (out / about["DatasetLinks"]["raw"]).resolve() == dataset
    assert [row["file"] for row in rows(out / "tissue.csv")] == [f"{scan}_T1w.nii.gz" for scan in SCANS]
    assert all(f'<a href="{scan}_T1w_view.html">' in (out / "index.html").read_text() for scan in SCANS)
    assert '<a href="../../index.html">' in (out / f"{SCANS[0]}_T1w_view.html").read_text()
    assert not (out / "labels.tsv").exists()


def test_labels_can_have_the_values_of_bids(dataset: Path) -> None:
    own = values(label(dataset) / f"{SCANS[0]}_dseg.nii.gz")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="oasis_jax holds labels with other values than --values bids"):
            label(dataset, values="bids", overwrite=overwrite)
    out = label(dataset, "second", values="bids")
    image = load(out / f"{SCANS[0]}_dseg.nii.gz")
    assert np.array_equal(np.array([0, 3, 1, 2])[own], values(out / f"{SCANS[0]}_dseg.nii.gz"))
    assert image.get_data_dtype() == np.uint8
    assert image.header.get_intent()[0] == "label"
    assert image.header.extensions[0].get_content() == b"0 background; 1 gray matter; 2 white matter; 3 CSF"
    _, *table = (row.rpartition("\t")[0] for row in (out / "dseg.tsv").read_text().splitlines())
    assert table == ["0\tbackground\tBG", "1\tgray matter\tGM", "2\twhite matter\tWM", "3\tCSF\tCSF"]
    assert "1 gray matter" in json.loads((out / f"{SCANS[0]}_dseg.json").read_text())["Description"]


@pytest.mark.skipif(VALIDATOR is None, reason="bids-validator-deno is not installed")
@pytest.mark.parametrize("kind", ["own", "bids"])
def test_the_bids_validator_finds_no_error(kind: str, dataset: Path) -> None:
    out = label(dataset, probabilities=True, values=kind)
    done = subprocess.run([str(VALIDATOR), "--format", "json", out], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    about_all = ("/dataset_description.json", "/dseg.tsv")  # it recommends authors, and a sidecar of the table
    assert not [issue for issue in issues if issue["severity"] == "error" or issue["location"] not in about_all]
    assert done.returncode == 0


def test_files_that_are_not_named_as_bids_names_them_are_named(dataset: Path) -> None:
    for name in (
        "sub-01/anat/sub-02_T1w.nii.gz",
        "sub-01/anat/sub-01_x_T1w.nii.gz",
        "sub-02/ses-a/anat/sub-02_T1w.nii",
    ):
        (dataset / name).touch()
    (dataset / "sub-01/anat/sub-01_run-2_T1w.nii").symlink_to("nowhere")
    (dataset / f"{SCANS[1]}_T1w.nii").touch()
    files, problems = bids.find(dataset)
    assert [file.name for file in files] == [f"{scan}_T1w" for scan in SCANS]
    told = "\n".join(problems.values())
    for part in (
        "sub-01/anat/sub-02_T1w.nii.gz is not named as BIDS names such a file, sub-01_..._T1w.nii.gz",
        "sub-01_x_T1w.nii.gz is not named",
        "sub-02_T1w.nii is not named as BIDS names such a file, sub-02_ses-a_..._T1w.nii.gz",
        "sub-01_run-2_T1w.nii is a link to a file that does not exist",
        "has the same name as",
    ):
        assert part in told
    assert len(problems) == 5


def test_each_mistake_is_a_sentence(dataset: Path, tmp_path: Path) -> None:
    one, empty, out = dataset / f"{SCANS[0]}_T1w.nii.gz", tmp_path / "empty", tmp_path / "out"
    for folder in (empty, out):
        folder.mkdir()
        (folder / "dataset_description.json").write_text("mine")
    for inputs, options, sentence in (
        ([dataset, one], {}, "is a BIDS folder: name it alone"),
        ([one], {"values": "bids"}, "--values is for a BIDS folder"),
        ([empty], {}, "is a BIDS folder without T1w files"),
        ([dataset], {}, "dataset_description.json already"),
    ):
        with pytest.raises(UserError, match=sentence):
            predict_with(stand_in(), inputs, out, **options)
    assert [path.name for path in out.iterdir()] == ["dataset_description.json"]
