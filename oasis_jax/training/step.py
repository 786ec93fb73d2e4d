"""One step of training and one of evaluation: pure functions of pytrees, the same under jit, shard_map and pmap.

A batch is a dict: `image` float32 `(B, H, W, C)` normalised, the slice amid its neighbours; `label` uint8 `(B, H, W)`
classes 0 to 3; `index` int32 `(B,)` row in the slice index; `valid` bool `(B,)` false on padding; and, only where
augmentation asks for it, `brain` bool `(B, H, W, C)`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key

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
    *,
    apply: Apply,
    transform: optax.GradientTransformation,
    augment: Augmentation,
    cross_entropy: float = 0.0,
    axis_name: str | None = None,
) -> tuple[TrainState, dict[str, Array]]:
    """Take one optimizer step.

    Args:
        state: before the step.
        batch: the global batch, or under `axis_name` this device's part of it.
        key: the root key; a slice's own key is `fold_in(fold_in(key, step), index)`, so that no driver, device count
            or process count changes a dropout mask or a warp.
        apply: the network.
        transform: the optimizer.
        augment: the random changes to each slice.
        cross_entropy: weight of the cross-entropy in the loss.
        axis_name: the mapped axis under shard_map and pmap; None under jit, where XLA sees the whole batch.

    Returns:
        The next state, and `loss` (mean over the valid slices of the global batch) and `gradient_norm`.
    """
    step_key = jax.random.fold_in(key, state.step)

    def prepare(index: Array, image: Array, label: Array, brain: Array | None) -> tuple[Array, Array, Array]:
        augment_key, dropout_key = jax.random.split(jax.random.fold_in(step_key, index))
        return dropout_key, *augment(augment_key, image, label, brain)

    slices = batch["index"], batch["image"], batch["label"], batch.get("brain")
    dropout_keys, image, label = jax.vmap(prepare)(*slices)

    def mean_loss(params: Params) -> Array:
        if axis_name is not None:  # as slices do; the sum over devices of their gradients follows from it
            params = jax.lax.pcast(params, axis_name, to="varying")
        losses, _ = slice_losses(apply(params, image, dropout_keys), label, cross_entropy)
        total = jnp.where(batch["valid"], losses, 0).sum()
        count = batch["valid"].sum()
        if axis_name is not None:
            total, count = jax.lax.psum((total, count), axis_name)
        return total / jnp.maximum(count, 1)

    loss, gradients = jax.value_and_grad(mean_loss)(state.params)
    if axis_name is not None:
        gradients = jax.lax.pmean(gradients, axis_name)
    updates, opt_state = transform.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = {"loss": loss, "gradient_norm": optax.tree.norm(gradients)}
    return TrainState(state.step + 1, params, opt_state), metrics
