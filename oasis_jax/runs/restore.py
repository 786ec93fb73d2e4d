"""Which checkpoint of a run is used, and its parameters on devices: for evaluation, prediction and export."""

import jax

from oasis_jax.network import unet
from oasis_jax.runs.checkpoints import CheckpointInfo, Checkpoints, difference
from oasis_jax.runs.folder import Run
from oasis_jax.system import console, distributed, sharding
from oasis_jax.system.errors import UserError


def load_best(run: Run, mesh: jax.sharding.Mesh, at_step: int | None = None) -> tuple[CheckpointInfo, unet.Params]:
    """The best sound checkpoint of a run, or the one of the step asked for, and its parameters on a mesh.

    Raises:
        UserError: no such checkpoint, or none that is sound.
    """
    like = unet.network(run.config.model).abstract(run.shape)
    if run.weights is None:
        info, params = _of_training(run, like, at_step)
    else:
        info, params = run.weights.checkpoint, run.weights.params
        if at_step not in (None, info.step):
            raise UserError(f"{run.name} has no checkpoint of step {at_step}; it has: {info.step}.")
        if different := difference(params, like):
            raise UserError(
                f"{run.folder} holds other parameters than this program uses ({different}): use the version that wrote "
                "it."
            )
    return info, jax.device_put(params, sharding.replicated(mesh))


def _of_training(run: Run, like: unet.Params, at_step: int | None) -> tuple[CheckpointInfo, unet.Params]:
    """The checkpoint of a step, or the validated ones, the best first, until one is sound."""
    checkpoints = Checkpoints(run.checkpoints)
    if checkpoints.damaged:
        console.say(f"The checkpoint(s) of step {', '.join(map(str, checkpoints.damaged))} are damaged and left out.")
    if at_step is None:
        chosen, missing = checkpoints.by_loss(), "validated checkpoint yet: train for at least one epoch"
    else:
        chosen = [info for info in checkpoints.sound if info.step == at_step]
        have = ", ".join(str(info.step) for info in checkpoints.sound) or "none"
        missing = f"checkpoint of step {at_step}; it has: {have}"
    if not chosen:
        raise UserError(f"{run.checkpoints} has no {missing}.")
    while True:
        info, params, fault = chosen.pop(0), None, None
        try:
            params = checkpoints.restore(info, {"params": like})["params"]
        except UserError as error:
            fault = str(error)
        faults = [found for found in distributed.all_gather(fault) if found]  # of all, so that all take the same one
        if not faults:
            distributed.assert_equal(info.digests["params"], f"does not find the same checkpoint in {run.folder}")
            return info, params
        if not chosen:
            raise UserError(faults[0])
        console.say(f"{faults[0]} The next best one is taken.")
