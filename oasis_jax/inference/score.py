"""The network over every slice of a split, once, and what it counts: the pass behind validation and evaluation."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int64, Shaped, UInt8

from oasis_jax import classes
from oasis_jax.config import Config, Data
from oasis_jax.data.batches import Batch, Source, evaluation_batches
from oasis_jax.metrics import calibration, overlap
from oasis_jax.metrics.calibration import BinCounts
from oasis_jax.metrics.overlap import OVERLAP, hard_dice
from oasis_jax.network import unet
from oasis_jax.network.loss import slice_losses
from oasis_jax.network.unet import Apply, Params
from oasis_jax.runs.history import Validation
from oasis_jax.system import distributed, sharding


class SliceTable(NamedTuple):
    """One row a slice, in the order of the split."""

    loss: Float32[np.ndarray, " slices"]
    confusion: Int64[np.ndarray, "slices 4 4"]
    """Pixels by true class (row) and predicted class (column)."""
    soft: overlap.Overlap
    """Soft sums, each float32 `(N, 4)`."""
    bins: BinCounts
    """How sure and how right its pixels are, each `(N, 15)`."""


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
    losses, sums = slice_losses(logits, label, cross_entropy)
    prediction = logits.argmax(-1).astype(jnp.uint8)
    return {
        "loss": losses,
        "confusion": overlap.confusion(prediction, label),
        **sums._asdict(),
        **calibration.bin_counts(jax.nn.softmax(logits), label)._asdict(),
        "prediction": prediction,
    }


EvalStep = Callable[..., dict[str, Any]]


def compiled_eval_step(config: Config, apply: unet.Apply, mesh: jax.sharding.Mesh) -> EvalStep:
    """`eval_step` with the config's loss, compiled for a mesh; `apply` may be an ensemble's."""
    return sharding.compile_eval_step(partial(eval_step, apply=apply, cross_entropy=config.optim.cross_entropy), mesh)


def score(
    eval_step: EvalStep,
    params: unet.Params,
    source: Source,
    data: Data,
    batch: int,
    mesh: jax.sharding.Mesh,
    track: Callable[..., Any] | None = None,
) -> tuple[SliceTable, UInt8[np.ndarray, "slices rows columns"]]:
    """Run a compiled `eval_step` over every slice of a source once.

    Returns:
        The table, one row a slice in order, and the predicted classes.
    """
    batches = evaluation_batches(source, data, batch=batch, processes=distributed.process())
    on_devices = sharding.to_devices(batches, mesh)
    count = -(-len(source) // batch)
    outputs = [jax.device_get(eval_step(params, one)) for one in (track or _untracked)(on_devices, count)]
    merged = {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}
    keep = merged["valid"].nonzero()[0]
    rows = keep[np.argsort(merged["index"][keep])]
    assert np.array_equal(merged["index"][rows], np.arange(len(source)))
    return tabulate({name: values[rows] for name, values in merged.items()}), merged["prediction"][rows]


def tabulate(outputs: dict[str, Shaped[np.ndarray, "slices ..."]]) -> SliceTable:
    """The table of slices from what `score_logits` gave of each."""
    soft = overlap.Overlap(*(outputs[name] for name in overlap.Overlap._fields))
    bins = BinCounts(*(outputs[name] for name in BinCounts._fields))
    return SliceTable(outputs["loss"], outputs["confusion"].astype(np.int64), soft, bins)


def _untracked(items: Any, total: int) -> Any:
    return items


def headline(table: SliceTable) -> Validation:
    """What a validation reports."""
    total = table.confusion.sum(0)
    error = calibration.expected_calibration_error(BinCounts(*(part.sum(0, dtype=np.float64) for part in table.bins)))
    return Validation(
        loss=float(table.loss.mean(dtype=np.float64)),
        calibration_error=None if np.isnan(error) else float(error),
        soft_dice=tuple(overlap.dice(table.soft).mean(0, dtype=np.float64).tolist()),
        **{name: tuple(None if np.isnan(x) else float(x) for x in of(total)) for name, of in OVERLAP.items()},
    )


def slice_ranking(table: SliceTable) -> Float[np.ndarray, " slices"]:
    """Foreground mean of each slice's hard Dice over the classes it has; NaN for an empty slice."""
    scores = hard_dice(table.confusion)[:, classes.FOREGROUND]
    counted = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        return np.where(counted, scores, 0).sum(1) / counted.sum(1)
