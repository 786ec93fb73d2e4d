import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_jax.config import Augment
from oasis_jax.training.augment import augment

ALL = Augment(mirror=True, rotate=20.0, scale=0.2, shift=4.0, elastic=2.0, gamma=0.4)


def discs() -> tuple[jax.Array, jax.Array]:
    y, x = np.indices((32, 48))
    label = sum((np.hypot(y - 15, x - 20) < r).astype(np.uint8) for r in (13, 9, 5))
    return jnp.asarray(label[..., None] * 60.0, jnp.float32), jnp.asarray(label)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_labels_move_with_the_image(seed: int) -> None:
    image, label = discs()
    geometry = Augment(mirror=True, rotate=20.0, scale=0.2, shift=4.0, elastic=2.0)
    moved, moved_label = jax.jit(augment, static_argnums=3)(jax.random.key(seed), image, label, geometry)
    # The image is 60 times the label, read linearly where the label is read at the nearest pixel.
    assert np.abs(np.asarray(moved[..., 0]) / 60 - np.asarray(moved_label)).mean() < 0.15
    assert set(np.unique(moved_label)) <= {0, 1, 2, 3}
    assert moved_label.dtype == jnp.uint8


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_gamma_keeps_order_mean_and_deviation(seed: int) -> None:
    image = jax.random.normal(jax.random.key(0), (16, 16, 1))
    curved, label = augment(jax.random.key(seed), image, jnp.zeros((16, 16), jnp.uint8), Augment(gamma=0.5))
    np.testing.assert_allclose(curved.mean(), image.mean(), atol=1e-4)
    np.testing.assert_allclose(curved.std(), image.std(), rtol=1e-3)
    np.testing.assert_array_equal(np.argsort(curved.ravel()), np.argsort(image.ravel()))
    assert not label.any()


def test_mirror_swaps_left_and_right_which_are_rows() -> None:
    image, label = discs()
    both = [augment(jax.random.key(seed), image, label, Augment(mirror=True)) for seed in range(20)]
    flipped = [bool((out[1] != label).any()) for out in both]
    assert 3 < sum(flipped) < 17
    for (moved, moved_label), flip in zip(both, flipped, strict=True):
        np.testing.assert_array_equal(moved_label, label[::-1] if flip else label)
        np.testing.assert_array_equal(moved, image[::-1] if flip else image)


def test_same_key_same_change_and_nothing_switched_on_changes_nothing() -> None:
    image, label = discs()
    first, again = (augment(jax.random.key(3), image, label, ALL) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    unchanged = augment(jax.random.key(3), image, label, Augment())
    np.testing.assert_array_equal(unchanged[0], image)
    np.testing.assert_array_equal(unchanged[1], label)


@pytest.mark.parametrize("option", ["rotate", "scale", "shift", "elastic", "gamma"])
def test_every_option_does_something_of_its_size(option: str) -> None:
    image, label = discs()
    config = Augment(**{option: {"rotate": 30.0, "scale": 0.3, "shift": 6.0, "elastic": 3.0, "gamma": 0.5}[option]})
    changed = [float(jnp.abs(augment(jax.random.key(s), image, label, config)[0] - image).max()) for s in range(4)]
    assert max(changed) > 5
