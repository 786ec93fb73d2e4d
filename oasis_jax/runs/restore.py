"""Which checkpoint of a run is used, and its parameters on devices: for evaluation, prediction and export."""

from pathlib import Path
from typing import Any

import jax

from oasis_jax.network import unet
from oasis_jax.runs import checkpoint
from oasis_jax.runs.folder import Run, Weights
from oasis_jax.system import console, distributed, sharding
from oasis_jax.system.errors import UserError


def load_best(
    trained: Run, mesh: jax.sharding.Mesh, at_step: int | None = None
) -> tuple[checkpoint.CheckpointInfo, unet.Params]:
    """The best sound checkpoint of a run, or the one of the step asked for, and its parameters on a mesh.

    Raises:
        UserError: no such checkpoint, or none that is sound.
    """
    init, _ = unet.network(trained.config.model)
    abstract = sharding.abstract_on(jax.eval_shape(lambda: init(jax.random.key(0), trained.shape)), mesh)
    if trained.weights is not None:
        return _of_model(trained, trained.weights, abstract, at_step)
    folder = trained.checkpoints
    chosen = _choose(folder, at_step)
    for info in chosen:
        try:
            params = checkpoint.restore_parts(folder, info, {"params": abstract})["params"]
            distributed.assert_equal(info.digests["params"], f"does not find the same checkpoint in {folder}")
            return info, params
        except UserError as error:
            if info is chosen[-1]:
                raise
            console.say(f"{error} The next best one is taken.")
    raise AssertionError("_choose gives at least one")


def _of_model(
    run: Run, weights: Weights, abstract: Any, at_step: int | None
) -> tuple[checkpoint.CheckpointInfo, unet.Params]:
    """As `load_best`, of a model file: it holds one checkpoint."""
    if at_step not in (None, weights.step):
        raise UserError(f"{run.name} has no checkpoint of step {at_step}; it has: {weights.step}.")
    if different := checkpoint.difference(weights.params, abstract):
        raise UserError(
            f"{run.folder} holds other parameters than this program uses ({different}): use the version that wrote it."
        )
    params = jax.tree.map(lambda value, like: jax.device_put(value, like.sharding), weights.params, abstract)
    return checkpoint.CheckpointInfo(weights.step, weights.loss, {"params": checkpoint.digest(weights.params)}), params


def _choose(folder: Path, at_step: int | None) -> list[checkpoint.CheckpointInfo]:
    checkpoints, damaged = checkpoint.list_checkpoints(folder)
    if damaged:
        console.say(f"The checkpoint(s) of step {', '.join(map(str, damaged))} are damaged and left out.")
    if at_step is None:
        if validated := checkpoint.by_loss(checkpoints):
            return validated
        raise UserError(f"{folder} has no validated checkpoint yet: train for at least one epoch.")
    for info in checkpoints:
        if info.step == at_step:
            return [info]
    have = ", ".join(str(info.step) for info in checkpoints) or "none"
    raise UserError(f"{folder} has no checkpoint of step {at_step}; it has: {have}.")
