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
    return np.array(jax.nn.softmax(jnp.asarray(logits, jnp.float32))), label


def counted(probability: np.ndarray, label: np.ndarray) -> BinCounts:
    return jax.tree.map(np.asarray, jax.jit(calibration.bin_counts)(jnp.asarray(probability), jnp.asarray(label)))


def test_counts_are_those_of_a_plain_loop() -> None:
    probability, label = batch()
    probability[0, 0, 0] = [0, 1, 0, 0]  # certainty is in the last bin
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


def test_sums_of_a_whole_slice_keep_their_digits() -> None:
    rng = np.random.default_rng(0)
    probability = np.zeros((1, 256, 256, 4), np.float32)
    probability[..., 1] = rng.uniform(0.94, 1, (1, 256, 256))
    probability[..., 0] = 1 - probability[..., 1]
    counts = counted(probability, np.ones((1, 256, 256), np.uint8))
    exact = probability[..., 1].sum(dtype=np.float64)
    assert counts.confidence.sum(dtype=np.float64) == pytest.approx(exact, rel=1e-6)


def test_the_error_of_a_worked_example() -> None:
    """10 pixels with confidence 80 %, 6 of them correct, and 30 with 50 %, 15 of them correct."""
    pixels, confidence, correct = np.zeros((3, 15))
    pixels[[11, 7]], confidence[[11, 7]], correct[[11, 7]] = (10, 30), (8, 15), (6, 15)
    counts = BinCounts(pixels, confidence, correct)
    assert calibration.expected_calibration_error(counts) == pytest.approx(10 / 40 * abs(0.6 - 0.8))
    counts.correct[7] = 17  # over- and under-confidence of two bins do not cancel
    assert calibration.expected_calibration_error(counts) == pytest.approx((2 + 2) / 40)
    assert np.isnan(calibration.expected_calibration_error(BinCounts(*np.zeros((3, 2, 15))))).tolist() == [True, True]


def test_the_mean_confidence_is_that_of_the_pixels_inside_the_brain() -> None:
    probability, label = batch()
    label[2], probability[2] = 0, [1, 0, 0, 0]
    confidence = calibration.mean_confidence(counted(probability, label))
    inside = (label > 0) | (probability.argmax(-1) > 0)
    expected = [p.max(-1)[pixels].mean() for p, pixels in zip(probability[:2], inside[:2], strict=True)]
    assert confidence[:2] == pytest.approx(expected, rel=1e-6)
    assert np.isnan(confidence[2])
