"""The optimizer, its learning rate schedule, and the initial state of training."""

import jax.numpy as jnp
import optax
from jaxtyping import Array

from oasis_jax.config import Optim
from oasis_jax.network.unet import Init
from oasis_jax.runs.state import TrainState

_PAPER_DECAY, _PAPER_EPOCH = 0.985, 100
"""Factor of the learning rate after each epoch, and batches in an epoch (Isensee et al. 2017, section 2.3)."""


def schedule(config: Optim, total_steps: int) -> optax.Schedule:
    """The learning rate of each of so many steps, from 0 on."""
    if config.schedule == "exponential":
        return optax.exponential_decay(config.learning_rate, _PAPER_EPOCH, _PAPER_DECAY, staircase=True)
    if config.schedule == "constant":
        return optax.constant_schedule(config.learning_rate)
    return optax.cosine_onecycle_schedule(total_steps, config.learning_rate)


def optimizer(config: Optim) -> optax.GradientTransformation:
    """Adam, if configured with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101) or an L2 penalty.

    Its learning rate is 1: the training step multiplies the updates by that of `schedule`.
    """
    rate = optax.constant_schedule(1.0)  # a schedule, as its state has been part of checkpoints from the first version
    adam = optax.adamw(rate, weight_decay=config.weight_decay) if config.weight_decay else optax.adam(rate)
    return optax.chain(optax.add_decayed_weights(config.l2), adam) if config.l2 else adam


def initial_state(
    key: Array, shape: tuple[int, int, int], init: Init, transform: optax.GradientTransformation
) -> TrainState:
    """The state at step 0; `init` makes its parameters for an input of `shape`, (rows, columns, channels)."""
    params = init(key, shape)
    return TrainState(jnp.zeros((), jnp.int32), params, transform.init(params))
