"""One forward pass over slices, and the loss and the counts of each slice, for validation and evaluation."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from oasis_jax import classes
from oasis_jax.config import Config
from oasis_jax.data.batches import Batch, Source, evaluation_batches
from oasis_jax.data.slices import Slice
from oasis_jax.evaluation.scores import plain
from oasis_jax.geometry import Pair, Pixels, Spacing
from oasis_jax.metrics import calibration, overlap
from oasis_jax.metrics.calibration import BinCounts
from oasis_jax.metrics.overlap import OVERLAP, hard_dice
from oasis_jax.metrics.surface import SurfaceTable
from oasis_jax.network import unet
from oasis_jax.network.loss import slice_losses
from oasis_jax.network.unet import Apply, Params
from oasis_jax.runs.history import Validation
from oasis_jax.system import console, sharding


class SliceTable(NamedTuple):
    """Losses and counts with a row for each slice, on the host or on devices."""

    loss: Any
    """float32 `(slices,)`."""
    confusion: Any
    """Pixels by true class (row) and predicted class (column), int32 `(slices, 4, 4)`."""
    soft: overlap.Overlap
    """Soft sums, each float32 `(slices, 4)`."""
    bins: BinCounts
    """Sums for the calibration, each `(slices, 15)`."""


class Evaluated(NamedTuple):
    """Slices, their predictions, and the counts of each slice."""

    pairs: Sequence[Slice]
    subjects: dict[str, str]
    """The subject of each case."""
    slices: Sequence[Pair]
    """Grey levels and true classes of each slice; slices of different cases may differ in size."""
    predictions: Sequence[Pixels]
    """Predicted classes of each slice."""
    table: SliceTable
    """Losses and counts of each slice."""
    surfaces: SurfaceTable | None
    """A row for each slice, or for each whole volume, sorted by case; None if the spacing is unknown."""
    spacing: dict[str, Spacing | None]
    """mm, of each case; None if it is unknown."""
    whole: bool = False
    """Whether the cases are whole volumes; their surfaces are compared in 3D."""

    @property
    def slice_subjects(self) -> list[str]:
        """The subject of each slice."""
        return [self.subjects[pair.case] for pair in self.pairs]


def eval_step(params: Params, batch: Batch, *, apply: Apply, cross_entropy: float = 0.0) -> dict[str, Any]:
    """The loss and the counts of each slice of a batch.

    Returns:
        `table`, a `SliceTable`; `prediction`, the predicted classes, uint8 `(B, H, W)`; `index` and `valid` of the
        batch.
    """
    table, prediction = slice_counts(apply(params, batch["image"]), batch["label"], cross_entropy)
    return {"table": table, "prediction": prediction, "index": batch["index"], "valid": batch["valid"]}


def slice_counts(
    logits: Float[Array, "batch height width 4"], label: UInt8[Array, "batch height width"], cross_entropy: float
) -> tuple[SliceTable, UInt8[Array, "batch height width"]]:
    """The table and the predicted classes of slices, from logits or from logarithms of probabilities."""
    losses, sums = slice_losses(logits, label, cross_entropy)
    prediction = logits.argmax(-1).astype(jnp.uint8)
    bins = calibration.bin_counts(jax.nn.softmax(logits), label)
    return SliceTable(losses, overlap.confusion(prediction, label), sums, bins), prediction


EvalStep = Callable[..., dict[str, Any]]
"""From parameters and a batch to the counts of its slices: `eval_step` with its settings."""


def compiled_eval_step(config: Config, apply: unet.Apply, mesh: jax.sharding.Mesh) -> EvalStep:
    """Compile `eval_step` with the loss of a config for a mesh; `apply` is the function of a network or an ensemble."""
    return sharding.compile_step(partial(eval_step, apply=apply, cross_entropy=config.optim.cross_entropy), mesh)


def count_slices(
    eval_step: EvalStep,
    params: unet.Params,
    source: Source,
    batch: int,
    mesh: jax.sharding.Mesh,
    title: str | None = None,
) -> Iterator[tuple[SliceTable, UInt8[np.ndarray, "slices rows columns"]]]:
    """Run a compiled `eval_step` once over every slice of a source, `batch` slices at a time in all processes together.

    With a title, a bar shows the progress.

    Yields:
        The table and the predicted classes of the next slices, in the order of the source; `joined` puts them together.
    """
    processes = jax.process_index(), jax.process_count()
    batches = evaluation_batches(source, batch=batch, processes=processes)
    on_devices = sharding.to_devices(batches, mesh)
    count = -(-len(source) // batch)
    for device_batch in on_devices if title is None else console.track(on_devices, count, title):
        found = jax.device_get(eval_step(params, device_batch))
        keep = found["valid"].nonzero()[0]
        rows = keep[np.argsort(found["index"][keep])]  # a batch holds the rows of one process after those of another
        yield jax.tree.map(lambda values, rows=rows: values[rows], (found["table"], found["prediction"]))


def joined(parts: Sequence[Any]) -> Any:
    """One record of arrays with the rows of several such records on the host, one after the other."""
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def validation_scores(table: SliceTable) -> Validation:
    """The scores that a validation reports."""
    pooled = table.confusion.sum(0)
    error = calibration.expected_calibration_error(BinCounts(*(part.sum(0, dtype=np.float64) for part in table.bins)))
    confidence = calibration.mean_confidence(table.bins)
    return Validation(
        loss=float(table.loss.mean(dtype=np.float64)),
        calibration_error=plain(error),
        lowest_confidence=None if np.isnan(confidence).all() else float(np.nanpercentile(confidence, 1)),
        soft_dice=tuple(overlap.dice(table.soft).mean(0, dtype=np.float64).tolist()),
        **{name: tuple(map(plain, score(pooled))) for name, score in OVERLAP.items()},
    )


def slice_ranking(table: SliceTable) -> Float[np.ndarray, " slices"]:
    """Mean hard Dice of each slice over the foreground classes that truth or prediction has; NaN if they have none."""
    scores = hard_dice(table.confusion)[:, classes.FOREGROUND]
    with np.errstate(invalid="ignore"):
        return np.nansum(scores, 1) / (~np.isnan(scores)).sum(1)
