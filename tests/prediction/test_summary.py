"""What prediction finds in a labelled file: amounts, and notes on what is unlike the heads of training."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from checked import present
from helpers import blob, brain, by_grey, save, stand_in
from hypothesis import given
from hypothesis import strategies as st

from oasis_jax.data.slices import write_png
from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.segment import Segmenter
from oasis_jax.prediction.summary import file_summary
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.anatomy import narrows_upward
from oasis_jax.volumes.cut import read_input
from oasis_jax.volumes.finding import InputFile

UPRIGHT = [0.01, 0.22, 0.44, 0.68, 0.9, 1, 0.97, 0.88, 0.68, 0.37, 0.05]
"""Area of the brain at heights 0, 0.1, ..., 1, in the scan of an OASIS-1 subject."""


EVERY, SLAB = stand_in(heights=None).trained, stand_in().trained
"""A training on every height, and on those from 0.3 to 0.7."""


def labelled(path: Path, segmenter: Segmenter | None = None) -> Segmentation:
    segmenter = segmenter or stand_in()
    return next(label([read_input(InputFile(path, "a"), segmenter.framing)], segmenter, True))


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> Segmentation:
    """A brain of 120 slices; do not change it."""
    path = tmp_path_factory.mktemp("tall") / "tall.nii"
    return labelled(save(path, brain((37, 50, 120), (1, 1, 0.25))[0], (1, 1, 0.25)))


def notes(segmentation: Segmentation, **trained: Any) -> tuple[str, ...]:
    return file_summary(segmentation, EVERY._replace(**trained)).notes


SHEARED = np.array([[1, 0, 0, 0], [0, 1, 0.4, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
"""Slices stacked at a slant, still 1 mm apart."""


@pytest.mark.parametrize("affine", [np.diag([0.5, 0.8, 2, 1]), SHEARED])
def test_a_volume_has_the_millilitres_of_all_its_voxels(affine: np.ndarray, tmp_path: Path) -> None:
    values, truth = brain((74, 62, 18), (0.5, 0.8, 2.0))
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "a.nii")
    one = labelled(tmp_path / "a.nii")._replace(classes=np.moveaxis(truth, 2, 0).copy())
    facts, counts = file_summary(one, EVERY), np.bincount(truth.ravel(), minlength=4)[1:]
    assert np.allclose(present(facts.millilitres), counts * np.linalg.det(affine) / 1000)
    areas = np.sum([row.areas for row in facts.slices], axis=0)
    assert np.allclose(areas, counts * np.linalg.det(affine) / affine[2, 2])
    assert any("not rectangular" in note for note in facts.notes) == (affine is SHEARED)


def test_a_volume_labelled_by_a_network_that_knows_a_slab_has_a_note(tall: Segmentation, tmp_path: Path) -> None:
    (note,) = file_summary(tall, SLAB).notes
    assert note.startswith("the network was trained on slices from 0.30 to 0.70 of the brain's height: labels at other")
    assert np.array_equal(present(file_summary(tall, SLAB).millilitres), present(file_summary(tall, EVERY).millilitres))
    write_png(tmp_path / "slice.png", blob(np.random.default_rng(0))[0])
    assert file_summary(labelled(tmp_path / "slice.png"), SLAB).notes == ()


def test_slices_unlike_those_of_training_are_named(tall: Segmentation) -> None:
    (note,) = notes(tall, ranges=EVERY.ranges | {"mean": (1.0, 2.0)})
    assert note == "it looks unlike the training slices (mean and standard deviation of intensity)"


def test_labels_of_less_confidence_than_in_validation_are_doubtful(tall: Segmentation) -> None:
    doubt = tall._replace(confidence=np.full(len(tall.classes), 0.9, np.float32))
    assert notes(doubt) == ()  # the run does not say how confident it was
    assert notes(doubt, confidence=0.91) == ()
    (note,) = notes(doubt, confidence=0.95)
    assert note.startswith("its labels are doubtful: their confidence is 0.900 in the median slice; in validation, ")
    assert note.endswith("nearly always 0.950 or more")
    doubt.confidence[60:] = 1
    summary = file_summary(doubt, EVERY._replace(confidence=0.95))
    assert summary.notes == ()
    assert [row.unlike_training for row in summary.slices] == [True] * 60 + [False] * 60


def test_labels_given_as_a_scan_have_a_note(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 30))
    image, classes = blob(np.random.default_rng(0))
    write_png(tmp_path / "scan.png", image)
    write_png(tmp_path / "map.png", classes * np.uint8(85))
    freesurfer = np.array([0, 24, 2035, 41])[truth]  # as it numbers its structures
    volumes = {"scan 1": values, "scan 2": values + 7, "map 1": truth, "map 2": freesurfer, "map 3": truth > 0}
    for name, array in volumes.items():
        save(tmp_path / f"{name}.nii", array.astype(np.float32))
    for path in tmp_path.iterdir():
        said = any("as in a map of labels: give the scan itself" in note for note in notes(labelled(path)))
        assert said == path.name.startswith("map"), path


def sections(heights: np.ndarray) -> np.ndarray:
    return np.interp(heights, np.linspace(0, 1, 11), UPRIGHT)


@given(st.integers(45, 300), st.floats(1, 1e5), st.floats(0, 1))
def test_a_head_narrows_upward_at_any_size_and_spacing(count: int, area: float, offset: float) -> None:
    heights = (np.arange(count - 1) + offset) / (count - 1)
    assert narrows_upward(area * sections(heights))
    assert not narrows_upward(area * sections(1 - heights))
    assert not narrows_upward(np.full(count, area))  # a cylinder
    assert narrows_upward(np.full(2, area))  # too few to be judged


def test_a_volume_upside_down_gets_a_note(tall: Segmentation) -> None:
    assert notes(tall) == ()
    egg = tall.classes.copy()
    shown = np.flatnonzero(egg.any(axis=(1, 2)))
    egg[:] = 0
    for k in shown:
        egg[k, : int(37 * sections((k - shown[0]) / (shown[-1] - shown[0])))] = 1
    assert notes(tall._replace(classes=egg)) == ()
    (note,) = notes(tall._replace(classes=egg[::-1].copy()))
    assert note == "its brain does not narrow upward as in an upright head: it may be upside down, or no head"


@pytest.mark.parametrize("shape", [(37, 50, 30), (120, 200, 40)])
def test_the_frame_is_the_box_around_the_head_whatever_lies_around_it(
    tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    values, truth = brain(shape)
    one = labelled(save(tmp_path / "a.nii", values), stand_in(heights=None))
    assert one.input.place.frame == (48, 64)  # 30 x 44 mm and a margin, rounded up to multiples of 16
    assert not one.input.notes
    np.testing.assert_array_equal(one.classes, np.moveaxis(truth, 2, 0))


def test_bits_that_hang_on_to_no_brain_become_background(tmp_path: Path) -> None:
    values, truth = brain((60, 60, 40))
    values[3:7, 28:34, 15:22] = 120  # a bit of scalp, in a head that reaches from here to the brain
    values[7:19, 30, 18] = 60
    values[28:32, 26:30, 35:39] = 120  # and one above the brain
    values[30, 28, 30:35] = 60
    doubt = stand_in(lambda frames: by_grey(frames)._replace(confidence=np.full(4, 0.5)), heights=None)
    one = labelled(save(tmp_path / "a.nii", values), doubt)
    assert np.array_equal(one.confidence, np.where(one.classes.any((1, 2)), 0.5, 1))
    beside = np.moveaxis(truth == 0, 2, 0)
    beside[:, 14:] = False  # where the thread ends, a voxel may stay
    assert not one.classes[beside].any()
    assert one.probabilities is not None
    assert (one.probabilities[beside] == [1, 0, 0, 0]).all()
    assert labelled(tmp_path / "a.nii", stand_in()).classes[beside].any()


def test_more_labels_than_a_head_holds_are_refused(tmp_path: Path) -> None:
    values, _ = brain((37, 50, 30))
    one = labelled(save(tmp_path / "scan.nii", values), stand_in(heights=None))
    full = one._replace(classes=np.full((150, 130, 130), 2, np.uint8), confidence=np.ones(150, np.float32))
    whole: Any = full.input._replace(head=np.ones((150, 130, 130), bool), frames=np.zeros((150, 16, 16, 1), np.uint8))
    with pytest.raises(UserError, match=r"scan\.nii would have 2\.5 l of brain and CSF, more than any head has"):
        file_summary(full._replace(input=whole), EVERY)
    notes = file_summary(full._replace(input=whole), SLAB).notes  # what lies outside the slab is expected to be wrong
    assert any(note.startswith("the network was trained on slices from 0.30 to") for note in notes)


def test_a_file_without_a_brain_and_a_brain_that_is_too_small_get_a_note(tmp_path: Path) -> None:
    part = labelled(save(tmp_path / "scan.nii", brain((37, 50, 30))[0]), stand_in(heights=None))  # 30 mm of a head
    assert notes(part) == ()
    (note,) = notes(part._replace(classes=np.zeros_like(part.classes)))
    assert note == "no brain was found in it, so nothing is labelled"
    tall = labelled(save(tmp_path / "tall.nii", brain((37, 50, 160))[0]), stand_in(heights=None))
    ml = np.count_nonzero(tall.classes) / 1000
    assert notes(tall) == (f"{ml:.0f} ml of brain and CSF were found, less than any adult has: it may be no head",)
