"""Settings and parameters for a training that starts from an earlier run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from oasis_jax.config import Config, Train
from oasis_jax.geometry import Size
from oasis_jax.network import unet
from oasis_jax.network.unet import Network, Params
from oasis_jax.pretrained import run_path
from oasis_jax.runs import restore
from oasis_jax.runs.checkpoints import difference
from oasis_jax.runs.folder import Run
from oasis_jax.system.errors import UserError

_RATE_FACTOR = 0.1
"""Factor on the earlier learning rate: large enough to adapt to new data, too small to lose what was learned."""


def settings(earlier: Run) -> Config:
    """Settings to continue from an earlier run with other data: the same network, input, augmentation and optimizer.

    Length, seed and split are the defaults. The mirror axis of the earlier run belongs to its data, so slices are
    mirrored about their middle row.
    """
    config = earlier.config
    return replace(
        config,
        run=Path("runs") / f"from-{earlier.name}",
        data=replace(config.data, root=None, join=(), shares=(), leave_out=()),
        augment=replace(config.augment, mirror_axis=None),
        optim=replace(config.optim, learning_rate=_RATE_FACTOR * config.optim.learning_rate),
        train=Train(batch=config.train.batch),
    )


def parameters(config: Config, network: Network, size: Size, mesh: jax.sharding.Mesh) -> tuple[Params, dict[str, Any]]:
    """The parameters that `config.train.init` names, on all devices, and their source for the provenance of a new run.

    The new run has this network, and slices of this size.

    Raises:
        UserError: there is no such run, it has no sound checkpoint, or it has another network.
    """
    earlier = Run.load(run_path(str(config.train.init)))
    theirs = unet.network(earlier.config.model).abstract(earlier.shape)
    if different := difference(theirs, network.abstract((*size, config.data.channels))):
        raise UserError(
            f"{earlier.folder} has another network than these settings describe ({different}): name no experiment, to "
            "take the settings of that run."
        )
    info, params = restore.load_best(earlier, mesh)
    return params, {"init": {"run": earlier.name, "step": info.step, "sha256": info.digests["params"]}}
