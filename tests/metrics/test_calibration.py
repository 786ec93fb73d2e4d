import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oasis_jax.metrics import calibration
from oasis_jax.metrics.calibration import BinCounts


def batch(seed: int = 0, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels that agree better than by chance."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 4, (count, 9, 12), np.uint8)
    logits = rng.normal(size=(count, 9, 12, 4)) * 2 + 2 * np.eye(4)[label]
    return np.asarray(jax.nn.softmax(jnp.asarray(logits, jnp.float32))), label


def counted(probability: np.ndarray, label: np.ndarray) -> BinCounts:
    return jax.tree.map(np.asarray, jax.jit(calibration.bin_counts)(jnp.asarray(probability), jnp.asarray(label)))


def test_counts_are_those_of_a_plain_loop() -> None:
    probability, label = batch()
    counts = counted(probability, label)
    for i in range(len(label)):
        pixels, confidence, correct = np.zeros((3, 15))
        for p, truth in zip(probability[i].reshape(-1, 4), label[i].ravel(), strict=True):
            if truth == 0 and p.argmax() == 0:
                continue
            chosen = next(m for m in range(15) if p.max() <= (m + 1) / 15 or m == 14)
            pixels[chosen] += 1
            confidence[chosen] += p.max()
            correct[chosen] += p.argmax() == truth
        assert counts.pixels[i].tolist() == pixels.tolist()
        assert counts.correct[i].tolist() == correct.tolist()
        assert counts.confidence[i] == pytest.approx(confidence, rel=1e-6)
    assert (counts.pixels[:, 4:].sum(0) > 0).all()


def test_background_in_truth_and_prediction_does_not_count() -> None:
    probability, label = batch()
    sure = np.zeros((3, 9, 40, 4), np.float32)
    sure[..., 0] = 1
    wide = np.concatenate([probability, sure], axis=2), np.pad(label, ((0, 0), (0, 0), (0, 40)))
    for small, large in zip(counted(probability, label), counted(*wide), strict=True):
        assert large == pytest.approx(small)


@pytest.mark.parametrize(("winner", "truth"), [(0, 2), (2, 0), (2, 2)])
def test_brain_in_truth_or_prediction_counts(winner: int, truth: int) -> None:
    probability = np.full((1, 1, 1, 4), 0.125, np.float32)
    probability[..., winner] = 0.625
    counts = counted(probability, np.full((1, 1, 1), truth, np.uint8))
    assert counts.pixels.sum() == 1
    assert counts.correct.sum() == (winner == truth)
    assert counts.confidence.tolist() == [[0.0] * 9 + [0.625] + [0.0] * 5]  # 0.625 of 15 is 9.375


def test_certainty_is_in_the_last_bin() -> None:
    probability = np.zeros((1, 2, 2, 4), np.float32)
    probability[..., 1] = 1
    assert counted(probability, np.ones((1, 2, 2), np.uint8)).pixels[0].tolist() == [0] * 14 + [4]


def test_sums_of_a_whole_slice_keep_their_digits() -> None:
    rng = np.random.default_rng(0)
    probability = np.zeros((1, 256, 256, 4), np.float32)
    probability[..., 1] = rng.uniform(0.94, 1, (1, 256, 256))
    probability[..., 0] = 1 - probability[..., 1]
    counts = counted(probability, np.ones((1, 256, 256), np.uint8))
    exact = probability[..., 1].sum(dtype=np.float64)
    assert counts.confidence.sum(dtype=np.float64) == pytest.approx(exact, rel=1e-6)


def hand_made() -> BinCounts:
    """10 pixels with confidence 80 %, 6 of them correct, and 30 with 50 %, 15 of them correct."""
    pixels, confidence, correct = np.zeros((3, 15))
    pixels[[11, 7]], confidence[[11, 7]], correct[[11, 7]] = (10, 30), (8, 15), (6, 15)
    return BinCounts(pixels, confidence, correct)


def test_error_and_curve_of_a_worked_example() -> None:
    assert calibration.expected_calibration_error(hand_made()) == pytest.approx(10 / 40 * abs(0.6 - 0.8))
    curve = calibration.curve(hand_made())
    assert (curve.confidence[11], curve.accuracy[11]) == pytest.approx((0.8, 0.6))
    assert (curve.confidence[7], curve.accuracy[7]) == pytest.approx((0.5, 0.5))
    assert np.isnan(curve.accuracy).sum() == 13


def test_over_and_under_confidence_of_two_bins_do_not_cancel() -> None:
    counts = hand_made()
    counts.correct[7] = 17
    assert calibration.expected_calibration_error(counts) == pytest.approx((2 + 2) / 40)


def test_without_a_pixel_there_is_no_error() -> None:
    empty = BinCounts(*np.zeros((3, 2, 15)))
    assert np.isnan(calibration.expected_calibration_error(empty)).tolist() == [True, True]


def test_scikit_learn_draws_the_same_curve() -> None:
    sklearn = pytest.importorskip("sklearn.calibration")
    probability, label = batch(count=1)
    inside = (label > 0) | (probability.argmax(-1) > 0)
    right = (probability.argmax(-1) == label)[inside]
    accuracy, confidence = sklearn.calibration_curve(right, probability.max(-1)[inside], n_bins=15)
    curve = calibration.curve(counted(probability, label))
    used = ~np.isnan(curve.accuracy)
    assert curve.accuracy[used] == pytest.approx(accuracy)
    assert curve.confidence[used] == pytest.approx(confidence)


def test_the_mean_confidence_is_that_of_the_pixels_inside_the_brain() -> None:
    probability, label = (array.copy() for array in batch())
    label[2], probability[2] = 0, [1, 0, 0, 0]
    confidence = calibration.mean_confidence(counted(probability, label))
    inside = (label > 0) | (probability.argmax(-1) > 0)
    expected = [p.max(-1)[pixels].mean() for p, pixels in zip(probability[:2], inside[:2], strict=True)]
    assert confidence[:2] == pytest.approx(expected, rel=1e-6)
    assert np.isnan(confidence[2])
