"""The optimizer, its schedule, and the state they start from."""

import jax.numpy as jnp
import optax
from jaxtyping import Array

from oasis_jax.config import Optim
from oasis_jax.network.unet import Init
from oasis_jax.runs.state import TrainState


def schedule(config: Optim, total_steps: int) -> optax.Schedule:
    """Learning rate of each step."""
    if config.schedule == "constant":
        return optax.constant_schedule(config.learning_rate)
    return optax.cosine_onecycle_schedule(total_steps, config.learning_rate)


def optimizer(config: Optim, total_steps: int) -> optax.GradientTransformation:
    """Adam, with decoupled weight decay where asked for (Loshchilov and Hutter, arXiv:1711.05101)."""
    rate = schedule(config, total_steps)
    return optax.adamw(rate, weight_decay=config.weight_decay) if config.weight_decay else optax.adam(rate)


def initial_state(key: Array, size: tuple[int, int], init: Init, transform: optax.GradientTransformation) -> TrainState:
    """Step 0. `size` is (rows, columns) of a slice."""
    params = init(key, size)
    return TrainState(jnp.zeros((), jnp.int32), params, transform.init(params))
