"""The parts of a training: mesh, slices, schedule and compiled steps, each built once from the config."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from oasis_jax import overlays
from oasis_jax.config import Config
from oasis_jax.data.batches import Source, check_batch, train_batches
from oasis_jax.data.dataset import Dataset
from oasis_jax.evaluation import counting
from oasis_jax.evaluation.counting import EvalStep
from oasis_jax.inference.mirror import mirror_shift
from oasis_jax.network import unet
from oasis_jax.network.unet import Network
from oasis_jax.runs.checkpoints import CheckpointInfo
from oasis_jax.runs.history import Validation
from oasis_jax.runs.state import TrainState
from oasis_jax.system import sharding
from oasis_jax.system.errors import UserError
from oasis_jax.training import optimizer, step
from oasis_jax.training.augment import augment

_PANEL = 4
"""Number of validation slices, spread over the split, whose labels TensorBoard shows after each validation."""

Validate = Callable[[TrainState], tuple[Validation, UInt8[np.ndarray, "rows columns 3"]]]
"""From a state to the scores of the validation split, and a picture of some of its slices (RGB)."""


@dataclass(frozen=True)
class Program:
    """A training that is ready to run."""

    mesh: jax.sharding.Mesh
    sources: dict[str, Source]
    """The slices of each split. If the config caches them, they are decoded once for all readers."""
    init_key: jax.Array
    """The key of the random parameters."""
    step_key: jax.Array
    """The root key of all steps."""
    begin: Callable[[jax.Array], TrainState]
    """From `init_key` to the state at step 0."""
    params: unet.Params | None
    """Parameters that replace the random ones, if the training starts from an earlier run."""
    train_step: Callable[[TrainState, Any, jax.Array, jax.Array], tuple[TrainState, dict[str, Any]]]
    """From state, batch, root key and learning rate to the next state and its metrics. The memory of the old state is
    reused."""
    batches: Callable[[int], Iterator[dict[str, Any]]]
    """The batches on devices, from the batch of a given step on."""
    validate: Validate
    rate: Callable[[int], jax.Array]
    """The learning rate of a step, from 0 on, float32."""
    validate_every: int
    """Steps from one validation to the next."""
    total_steps: int
    patience: int | None
    """Training stops after this many validations without a lower loss; None: never."""

    def is_over(self, step: int, best: CheckpointInfo | None) -> bool:
        """Whether training ends after a number of steps, the best of them so far known."""
        fruitless = (step - best.step) // self.validate_every if best else 0
        return step == self.total_steps or (self.patience is not None and fruitless >= self.patience)

    def is_due(self, step: int) -> bool:
        """Whether the state after a number of steps is validated and saved."""
        return step > 0 and (step % self.validate_every == 0 or step == self.total_steps)


def build(
    settings: Config, tree: Dataset, network: Network, mesh: jax.sharding.Mesh, params: unet.Params | None = None
) -> Program:
    """Build all parts of the training of a config, and of its network, on a tree. Nothing is compiled or read yet.

    It starts from `params`, which are on the devices, or from random parameters.

    Raises:
        UserError: settings, data and devices do not fit together.
    """
    mirror_shift(settings.augment.mirror_axis, tree.size[0])
    try:
        unet.check_frame(settings.model, tree.size, tree.extent)
    except UserError as error:
        if settings.data.root is None:
            raise UserError(f"These are the phantoms, because --data.root names no data: {error}") from error
        raise
    check_batch(len(tree.splits["train"]), settings.train.batch, jax.process_count())
    sources = {split: Source(pairs, settings.data, size=tree.size) for split, pairs in tree.splits.items()}
    epoch_steps = len(sources["train"]) // settings.train.batch
    total_steps = settings.train.steps or settings.train.epochs * epoch_steps
    schedule = optimizer.schedule(settings.optim, total_steps)
    transform = optimizer.optimizer(settings.optim)
    init_key, step_key = jax.random.split(jax.random.key(settings.train.seed))
    shape = (*tree.size, settings.data.channels)
    initial_state = partial(optimizer.initial_state, shape=shape, init=network.init, transform=transform)
    train_step = partial(
        step.train_step,
        apply=network.apply,
        transform=transform,
        augment=partial(augment, config=settings.augment, method=settings.data.normalise, window=settings.model.crop),
        cross_entropy=settings.optim.cross_entropy,
    )
    eval_step = counting.compiled_eval_step(settings, network.apply, mesh)

    def batches(first: int) -> Iterator[dict[str, Any]]:
        on_host = train_batches(
            sources["train"],
            batch=settings.train.batch,
            seed=settings.train.seed,
            start=first,
            processes=(jax.process_index(), jax.process_count()),
            brain=settings.augment.strip > 0,
            parts=tree.parts["train"],
        )
        return sharding.to_devices(on_host, mesh)

    # `begin` runs once. On a CPU, optimising it took a large part of the start; the result is the same without.
    once = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return Program(
        mesh=mesh,
        sources=sources,
        init_key=init_key,
        step_key=step_key,
        begin=jax.jit(initial_state, out_shardings=sharding.replicated(mesh), compiler_options=once),
        params=params,
        train_step=sharding.compile_step(train_step, mesh, 2, donate_argnums=0),
        batches=batches,
        validate=_validation(settings, sources["validate"], eval_step, mesh),
        rate=jax.jit(lambda step: jnp.float32(schedule(step))),
        validate_every=settings.train.validate_every or epoch_steps,
        total_steps=total_steps,
        patience=settings.train.patience,
    )


def _validation(settings: Config, source: Source, eval_step: EvalStep, mesh: jax.sharding.Mesh) -> Validate:
    shown = sorted({round(i * (len(source) - 1) / (_PANEL - 1)) for i in range(_PANEL)})

    def validate(state: TrainState) -> tuple[Validation, UInt8[np.ndarray, "rows columns 3"]]:
        batch = settings.train.batch
        counted = counting.count_slices(eval_step, state.params, source, batch, mesh)
        table, classes = counting.joined(list(counted))
        return counting.validation_scores(table), overlays.panel([source[i] for i in shown], classes[shown])

    return validate
