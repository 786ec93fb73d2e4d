from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_jax.metrics import overlap
from oasis_jax.network.loss import slice_losses


def random_case(seed: int, batch: int = 3, size: int = 6) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(seed)
    logits = jnp.asarray(rng.normal(size=(batch, size, size, 4)) * 3, jnp.float32)
    return logits, jnp.asarray(rng.integers(0, 4, (batch, size, size)), jnp.uint8)


def test_loss_is_one_minus_the_originals_mean_soft_dice() -> None:
    logits, label = random_case(0)
    p, t = np.asarray(jax.nn.softmax(logits)), np.eye(4)[np.asarray(label)]
    expected = [
        1 - np.mean([2 * (p[b, ..., k] * t[b, ..., k]).sum() / (p[b, ..., k].sum() + t[b, ..., k].sum() + 1e-6)
                     for k in range(4)])
        for b in range(3)
    ]  # fmt: skip
    losses, _ = slice_losses(logits, label)
    np.testing.assert_allclose(losses, expected, atol=1e-6)


def test_overlap_gives_optax_dice_loss_with_its_smoothing() -> None:
    logits, label = random_case(1)
    sums = overlap.overlap(jax.nn.softmax(logits), label)
    ours = 1 - ((2 * sums.intersection + 2) / (sums.predicted + sums.true + 2)).mean(-1)
    axis: Any = (1, 2)  # optax documents a tuple, but its type has none
    theirs = optax.losses.dice_loss(logits, jax.nn.one_hot(label, 4), smooth=1.0, axis=axis)
    np.testing.assert_allclose(ours, theirs if theirs.ndim == 1 else theirs.mean(-1), atol=1e-6)


def test_cross_entropy_is_added_with_its_weight() -> None:
    logits, label = random_case(2)
    plain, _ = slice_losses(logits, label)
    weighted, _ = slice_losses(logits, label, cross_entropy=0.5)
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, label.astype(jnp.int32)).mean((1, 2))
    np.testing.assert_allclose(weighted, plain + 0.5 * entropy, rtol=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_soft_dice_lies_between_0_and_1_and_does_not_see_pixel_order(seed: int, size: int) -> None:
    logits, label = random_case(seed, batch=1, size=size)
    probability = jax.nn.softmax(logits)
    score = overlap.dice(overlap.overlap(probability, label))
    assert ((score >= 0) & (score <= 1 + 1e-6)).all()
    mixed = overlap.dice(overlap.overlap(probability[:, ::-1, ::-1], label[:, ::-1, ::-1]))
    np.testing.assert_allclose(score, mixed, atol=1e-5)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_absent_class_counts_0_in_the_soft_score_and_is_undefined_in_the_hard_one() -> None:
    label = jnp.zeros((1, 4, 4), jnp.uint8)
    logits = jnp.zeros((1, 4, 4, 4)).at[..., 0].set(50.0)
    losses, sums = slice_losses(logits, label)
    np.testing.assert_allclose(overlap.dice(sums)[0], [1, 0, 0, 0], atol=1e-5)
    np.testing.assert_allclose(losses, [0.75], atol=1e-5)
    hard = overlap.dice(overlap.hard_overlap(np.asarray(overlap.confusion(label, label))), epsilon=0.0)
    assert hard[0, 0] == 1
    assert np.isnan(hard[0, 1:]).all()


def test_gradients_are_finite_even_for_certain_and_wrong_predictions() -> None:
    label = jnp.ones((1, 4, 4), jnp.uint8)
    logits = jnp.zeros((1, 4, 4, 4)).at[..., 0].set(200.0)
    gradient = jax.grad(lambda x: slice_losses(x, label, cross_entropy=1.0)[0].sum())(logits)
    assert jnp.isfinite(gradient).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_confusion_counts_every_pixel_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, 4, (2, 2, 5, 7)).astype(np.uint8)
    table = np.asarray(overlap.confusion(jnp.asarray(prediction), jnp.asarray(truth)))
    expected = np.zeros((2, 4, 4), int)
    for b in range(2):
        np.add.at(expected[b], (truth[b].ravel(), prediction[b].ravel()), 1)
    np.testing.assert_array_equal(table, expected)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_hard_dice_of_known_masks() -> None:
    truth = np.array([[[1, 1, 0, 0]]], np.uint8)
    prediction = np.array([[[0, 1, 1, 0]]], np.uint8)
    sums = overlap.hard_overlap(np.asarray(overlap.confusion(jnp.asarray(prediction), jnp.asarray(truth))))
    np.testing.assert_allclose(overlap.dice(sums, epsilon=0.0)[0, :2], [0.5, 0.5])
