import jax.numpy as jnp
import numpy as np
import pytest
from checked import present
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_jax.classes import CLASSES, COUNT, NAMES
from oasis_jax.evaluation import summary, tissue
from oasis_jax.evaluation.record import Counts
from oasis_jax.evaluation.score import SliceTable, slice_ranking
from oasis_jax.evaluation.scores import Scores
from oasis_jax.metrics import aggregate, baselines, overlap
from oasis_jax.metrics.calibration import BinCounts


def table(confusion: np.ndarray) -> SliceTable:
    """A table whose soft sums equal the hard sums."""
    sums = overlap.Overlap(*(part.astype(np.float32) for part in overlap.hard_overlap(confusion)))
    bins = BinCounts(*np.ones((3, len(confusion), 15)))
    return SliceTable(np.ones(len(confusion), np.float32), confusion.astype(np.int64), sums, bins)


def masks(seed: int, count: int = 6, classes: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, classes, (2, count, 5, 7))
    confusion = np.zeros((count, 4, 4), np.int64)
    for i in range(count):
        np.add.at(confusion[i], (truth[i].ravel(), prediction[i].ravel()), 1)
    return truth, prediction, confusion


def scores_of(confusion: np.ndarray, subjects: list[str]) -> Scores:
    """The scores of these counts, with the subject of each slice; the baselines have the same counts."""
    names, counts = aggregate.sums(confusion.astype(np.int64), subjects)
    subject_counts = Counts(
        subjects=tuple(names),
        spacing={},
        confusion=counts,
        surfaces=None,
        baselines=dict.fromkeys(baselines.METHODS, counts),
    )
    scans = tissue.measure(confusion, subjects, {name: name for name in names}, dict.fromkeys(names, 1.0))
    return summary.score(
        table(confusion), subjects, subject_counts, None, tissue.summarise(scans, "pixels", whole=False)
    )


def plain_dice(truth: np.ndarray, prediction: np.ndarray, k: int) -> float:
    a, b = truth == k, prediction == k
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_pooled_and_subject_scores_equal_dice_of_all_their_pixels_together(seed: int) -> None:
    truth, prediction, confusion = masks(seed)
    subjects = np.array(["a", "a", "b", "c", "c", "c"])
    scores = scores_of(confusion, subjects.tolist())
    by_subject = scores.hard_dice_per_subject
    for k, name in enumerate(NAMES):
        assert scores.hard_dice_pooled[name] == pytest.approx(plain_dice(truth, prediction, k))
        each = [plain_dice(truth[subjects == p], prediction[subjects == p], k) for p in "abc"]
        assert [by_subject.each[p][name] for p in "abc"] == pytest.approx(each)
        assert by_subject.mean[name] == pytest.approx(np.mean(each))
        assert by_subject.standard_deviation[name] == pytest.approx(np.std(each, ddof=1))
        assert by_subject.worst[name] == pytest.approx(min(each))
    foreground = [np.mean([present(by_subject.each[p][name]) for name in NAMES[1:]]) for p in "abc"]
    assert by_subject.worst["foreground mean"] == pytest.approx(min(foreground))
    assert by_subject.standard_deviation["foreground mean"] == pytest.approx(np.std(foreground, ddof=1))
    pooled = scores.hard_dice_pooled
    assert pooled["foreground mean"] == pytest.approx(np.mean([present(pooled[n]) for n in NAMES[1:]]))
    assert (scores.slices, scores.subjects) == (6, 3)


def test_a_class_absent_everywhere_is_left_out_of_hard_scores_and_counted() -> None:
    _, _, confusion = masks(0, classes=3)
    scores = scores_of(confusion, ["a", "a", "b", "b", "c", "c"])
    assert scores.hard_dice_pooled["white matter"] is None
    assert scores.hard_dice_pooled["foreground mean"] is None
    assert scores.hard_dice_per_subject.mean["white matter"] is None
    assert scores.hard_dice_per_subject.subjects_left_out == dict(zip(NAMES, (0, 0, 0, 3), strict=True))
    assert scores.slices_without_class["white matter"] == 6
    assert scores.soft_dice_per_slice["white matter"] == 0


def test_a_predicted_class_that_is_absent_from_the_truth_scores_0_and_is_not_left_out() -> None:
    confusion = np.zeros((1, 4, 4), np.int64)
    confusion[0, 0] = [30, 0, 0, 5]
    scores = scores_of(confusion, ["a"])
    assert scores.hard_dice_pooled["white matter"] == 0
    assert scores.hard_dice_per_subject.subjects_left_out["white matter"] == 0


def test_one_subject_has_no_standard_deviation() -> None:
    scores = scores_of(masks(1)[2], ["a"] * 6)
    assert scores.hard_dice_per_subject.standard_deviation == dict.fromkeys(CLASSES)


def test_slices_are_ranked_by_the_foreground_classes_they_have() -> None:
    confusion = np.zeros((3, 4, 4), np.int64)
    confusion[0, 0, 0] = 10  # only background: NaN
    confusion[1, 1] = [0, 4, 0, 0]  # CSF alone, right
    confusion[2, 2] = [2, 0, 2, 0]  # half of the gray matter missed
    ranking = slice_ranking(table(confusion))
    assert np.isnan(ranking[0])
    assert ranking[1:].tolist() == pytest.approx([1.0, 2 * 2 / 6])


def test_counts_do_not_overflow_on_a_large_split() -> None:
    confusion = np.zeros((3, 4, 4), np.int64)
    confusion[:, 1, 1] = 2**40
    assert scores_of(confusion, ["a", "b", "c"]).hard_dice_pooled["CSF"] == 1


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=30)
def test_overlap_scores_are_those_of_scikit_learn(seed: int, true_classes: int, predicted_classes: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, true_classes, (2, 5, 7), np.uint8)
    prediction = rng.integers(0, predicted_classes, (2, 5, 7), np.uint8)
    every = list(range(COUNT))
    flat = zip(truth.reshape(2, -1), prediction.reshape(2, -1), strict=True)
    table = np.stack([metrics.confusion_matrix(*pair, labels=every) for pair in flat])
    assert np.array_equal(overlap.confusion(jnp.asarray(prediction), jnp.asarray(truth)), table)
    common = {"labels": every, "average": None, "zero_division": np.nan}
    for ours, theirs in [
        (overlap.hard_dice, metrics.f1_score),
        (overlap.precision, metrics.precision_score),
        (overlap.recall, metrics.recall_score),
    ]:
        expected = theirs(truth.ravel(), prediction.ravel(), **common)
        assert ours(table.sum(0)) == pytest.approx(expected, nan_ok=True)
    # Its jaccard_score cannot return NaN. For a class that truth and prediction lack it returns zero_division.
    low, high = (
        metrics.jaccard_score(truth.ravel(), prediction.ravel(), **common | {"zero_division": z}) for z in (0, 1)
    )
    assert overlap.jaccard(table.sum(0)) == pytest.approx(np.where(low == high, low, np.nan), nan_ok=True)


def test_each_overlap_score_is_undefined_where_it_would_divide_by_zero() -> None:
    confusion = np.zeros((4, 4), np.int64)
    confusion[0] = [5, 0, 3, 0]  # CSF is missed, gray matter is only predicted, white matter is absent
    confusion[1] = [2, 0, 0, 0]
    expected = {
        overlap.hard_dice: [10 / 15, 0, 0, np.nan],
        overlap.jaccard: [5 / 10, 0, 0, np.nan],
        overlap.precision: [5 / 7, np.nan, 0, np.nan],
        overlap.recall: [5 / 8, 0, np.nan, np.nan],
    }
    for score, values in expected.items():
        assert score(confusion) == pytest.approx(values, nan_ok=True)
        assert score(np.stack([confusion] * 2))[1] == pytest.approx(values, nan_ok=True)
