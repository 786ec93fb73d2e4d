"""A training step: a pure function of pytrees that gives the same result under jit, shard_map and pmap.

`data.batches` says what a batch is.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from oasis_jax.data.batches import Batch
from oasis_jax.network.loss import slice_losses
from oasis_jax.network.unet import Apply, Params
from oasis_jax.runs.state import TrainState

Augmentation = Callable[[Array, Array, Array, Array | None], tuple[Array, Array]]
"""From key, image, label and brain of one slice to image and label: `augment.augment` with its settings."""


def train_step(
    state: TrainState,
    batch: Batch,
    key: Key[Array, ""],
    rate: Float[Array, ""] | float,
    *,
    apply: Apply,
    transform: optax.GradientTransformation,
    augment: Augmentation,
    cross_entropy: float = 0.0,
    axis_name: str | None = None,
) -> tuple[TrainState, dict[str, Array]]:
    """Take one optimizer step.

    Args:
        state: the state before the step.
        batch: the global batch; with `axis_name`, the part of it on this device.
        key: the root key. The key of a slice is `fold_in(fold_in(key, step), index)`, so dropout masks and
            augmentations do not depend on the driver, or on the number of devices or processes.
        rate: the learning rate, a factor of the optimizer's updates. As it is an argument, one compiled step serves all
            learning rates and schedules.
        apply: the network.
        transform: the optimizer.
        augment: the random changes to each slice.
        cross_entropy: weight of the cross-entropy in the loss.
        axis_name: the mapped axis under shard_map and pmap; None under jit, where XLA sees the global batch.

    Returns:
        The next state, and `loss` (mean over the valid slices of the global batch) and `gradient_norm`.
    """
    dropout_keys, image, label = _augmented(batch, jax.random.fold_in(key, state.step), augment)

    def mean_loss(params: Params) -> Array:
        if axis_name is not None:  # varies over devices, as slices do; its transpose sums the gradients over devices
            params = jax.lax.pcast(params, axis_name, to="varying")
        losses, _ = slice_losses(apply(params, image, dropout_keys), label, cross_entropy)
        total, count = jnp.where(batch["valid"], losses, 0).sum(), batch["valid"].sum()
        if axis_name is not None:
            total, count = jax.lax.psum((total, count), axis_name)
        return total / jnp.maximum(count, 1)

    loss, gradients = jax.value_and_grad(mean_loss)(state.params)
    if axis_name is not None:
        gradients = jax.lax.pmean(gradients, axis_name)
    updates, opt_state = transform.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, jax.tree.map(lambda update: rate * update, updates))
    metrics = {"loss": loss, "gradient_norm": optax.tree.norm(gradients)}
    return TrainState(state.step + 1, params, opt_state), metrics


def _augmented(batch: Batch, step_key: Array, augment: Augmentation) -> tuple[Array, Array, Array]:
    """Dropout keys, augmented images and augmented labels of a batch."""

    def augment_slice(index: Array, image: Array, label: Array, brain: Array | None) -> tuple[Array, Array, Array]:
        augment_key, dropout_key = jax.random.split(jax.random.fold_in(step_key, index))
        return dropout_key, *augment(augment_key, image, label, brain)

    return jax.vmap(augment_slice)(batch["index"], batch["image"], batch["label"], batch.get("brain"))
