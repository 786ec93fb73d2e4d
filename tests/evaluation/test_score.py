"""The scores of slices, subjects and splits, from counts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from checked import present
from helpers import evaluated, finished_result
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_jax.classes import NAMES
from oasis_jax.data.slices import Slice
from oasis_jax.evaluation.result import Result


def result_of(truth: np.ndarray, prediction: np.ndarray, subjects: Sequence[str]) -> Result:
    """The evaluation of slices; each subject has one case."""
    pairs = [Slice(subject, i, Path(), Path()) for i, subject in enumerate(subjects)]
    slices = list(zip(60 * truth, truth, strict=True))
    return finished_result(evaluated(pairs, {name: name for name in subjects}, slices, list(prediction), None))


def plain_dice(truth: np.ndarray, prediction: np.ndarray, k: int) -> float:
    a, b = truth == k, prediction == k
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_pooled_and_subject_scores_equal_dice_of_all_their_pixels_together(seed: int) -> None:
    truth, prediction = np.random.default_rng(seed).integers(0, 4, (2, 6, 5, 7), np.uint8)
    subjects = np.array(["a", "a", "b", "c", "c", "c"])
    scores = result_of(truth, prediction, subjects.tolist()).metrics.scores
    pooled, by_subject = scores.hard_dice_pooled, scores.hard_dice_per_subject
    for k, name in enumerate(NAMES):
        assert pooled[name] == pytest.approx(plain_dice(truth, prediction, k))
        each = [plain_dice(truth[subjects == p], prediction[subjects == p], k) for p in "abc"]
        assert [by_subject.each[p][name] for p in "abc"] == pytest.approx(each)
        assert by_subject.mean[name] == pytest.approx(np.mean(each))
        assert by_subject.standard_deviation[name] == pytest.approx(np.std(each, ddof=1))
        assert by_subject.worst[name] == pytest.approx(min(each))
    foreground = [np.mean([present(by_subject.each[p][name]) for name in NAMES[1:]]) for p in "abc"]
    assert by_subject.worst["foreground mean"] == pytest.approx(min(foreground))
    assert by_subject.standard_deviation["foreground mean"] == pytest.approx(np.std(foreground, ddof=1))
    assert pooled["foreground mean"] == pytest.approx(np.mean([present(pooled[n]) for n in NAMES[1:]]))
    assert (scores.slices, scores.subjects) == (6, 3)


def test_slices_are_ranked_by_the_foreground_classes_they_have() -> None:
    truth, prediction = np.zeros((2, 3, 2, 4), np.uint8)  # the first slice has only background: NaN
    truth[1, 0] = prediction[1, 0] = 1  # CSF alone, right
    truth[2, 0], prediction[2, 0, :2] = 2, 2  # half of the gray matter missed
    ranking = result_of(truth, prediction, ["a"] * 3).ranking
    assert np.isnan(ranking[0])
    assert ranking[1:].tolist() == pytest.approx([1.0, 2 * 2 / 6])
