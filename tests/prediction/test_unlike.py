"""Files unlike the slices of training get a note that says in what."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers import FRAMING, blob, brain, save, stand_in
from hypothesis import given
from hypothesis import strategies as st

from oasis_jax.data.appearance import MEASURES, Ranges
from oasis_jax.data.slices import write_png
from oasis_jax.geometry import Cut
from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.segment import Segmenter
from oasis_jax.prediction.summary import summarise
from oasis_jax.runs.folder import Run
from oasis_jax.runs.trained import Trained
from oasis_jax.volumes.anatomy import narrows_upward
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.inputs import read_input

ALL: Ranges = dict.fromkeys(MEASURES, (0.0, 255.0))

SPACING = (1.0, 1.0, 0.25)

UPRIGHT = [0.01, 0.22, 0.44, 0.68, 0.9, 1, 0.97, 0.88, 0.68, 0.37, 0.05]
"""Area of the brain at heights 0, 0.1, ..., 1, in the scan of an OASIS-1 subject."""


@pytest.fixture
def labelled(tmp_path: Path) -> Segmentation:
    nib.save(nib.Nifti1Image(brain((37, 50, 120), SPACING)[0], np.diag([*SPACING, 1.0])), tmp_path / "a.nii")
    (one,) = label([read_input(InputFile(tmp_path / "a.nii", "a"), FRAMING)], stand_in(), False)
    return one


def notes(segmentation: Segmentation, **trained: Any) -> tuple[str, ...]:
    return summarise(segmentation, Trained(Cut(), ALL, **trained)).notes


def test_labels_of_less_confidence_than_in_validation_are_doubtful(labelled: Segmentation) -> None:
    doubt = labelled._replace(confidence=np.full(len(labelled.classes), 0.9, np.float32))
    assert notes(doubt) == ()  # the run does not say how confident it was
    assert notes(doubt, confidence=0.91) == ()
    (note,) = notes(doubt, confidence=0.95)
    assert note.startswith("its labels are doubtful: their confidence is 0.900 in the median slice; in validation, ")
    assert note.endswith("nearly always 0.950 or more")
    few = doubt.confidence.copy()
    few[60:] = 1
    assert notes(doubt._replace(confidence=few), confidence=0.95) == ()  # only slices at trained heights count
    summary = summarise(doubt._replace(confidence=few), Trained(Cut(), ALL, 0.95))
    assert [row.unlike_training for row in summary.slices] == [True] * 60 + [False] * 60


def test_labels_given_as_a_scan_have_a_note(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 30))
    image, classes = blob(np.random.default_rng(0))
    others = np.array([0, 24, 2035, 41], np.float32)[truth]  # as FreeSurfer numbers its structures
    for name, array, is_map in (
        ("scan.nii", values, False),
        ("shifted.nii", values + np.int16(7), False),
        ("tissue.nii", truth, True),
        ("many.nii", others, True),
        ("mask.nii", truth > 0, True),
        ("scan.png", image, False),
        ("tissue.png", classes * np.uint8(85), True),
    ):
        path = tmp_path / name
        if path.suffix == ".png":
            write_png(path, array)
        else:
            save(path, array.astype(np.float32))
        (one,) = label([read_input(InputFile(path, "a"), FRAMING)], stand_in(), False)
        said = [note for note in notes(one) if "as in a map of labels: give the scan itself" in note]
        assert bool(said) == is_map, name


def sections(heights: np.ndarray) -> np.ndarray:
    return np.interp(heights, np.linspace(0, 1, 11), UPRIGHT)


@given(st.integers(45, 300), st.floats(1, 1e5), st.floats(-0.5, 0.5))
def test_a_head_narrows_upward_at_any_size_and_spacing(count: int, area: float, offset: float) -> None:
    heights = (np.arange(count) + offset) / (count - 1)
    assert narrows_upward(area * sections(heights), heights)
    assert not narrows_upward(area * sections(1 - heights), heights)
    assert not narrows_upward(np.full(count, area), heights)  # a cylinder


def test_too_few_slices_are_not_judged() -> None:
    assert narrows_upward(np.array([1.0, 1.0]), np.array([0.0, 1.0]))
    assert narrows_upward(np.zeros(50), np.linspace(0, 1, 50))


def test_a_volume_upside_down_gets_a_note(labelled: Segmentation) -> None:
    assert notes(labelled) == ()
    egg = labelled.classes.copy()
    shown = np.flatnonzero(egg.any(axis=(1, 2)))
    egg[:] = 0
    for k in shown:
        egg[k, : int(37 * sections((k - shown[0]) / (shown[-1] - shown[0])))] = 1
    assert notes(labelled._replace(classes=egg)) == ()
    (note,) = notes(labelled._replace(classes=egg[::-1].copy()))
    assert note == "its brain does not narrow upward as in an upright head: it may be upside down, or no head"


def test_the_confidence_is_the_mean_probability_inside_the_labelled_brain(finished: Path) -> None:
    segmenter = Segmenter.load([Run.load(finished)])
    frames = np.random.default_rng(0).integers(0, 255, (segmenter.batch((48, 64)), 48, 64, 1)).astype(np.uint8)
    frames[0] = 0
    classes, probabilities, confidence = (np.asarray(part) for part in segmenter(frames))
    for brain_of, probability, value in zip(classes > 0, probabilities, confidence, strict=True):
        assert value == pytest.approx(probability.max(-1)[brain_of].mean() if brain_of.any() else 1, abs=1e-5)
