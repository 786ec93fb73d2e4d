"""One step of training and one of evaluation: pure functions of pytrees, the same under jit, shard_map and pmap.

A batch is a dict: `image` float32 `(B, H, W, 1)` normalised, `label` uint8 `(B, H, W)` classes 0 to 3, `index` int32
`(B,)` row in the slice index, `valid` bool `(B,)` false on padding.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, UInt8

from oasis_jax import calibration, dice
from oasis_jax.augment import augment
from oasis_jax.config import Augment
from oasis_jax.model import Apply, Params
from oasis_jax.state import TrainState

Batch = dict[str, Array]


def train_step(
    state: TrainState,
    batch: Batch,
    key: Key[Array, ""],
    *,
    apply: Apply,
    transform: optax.GradientTransformation,
    changes: Augment,
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
        changes: augmentation.
        cross_entropy: weight of the cross-entropy in the loss.
        axis_name: the mapped axis under shard_map and pmap; None under jit, where XLA sees the whole batch.

    Returns:
        The next state, and `loss` (mean over the valid slices of the global batch) and `gradient_norm`.
    """
    step_key = jax.random.fold_in(key, state.step)

    def prepare(index: Array, image: Array, label: Array) -> tuple[Array, Array, Array]:
        augment_key, dropout_key = jax.random.split(jax.random.fold_in(step_key, index))
        return dropout_key, *augment(augment_key, image, label, changes)

    dropout_keys, image, label = jax.vmap(prepare)(batch["index"], batch["image"], batch["label"])

    def mean_loss(params: Params) -> Array:
        if axis_name is not None:  # as slices do; the sum over devices of their gradients follows from it
            params = jax.lax.pcast(params, axis_name, to="varying")
        losses, _ = dice.loss(apply(params, image, dropout_keys), label, cross_entropy)
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


def eval_step(params: Params, batch: Batch, *, apply: Apply, cross_entropy: float = 0.0) -> dict[str, Any]:
    """Score each slice of a batch.

    Returns:
        `loss` float32 `(B,)`; `confusion` int32 `(B, 4, 4)`, rows truth; the soft sums `intersection`, `predicted`,
        `true` float32 `(B, 4)`; how sure and how right the pixels of each bin are, `pixels`, `confidence`, `correct`
        `(B, 15)`; `prediction` uint8 `(B, H, W)`; and the batch's `index` and `valid`.
    """
    logits = apply(params, batch["image"])
    return score_logits(logits, batch["label"], cross_entropy) | {"index": batch["index"], "valid": batch["valid"]}


def score_logits(
    logits: Float[Array, "batch height width 4"], label: UInt8[Array, "batch height width"], cross_entropy: float
) -> dict[str, Any]:
    """What `eval_step` returns, but for `index` and `valid`; logarithms of probabilities are logits too."""
    losses, sums = dice.loss(logits, label, cross_entropy)
    prediction = logits.argmax(-1).astype(jnp.uint8)
    return {
        "loss": losses,
        "confusion": dice.confusion(prediction, label),
        **sums._asdict(),
        **calibration.bin_counts(jax.nn.softmax(logits), label)._asdict(),
        "prediction": prediction,
    }
