"""Other programs read the outputs as they read the scan: the same grid, plain integers, true millilitres."""

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import pytest
from checked import load, present, rows, turned
from helpers import brain, predict_with, stand_in
from nibabel import affines
from scipy.spatial.transform import Rotation

OBLIQUE = Rotation.from_euler("xyz", (5, -3, 12), degrees=True).as_matrix()
"""A head that is turned by some degrees."""


class Labelled(NamedTuple):
    """A scan and what was written for it."""

    scan: Path
    labels: Path
    probabilities: Path
    millilitres: list[float]


@pytest.fixture(scope="module", params=["right", "turned", "qform", "sform", "both", "nifti2", "coarse"])
def labelled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    """Scans that say in every way where they lie."""
    folder = tmp_path_factory.mktemp("scan")
    kind, spacing = str(request.param), (0.9, 1.1, 1.7) if request.param == "coarse" else (1.0, 1.0, 1.0)
    values, _ = brain((37, 50, 30), spacing)
    affine = affines.from_matvec((np.eye(3) if kind == "right" else OBLIQUE) * spacing, (-20, 7, 31))
    image = (nib.Nifti2Image if kind == "nifti2" else nib.Nifti1Image)(values, affine)
    if kind in ("turned", "coarse"):
        image = turned(image, "PSL")
    image.set_qform(image.affine, code={"sform": 0, "both": 1}.get(kind, 2))
    image.set_sform(image.affine, code={"qform": 0, "both": 4}.get(kind, 1))
    image.header.set_xyzt_units("mm", "sec")
    scan, out = folder / "scan.nii.gz", folder / "out"
    nib.save(image, scan)
    assert predict_with(stand_in(), [scan], out, probabilities=True) == (1, [])
    (row,) = rows(out / "tissue.csv")
    found = [float(row[f"{name}_ml"]) for name in ("CSF", "gray_matter", "white_matter")]
    return Labelled(scan, out / "scan_labels.nii.gz", out / "scan_probabilities.nii.gz", found)


def tool(name: str) -> Any:
    """A library that reads volumes; the test is skipped without it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its import says of itself
        pytest.importorskip(name.split(".")[0])
        return import_module(name)


def test_nibabel_sees_one_grid_plain_labels_and_probabilities_of_1(labelled: Labelled) -> None:
    scan, labels, shares = (load(path) for path in labelled[:3])
    for image in (labels, shares):
        assert type(image) is type(scan)
        assert tuple(image.shape)[:3] == scan.shape
        np.testing.assert_array_equal(image.affine, scan.affine)
        for form in ("get_sform", "get_qform"):
            (ours, our_code), (theirs, their_code) = (getattr(one, form)(coded=True) for one in (image, scan))
            assert our_code == their_code
            np.testing.assert_array_equal(np.asarray(ours, object), np.asarray(theirs, object))
        assert image.header.get_slope_inter() == (None, None)
    assert (labels.get_data_dtype(), labels.header.get_intent()[0]) == (np.uint8, "label")
    assert shares.get_data_dtype() == np.float32
    assert shares.shape == (*scan.shape, 4)
    classes, probabilities = np.asarray(labels.dataobj), np.asarray(shares.dataobj)
    assert set(np.unique(classes)) == {0, 1, 2, 3}
    greys = [np.asarray(scan.dataobj)[classes == k].mean() for k in (1, 2, 3)]
    np.testing.assert_allclose(greys, [60, 120, 180], atol=15)  # labels lie on their tissue
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(-1), classes)
    voxel = abs(np.linalg.det(present(scan.affine)[:3, :3]))
    counts = [(classes == k).sum() * voxel / 1000 for k in (1, 2, 3)]
    np.testing.assert_allclose(labelled.millilitres, counts, atol=0.006)  # the table has two decimals


def test_simpleitk_sees_the_same_image_and_the_same_millilitres(labelled: Labelled) -> None:
    itk = tool("SimpleITK")
    if isinstance(load(labelled.scan), nib.Nifti2Image):
        pytest.skip("SimpleITK does not read NIfTI-2, so not this scan either")
    scan, labels, shares = (itk.ReadImage(str(path)) for path in labelled[:3])
    assert labels.GetPixelID() == itk.sitkUInt8
    assert labels.GetSize() == scan.GetSize() == shares.GetSize()[:3]
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(labels, name)() == getattr(scan, name)()
    assert (shares.GetSpacing()[:3], shares.GetOrigin()[:3]) == (scan.GetSpacing(), scan.GetOrigin())
    shape = itk.LabelShapeStatisticsImageFilter()
    shape.Execute(labels)
    assert shape.GetLabels() == (1, 2, 3)
    sizes = [shape.GetPhysicalSize(k) / 1000 for k in (1, 2, 3)]
    np.testing.assert_allclose(labelled.millilitres, sizes, atol=0.006)


def test_nilearn_measures_the_scan_under_the_labels_without_resampling(labelled: Labelled) -> None:
    maskers = tool("nilearn.maskers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nilearn tells of its own defaults
        masker = maskers.NiftiLabelsMasker(labels_img=str(labelled.labels), resampling_target=None)
        means = np.ravel(masker.fit_transform([str(labelled.scan)]))
    scan, labels = (np.asarray(load(path).dataobj) for path in labelled[:2])
    np.testing.assert_allclose(means, [scan[labels == k].mean() for k in (1, 2, 3)], rtol=1e-5)
