import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_jax.classes import COUNT
from oasis_jax.metrics import aggregate, overlap
from oasis_jax.network.loss import slice_losses


def random_case(seed: int, batch: int = 3, size: int = 6) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(seed)
    logits = jnp.asarray(rng.normal(size=(batch, size, size, 4)) * 3, jnp.float32)
    return logits, jnp.asarray(rng.integers(0, 4, (batch, size, size)), jnp.uint8)


def test_loss_is_one_minus_the_originals_mean_soft_dice_plus_weighted_cross_entropy() -> None:
    logits, label = random_case(0)
    p, t = np.asarray(jax.nn.softmax(logits)), np.eye(4)[np.asarray(label)]
    both, each = (2 * p * t).sum((1, 2)), (p + t).sum((1, 2))
    plain, _ = slice_losses(logits, label)
    np.testing.assert_allclose(plain, 1 - (both / (each + 1e-6)).mean(-1), atol=1e-6)
    weighted, _ = slice_losses(logits, label, cross_entropy=0.5)
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, label.astype(jnp.int32)).mean((1, 2))
    np.testing.assert_allclose(weighted, plain + 0.5 * entropy, rtol=1e-5)


def test_an_absent_class_counts_0_in_the_soft_score() -> None:
    label = jnp.zeros((1, 4, 4), jnp.uint8)
    logits = jnp.zeros((1, 4, 4, 4)).at[..., 0].set(50.0)
    losses, sums = slice_losses(logits, label)
    np.testing.assert_allclose(overlap.dice(sums)[0], [1, 0, 0, 0], atol=1e-5)
    np.testing.assert_allclose(losses, [0.75], atol=1e-5)


def test_gradients_are_finite_even_for_certain_and_wrong_predictions() -> None:
    label = jnp.ones((1, 4, 4), jnp.uint8)
    logits = jnp.zeros((1, 4, 4, 4)).at[..., 0].set(200.0)
    gradient = jax.grad(lambda x: slice_losses(x, label, cross_entropy=1.0)[0].sum())(logits)
    assert jnp.isfinite(gradient).all()


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


def test_sums_of_narrow_numbers_do_not_overflow() -> None:
    many = np.full((2**10, 1), 2**24 + 1, np.int32)
    assert aggregate.sums(many, ["a"] * len(many))[1].item() == 2**10 * (2**24 + 1)
    odd = np.array([[2**24], [1.0]], np.float32)  # a float32 cannot hold their sum
    assert aggregate.sums(odd, ["a", "a"])[1].item() == 2**24 + 1
