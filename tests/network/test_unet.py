from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oasis_jax.config import Model
from oasis_jax.network import unet
from oasis_jax.network.unet import Params
from oasis_jax.system.errors import UserError

ORIGINAL = Model(stem=16, norm="none", pre_activation=False, segmentation="3x3", dropout=0.3, crop=None)
SMALL = replace(ORIGINAL, stem=2, levels=3)


def compiled(config: Model) -> tuple[unet.Init, unet.Apply]:
    init, apply = unet.network(config)
    return jax.jit(init, static_argnums=1), jax.jit(apply)


def test_the_originals_network_has_the_documented_number_of_parameters() -> None:
    assert unet.count_parameters(unet.network(ORIGINAL).abstract((256, 256, 1))) == 2_779_472


@pytest.mark.parametrize(
    "config",
    [
        replace(SMALL, levels=5, segmentation="1x1"),
        replace(SMALL, norm="instance", pre_activation=True, crop=(16, 32)),
        replace(SMALL, norm="instance", dtype="bfloat16"),
    ],
)
def test_every_option_gives_float32_logits_and_gradients_to_all_parameters(config: Model) -> None:
    init, apply = compiled(config)
    image = jax.random.normal(jax.random.key(1), (2, 32, 48, 1))
    params = init(jax.random.key(0), (32, 48, 1))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    weights = jax.random.normal(jax.random.key(2), (2, 32, 48, 4))

    def weighted_sum(params: Params) -> tuple[jax.Array, jax.Array]:
        logits = apply(params, image)
        return (logits * weights).sum(), logits

    gradients, logits = jax.jit(jax.grad(weighted_sum, has_aux=True))(params)
    assert logits.shape == weights.shape
    assert logits.dtype == jnp.float32
    # Biases right before an instance norm cancel out; every kernel must matter.
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        name = jax.tree_util.keystr(path)
        if "kernel" in name:
            assert jnp.abs(leaf).max() > 0, name


def test_dropout_is_on_exactly_when_keys_are_given_and_follows_each_slices_key() -> None:
    init, apply = compiled(SMALL)
    image = jax.random.normal(jax.random.key(1), (2, 32, 32, 1))
    params = init(jax.random.key(0), (32, 32, 1))
    keys = jax.random.split(jax.random.key(3), 2)
    np.testing.assert_array_equal(apply(params, image), apply(params, image))
    dropped = apply(params, image, keys)
    assert not np.allclose(dropped, apply(params, image))
    alone = apply(params, image[1:], keys[1:])
    np.testing.assert_allclose(dropped[1:], alone, atol=1e-6)


def test_crop_sees_the_centre_and_answers_background_around_it() -> None:
    init, apply = compiled(replace(SMALL, crop=(16, 32)))
    _, whole = compiled(SMALL)
    image = jax.random.normal(jax.random.key(1), (1, 32, 48, 1))
    params = init(jax.random.key(0), (32, 48, 1))
    logits = apply(params, image)
    np.testing.assert_allclose(logits[:, 8:24, 8:40], whole(params, image[:, 8:24, 8:40]), atol=1e-5)
    probability = np.array(jax.nn.softmax(logits))
    probability[:, 8:24, 8:40, 0] = 1
    assert probability[..., 0].min() > 1 - 1e-6


def test_a_crop_that_does_not_fit_or_cuts_labels_off_is_refused() -> None:
    config = replace(SMALL, crop=(16, 32))
    unet.check_frame(config, (32, 48), (8, 23, 8, 39))
    with pytest.raises(UserError, match="larger than the slices, 16x16"):
        unet.check_frame(config, (16, 16))
    with pytest.raises(UserError, match="cuts off labels, which reach rows 7 to 23"):
        unet.check_frame(config, (32, 48), (7, 23, 8, 39))
    with pytest.raises(UserError, match="cuts off labels"):
        unet.check_frame(config, (32, 48), (8, 23, 8, 40))
