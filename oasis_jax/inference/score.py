"""The network over every slice of a split, once: the pass behind validation and evaluation."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from oasis_jax import dice, model, parallel, pipeline, step
from oasis_jax.calibration import BinCounts
from oasis_jax.config import Config, Data
from oasis_jax.scores import SliceTable

EvalStep = Callable[..., dict[str, Any]]


def compiled_eval_step(config: Config, apply: model.Apply, mesh: jax.sharding.Mesh) -> EvalStep:
    """`eval_step` with the config's loss, compiled for a mesh."""
    return parallel.compile_eval_step(
        partial(step.eval_step, apply=apply, cross_entropy=config.optim.cross_entropy), mesh
    )


def score(
    eval_step: EvalStep,
    params: model.Params,
    source: pipeline.Source,
    data: Data,
    batch: int,
    mesh: jax.sharding.Mesh,
    track: Callable[..., Any] | None = None,
) -> tuple[SliceTable, np.ndarray]:
    """Run a compiled `eval_step` over every slice of a source once.

    Returns:
        The table, one row a slice in order, and the predicted classes uint8 `(N, H, W)`.
    """
    batches = pipeline.evaluation_batches(source, data, batch=batch, processes=pipeline.process())
    on_devices = parallel.to_devices(batches, mesh)
    count = -(-len(source) // batch)
    outputs = [jax.device_get(eval_step(params, one)) for one in (track or _untracked)(on_devices, count)]
    merged = {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}
    keep = merged["valid"].nonzero()[0]
    rows = keep[np.argsort(merged["index"][keep])]
    assert np.array_equal(merged["index"][rows], np.arange(len(source)))
    return tabulate({name: values[rows] for name, values in merged.items()}), merged["prediction"][rows]


def tabulate(outputs: dict[str, np.ndarray]) -> SliceTable:
    """The table of slices from what `step.score_logits` gave, `(N, ...)` each."""
    soft = dice.Overlap(*(outputs[name] for name in dice.Overlap._fields))
    bins = BinCounts(*(outputs[name] for name in BinCounts._fields))
    return SliceTable(outputs["loss"], outputs["confusion"].astype(np.int64), soft, bins)


def _untracked(items: Any, total: int) -> Any:
    return items
