from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_jax.config import Augment
from oasis_jax.data.normalise import normalise
from oasis_jax.training import augment as augmentation
from oasis_jax.volumes.frame import quantise

WARPS = Augment(rotate=20.0, scale=0.2, shift=4.0, elastic=2.0)


def augment(key: jax.Array, image: Any, label: Any, config: Augment, **more: Any) -> tuple[jax.Array, jax.Array]:
    usual = {"brain": jnp.repeat(label[..., None] > 0, image.shape[-1], axis=-1), "method": "zscore"}
    return augmentation.augment(key, image, label, config=config, **usual | more)


def discs() -> tuple[jax.Array, jax.Array]:
    y, x = np.indices((32, 48))
    label = np.array([np.hypot(y - 15, x - 20) < r for r in (13, 9, 5)]).sum(0, dtype=np.uint8)
    return jnp.asarray(label[..., None] * 60.0, jnp.float32), jnp.asarray(label)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_labels_move_with_the_image(seed: int) -> None:
    image, label = discs()
    config = replace(WARPS, mirror=True)
    moved, moved_label = jax.jit(augment, static_argnums=3)(jax.random.key(seed), image, label, config)
    # The image is 60 times the label. The image is interpolated linearly, the label is that of the nearest pixel.
    assert np.abs(np.asarray(moved[..., 0]) / 60 - np.asarray(moved_label)).mean() < 0.15
    assert set(np.unique(moved_label)) <= {0, 1, 2, 3}
    assert moved_label.dtype == jnp.uint8


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_gamma_keeps_order_mean_and_deviation(seed: int) -> None:
    image = jax.random.normal(jax.random.key(0), (16, 16, 1))
    curved, label = augment(jax.random.key(seed), image, jnp.zeros((16, 16), jnp.uint8), Augment(gamma=0.5))
    np.testing.assert_allclose((curved.mean(), curved.std()), (image.mean(), image.std()), atol=1e-3)
    np.testing.assert_array_equal(np.argsort(curved.ravel()), np.argsort(image.ravel()))
    assert not label.any()


def test_the_share_that_is_not_warped_stays_as_it_is() -> None:
    image, label = discs()
    sometimes = replace(WARPS, warped=0.3)
    keys = [jax.random.key(seed) for seed in range(40)]
    warped = 0
    for key in keys:
        moved, moved_label = augment(key, image, label, sometimes)
        stays = bool((moved == image).all())
        warped += not stays
        wanted = (image, label) if stays else augment(key, image, label, WARPS)
        np.testing.assert_array_equal(moved, wanted[0])
        np.testing.assert_array_equal(moved_label, wanted[1])
    assert 5 <= warped <= 20
    for nothing in (replace(WARPS, warped=0.0), Augment()):
        np.testing.assert_array_equal(augment(keys[0], image, label, nothing)[0], image)


@pytest.mark.parametrize("axis", [None, 12.0, 20.5])
def test_mirror_reverses_rows_about_its_axis_for_half_of_the_slices(axis: float | None) -> None:
    image, label = discs()
    config = Augment(mirror=True, mirror_axis=axis)
    augmented = [augment(jax.random.key(seed), image, label, config) for seed in range(20)]
    flipped = [pair for pair in augmented if (pair[1] != label).any()]
    assert 3 < len(flipped) < 17
    moved, moved_label = flipped[0]
    for row in range(len(label)):
        source = round(2 * (15.5 if axis is None else axis)) - row
        inside = 0 <= source < len(label)
        np.testing.assert_array_equal(moved_label[row], label[source] if inside else jnp.zeros_like(label[0]))
        np.testing.assert_array_equal(moved[row], image[source] if inside else jnp.full_like(image[0], image.min()))


def test_all_channels_get_the_same_change() -> None:
    image, label = discs()
    stack = jnp.concatenate([image, 2 * image + 5, image], axis=-1)
    everything = replace(WARPS, mirror=True, gamma=0.4, bias_field=0.3, strip=0.5)
    moved, _ = augment(jax.random.key(5), stack, label, everything)
    np.testing.assert_allclose(moved[..., 0], moved[..., 2], atol=1e-5)
    moved, _ = augment(jax.random.key(5), stack, label, WARPS)
    np.testing.assert_allclose(moved[..., 1], 2 * moved[..., 0] + 5, atol=1e-3)


def test_warps_inside_the_window_are_those_of_the_whole_frame() -> None:
    image, label = discs()
    whole, whole_label = augment(jax.random.key(1), image, label, WARPS)
    part, part_label = augment(jax.random.key(1), image, label, WARPS, window=(16, 32))
    inside = (slice(8, 24), slice(8, 40))
    np.testing.assert_array_equal(part_label[inside], whole_label[inside])
    np.testing.assert_allclose(part[inside], whole[inside], atol=1e-3)
    np.testing.assert_array_equal(part[:8], image[:8])
    np.testing.assert_array_equal(part[:, 40:], image[:, 40:])


def test_bias_field_is_smooth_positive_and_keeps_mean_and_deviation() -> None:
    image = jax.random.uniform(jax.random.key(0), (32, 48, 1)) + 1
    image = image.at[0, 0].set(0.0)  # air
    changed, _ = augment(jax.random.key(1), image, jnp.zeros((32, 48), jnp.uint8), Augment(bias_field=0.4))
    np.testing.assert_allclose(changed.mean(), image.mean(), atol=1e-4)
    np.testing.assert_allclose(changed.std(), image.std(), rtol=1e-3)
    field = np.asarray((changed - changed[0, 0]) / image)[1:, 1:, 0]
    assert field.min() > 0
    assert field.max() / field.min() > 1.2
    assert max(np.abs(np.diff(np.log(field), axis=axis)).max() for axis in (0, 1)) < 0.2


@pytest.mark.parametrize("method", ["scale", "zscore"])
def test_a_stripped_slice_equals_the_slice_of_a_stripped_head(method: Any) -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 200, (32, 48, 3)).astype(np.uint8)
    grey[0] = 0  # air
    grey[5, 5] = 255  # the brightest pixel is scalp
    brain = np.zeros(grey.shape, bool)
    brain[10:20, 10:30] = True
    bare = np.stack([quantise(np.where(brain, grey, 0)[..., c]) for c in range(3)], axis=-1)
    image, label = jnp.asarray(normalise(grey, method)), jnp.asarray(brain[..., 1].astype(np.uint8))
    strip = partial(augment, jax.random.key(0), image, label, Augment(strip=1.0), method=method)
    changed, same_label = strip(brain=jnp.asarray(brain))
    one_grey_level = 1 / 255 if method == "scale" else 1 / bare.std()
    np.testing.assert_allclose(changed, normalise(bare, method), atol=1.1 * one_grey_level)
    np.testing.assert_array_equal(same_label, label)
    nothing, _ = strip(brain=jnp.zeros(brain.shape, bool))
    assert not nothing.any()


BENDS = [Augment(rotate=30.0), Augment(scale=0.3), Augment(shift=6.0), Augment(elastic=3.0)]


@pytest.mark.parametrize("config", [*BENDS, Augment(gamma=0.5), Augment(bias_field=0.5)])
def test_every_option_does_something_of_its_size(config: Augment) -> None:
    image, label = discs()
    changed = [float(jnp.abs(augment(jax.random.key(s), image, label, config)[0] - image).max()) for s in range(4)]
    assert max(changed) > 5
