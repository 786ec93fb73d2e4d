"""A training step gives the same result under jit, a mesh of devices, shard_map and pmap, with all randomness on."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from oasis_jax.config import Augment, Model
from oasis_jax.network import unet
from oasis_jax.runs.state import TrainState
from oasis_jax.system import sharding
from oasis_jax.training import step
from oasis_jax.training.augment import augment

# No instance norm: it acts within a slice, so drivers cannot change it, and it amplifies rounding too much to compare.
CONFIG = Model(stem=2, levels=3, norm="none", segmentation="3x3", dropout=0.3, crop=None)
CHANGES = Augment(mirror=True, rotate=10.0, scale=0.1, shift=2.0, elastic=1.0, gamma=0.2, bias_field=0.2, strip=0.5)
BATCH, STEPS = 8, 5
SIZE = (32, 48)
SHAPE = (*SIZE, 3)
# Not Adam, which hides a constant factor in the gradient. With momentum 0 the state of SGD is the gradient.
TRANSFORM, RATE = optax.sgd(1.0, momentum=0.0), 0.1


def batches() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        {
            "image": rng.normal(size=(BATCH, *SHAPE)).astype(np.float32),
            "label": rng.integers(0, 4, (BATCH, *SIZE)).astype(np.uint8),
            "index": np.arange(BATCH, dtype=np.int32) + BATCH * i,
            "brain": rng.random((BATCH, *SHAPE)) < 0.8,
            "valid": np.arange(BATCH) < BATCH - 3 * (i == 2),  # the last device of step 2 has one valid slice
        }
        for i in range(STEPS)
    ]


@cache
def start() -> TrainState:
    init, _ = unet.network(CONFIG)
    params = jax.jit(init, static_argnums=1)(jax.random.key(0), SHAPE)
    return jax.device_get(TrainState(jnp.zeros((), jnp.int32), params, TRANSFORM.init(params)))


def run(driver: Any) -> dict[str, Any]:
    """Take the five steps with a driver: metrics of each, the gradient at the first step, parameters after the last.

    Later gradients are not compared one by one: by then parameters differ by rounding, and some derivatives jump where
    that moves a value across the bend of a LeakyReLU.
    """
    states, metrics = [start()], []
    for batch in batches():
        state, numbers = driver(states[-1], batch, jax.random.key(7), RATE)
        states.append(jax.device_get(state))
        metrics.append(jax.device_get(numbers))
    return {"metrics": metrics, "gradient": states[1].opt_state, "params": states[-1].params}


def make(axis_name: str | None = None) -> Any:
    return partial(
        step.train_step,
        apply=unet.network(CONFIG).apply,
        transform=TRANSFORM,
        augment=partial(augment, config=CHANGES, method="zscore", window=(16, 32)),
        cross_entropy=0.5,
        axis_name=axis_name,
    )


def jit_driver() -> Any:
    return sharding.compile_step(make(), sharding.make_mesh(BATCH), 2, donate_argnums=0)


def shard_map_driver() -> Any:
    mesh = sharding.make_mesh(BATCH)
    mapped = jax.shard_map(make(sharding.AXIS), mesh=mesh, in_specs=(P(), P(sharding.AXIS), P(), P()), out_specs=P())
    return jax.jit(mapped)


def pmap_driver() -> Any:
    mapped = jax.pmap(make("data"), "data", in_axes=(None, 0, None, None), out_axes=None)
    parts = partial(jax.tree.map, lambda x: x.reshape(4, 2, *x.shape[1:]))
    return lambda state, batch, *more: mapped(state, parts(batch), *more)


@pytest.fixture(scope="module")
def train_step() -> Any:
    return jax.jit(make())


@pytest.fixture(scope="module")
def reference(train_step: Any) -> dict[str, Any]:
    return run(train_step)


@pytest.mark.parametrize("driver", [jit_driver, shard_map_driver, pmap_driver])
def test_every_driver_takes_the_same_five_sgd_steps(driver: Any, reference: dict[str, Any]) -> None:
    assert jax.device_count() == 4
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), run(driver()), reference)


def test_padding_does_not_change_the_step(train_step: Any) -> None:
    batch = batches()[2]
    other = batch | {"image": np.where(batch["valid"][:, None, None, None], batch["image"], 99).astype(np.float32)}
    steps = (train_step(start(), x, jax.random.key(1), RATE) for x in (batch, other))
    for a, b in zip(*map(jax.tree.leaves, steps), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_slices_randomness_follows_its_index_and_the_step_not_its_place_in_the_batch(train_step: Any) -> None:
    def loss(batch: dict[str, np.ndarray], seed: int = 1, step: int = 0) -> float:
        state = start()._replace(step=np.int32(step))
        return float(train_step(state, batch, jax.random.key(seed), RATE)[1]["loss"])

    batch = batches()[0]
    turned = {name: value[::-1].copy() for name, value in batch.items()}
    np.testing.assert_allclose(loss(batch), loss(turned), atol=1e-6)
    assert abs(loss(batch) - loss(batch, step=1)) > 1e-4
    assert abs(loss(batch) - loss(batch, seed=2)) > 1e-4
