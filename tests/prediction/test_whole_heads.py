"""A network of every height: it sees the box around a head, its labels are one brain, all of it is counted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import brain, save, stand_in

from oasis_jax import pretrained
from oasis_jax.data.appearance import MEASURES
from oasis_jax.geometry import Cut
from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.segment import Segmenter
from oasis_jax.prediction.summary import screen_line, summarise
from oasis_jax.runs.folder import Run
from oasis_jax.runs.trained import Trained
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.inputs import read_input

EVERY = Trained(Cut(heights=None), dict.fromkeys(MEASURES, (0.0, 255.0)))


def of_every_height() -> Segmenter:
    """The stand-in for a network, as if it was trained on every height."""
    segmenter = stand_in()
    (run,) = segmenter.ensemble.runs
    run = run._replace(provenance=run.provenance | {"slice_cut": {"axis": "axial", "heights": None}})
    return replace(segmenter, ensemble=replace(segmenter.ensemble, runs=(run,)))


def labelled(path: Path, segmenter: Segmenter) -> Segmentation:
    (one,) = label([read_input(InputFile(path, "a"), segmenter.framing)], segmenter, True)
    return one


@pytest.mark.parametrize("shape", [(37, 50, 30), (120, 200, 40)])
def test_the_frame_is_the_box_around_the_head_whatever_lies_around_it(
    tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    values, truth = brain(shape)
    one = labelled(save(tmp_path / "a.nii", values), of_every_height())
    assert one.input.place.frame == (48, 64)  # 30 x 44 mm and a margin, rounded up to multiples of 16
    assert not one.input.notes
    np.testing.assert_array_equal(one.classes, np.moveaxis(truth, 2, 0))


def test_bits_that_hang_on_to_no_brain_become_background(tmp_path: Path) -> None:
    values, truth = brain((60, 60, 40))
    values[3:7, 28:34, 15:22] = 120  # a bit of scalp, in a head that reaches from here to the brain
    values[7:19, 30, 18] = 60
    one = labelled(save(tmp_path / "a.nii", values), of_every_height())
    beside = np.moveaxis(truth == 0, 2, 0)
    beside[:, 14:] = False  # where the thread ends, a voxel may stay
    assert not one.classes[beside].any()
    assert one.probabilities is not None
    assert (one.probabilities[beside] == [1, 0, 0, 0]).all()
    assert (stand_in_classes := labelled(tmp_path / "a.nii", stand_in()).classes)[beside].any(), stand_in_classes.shape


def test_all_slices_count_and_none_lies_at_an_untrained_height(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 30))
    summary = summarise(labelled(save(tmp_path / "a.nii", values), of_every_height()), EVERY)
    assert summary.millilitres is not None
    np.testing.assert_allclose(summary.millilitres, np.bincount(truth.ravel(), minlength=4)[1:] / 1000)
    assert summary.whole
    assert summary.outside == 0
    assert {row.in_trained_heights for row in summary.slices} == {None}
    assert "heights" not in screen_line(summary)


def test_more_labels_than_a_head_holds_are_refused(tmp_path: Path) -> None:
    values, _ = brain((37, 50, 30))
    one = labelled(save(tmp_path / "scan.nii", values), of_every_height())
    full = one._replace(classes=np.full((150, 130, 130), 2, np.uint8), confidence=np.ones(150, np.float32))
    whole: Any = full.input._replace(head=np.ones((150, 130, 130), bool), frames=np.zeros((150, 16, 16, 1), np.uint8))
    with pytest.raises(UserError, match=r"scan\.nii would have 2\.5 l of brain and CSF, more than any head has"):
        summarise(full._replace(input=whole), EVERY)


def test_the_network_looks_at_the_whole_box_and_not_at_a_window_in_it() -> None:
    segmenter = Segmenter.load([Run.load(pretrained.FOLDER)], batch=4)
    frames = np.random.default_rng(0).integers(0, 255, (4, 224, 240, 3)).astype(np.uint8)
    answer = np.asarray(segmenter(frames).probabilities)
    assert (answer[:, [0, -1], :, 0].min(2) < 1).all()  # outside a window, background is certain
    assert (answer[:, :, [0, -1], 0].min(1) < 1).all()


def test_a_file_without_a_brain_and_a_brain_that_is_too_small_get_a_note(tmp_path: Path) -> None:
    values, _ = brain((37, 50, 30))
    one = labelled(save(tmp_path / "scan.nii", values), of_every_height())
    nothing = one._replace(classes=np.zeros_like(one.classes))
    assert "no brain was found in it, so nothing is labelled" in summarise(nothing, EVERY).notes
    assert not any("adult" in note for note in summarise(one, EVERY).notes)  # a part of a head, 30 mm of it
    tall = labelled(save(tmp_path / "tall.nii", brain((37, 50, 160))[0]), of_every_height())
    (note,) = (note for note in summarise(tall, EVERY).notes if "adult" in note)
    assert note.startswith(
        f"{np.count_nonzero(tall.classes) / 1000:.0f} ml of brain and CSF were found in it, less than"
    )
    slab = Trained(Cut(), dict.fromkeys(MEASURES, (0.0, 255.0)))
    assert not any("adult" in note for note in summarise(tall, slab).notes)  # only some heights count there
