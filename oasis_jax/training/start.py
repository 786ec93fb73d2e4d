"""A training that starts from the parameters of an earlier one: its settings, and the parameters."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from oasis_jax.config import Config, Train
from oasis_jax.data.geometry import Size
from oasis_jax.network import unet
from oasis_jax.pretrained import run_path
from oasis_jax.runs import checkpoint, restore
from oasis_jax.runs import folder as run_folder
from oasis_jax.runs.folder import Run
from oasis_jax.system import sharding
from oasis_jax.system.errors import UserError

_GENTLE = 0.1
"""Share of the earlier learning rate: enough to adapt to new data, too little to forget what was learned."""


def settings(earlier: Run) -> Config:
    """Settings that go on from an earlier run with other data: the same network, the same view of slices.

    Its axis of mirroring belongs to its data, so slices are mirrored about their middle.
    """
    config = earlier.config
    return replace(
        config,
        run=Path("runs") / f"from-{earlier.name}",
        data=replace(config.data, root=None),
        augment=replace(config.augment, mirror_axis=None),
        optim=replace(config.optim, learning_rate=_GENTLE * config.optim.learning_rate),
        train=Train(batch=config.train.batch),
    )


def parameters(config: Config, size: Size) -> tuple[unet.Params, dict[str, Any]]:
    """The parameters that `config.train.init` names, on all devices, and what the new run remembers of them.

    Args:
        config: of the new run.
        size: rows and columns of its slices.

    Raises:
        UserError: no such run, no sound checkpoint, or parameters of another network.
    """
    earlier = run_folder.load(run_path(str(config.train.init)))
    info, params = restore.load_best(earlier, sharding.make_mesh(jax.device_count()))
    init, _ = unet.network(config.model)
    asked = jax.eval_shape(lambda: init(jax.random.key(0), (*size, config.data.channels)))
    if different := checkpoint.difference(params, asked):
        raise UserError(
            f"{earlier.folder} has another network than these settings ask for ({different}): name no experiment, and "
            "the settings of that run are taken."
        )
    return params, {"init": {"run": earlier.name, "step": info.step, "sha256": info.digests["params"]}}
