"""Which checkpoint of a run is used, and its parameters on devices: for evaluation, prediction and export."""

from typing import Any

import jax

from oasis_jax.network import unet
from oasis_jax.runs.checkpoint import CheckpointInfo, difference, digest
from oasis_jax.runs.checkpoints import Checkpoints
from oasis_jax.runs.folder import Run, Weights
from oasis_jax.system import console, distributed, sharding
from oasis_jax.system.errors import UserError


def load_best(trained: Run, mesh: jax.sharding.Mesh, at_step: int | None = None) -> tuple[CheckpointInfo, unet.Params]:
    """The best sound checkpoint of a run, or the one of the step asked for, and its parameters on a mesh.

    Raises:
        UserError: no such checkpoint, or none that is sound.
    """
    network = unet.network(trained.config.model)
    abstract = sharding.abstract_on(network.abstract(trained.shape), mesh)
    if trained.weights is not None:
        return _of_model(trained, trained.weights, abstract, at_step)
    checkpoints = Checkpoints(trained.checkpoints)
    chosen = _choose(trained, checkpoints, at_step)
    for info in chosen:
        try:
            params = checkpoints.restore(info, {"params": abstract})["params"]
            distributed.assert_equal(info.digests["params"], f"does not find the same checkpoint in {trained.folder}")
            return info, params
        except UserError as error:
            if info is chosen[-1]:
                raise
            console.say(f"{error} The next best one is taken.")
    raise AssertionError("_choose gives at least one")


def _of_model(run: Run, weights: Weights, abstract: Any, at_step: int | None) -> tuple[CheckpointInfo, unet.Params]:
    """As `load_best`, of a model file: it holds one checkpoint."""
    if at_step not in (None, weights.step):
        raise UserError(f"{run.name} has no checkpoint of step {at_step}; it has: {weights.step}.")
    if different := difference(weights.params, abstract):
        raise UserError(
            f"{run.folder} holds other parameters than this program uses ({different}): use the version that wrote it."
        )
    params = jax.tree.map(lambda value, like: jax.device_put(value, like.sharding), weights.params, abstract)
    return CheckpointInfo(weights.step, weights.loss, {"params": digest(weights.params)}), params


def _choose(run: Run, checkpoints: Checkpoints, at_step: int | None) -> list[CheckpointInfo]:
    """The checkpoints to try, in this order."""
    if checkpoints.damaged:
        console.say(f"The checkpoint(s) of step {', '.join(map(str, checkpoints.damaged))} are damaged and left out.")
    if at_step is None:
        if validated := checkpoints.by_loss():
            return validated
        raise UserError(f"{run.checkpoints} has no validated checkpoint yet: train for at least one epoch.")
    for info in checkpoints.sound:
        if info.step == at_step:
            return [info]
    have = ", ".join(str(info.step) for info in checkpoints.sound) or "none"
    raise UserError(f"{run.checkpoints} has no checkpoint of step {at_step}; it has: {have}.")
