"""What a training calls: mesh, slices, schedule and compiled steps, each built once from the config."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from oasis_jax.config import Config
from oasis_jax.data import overlays
from oasis_jax.data.batches import Source, check_batch, train_batches
from oasis_jax.data.dataset import Dataset
from oasis_jax.inference import score
from oasis_jax.inference.mirror import mirror_shift
from oasis_jax.inference.score import EvalStep
from oasis_jax.network import unet
from oasis_jax.runs.history import Validation
from oasis_jax.runs.state import TrainState
from oasis_jax.system import distributed, sharding
from oasis_jax.training import optimizer, step
from oasis_jax.training.augment import augment

_PANEL = 4
"""Validation slices, spread over the split, whose labels TensorBoard shows after each epoch."""


@dataclass(frozen=True)
class Program:
    """A training, ready to run."""

    mesh: jax.sharding.Mesh
    sources: dict[str, Source]
    """The slices of each split; whoever reads them first decodes them for all."""
    key: jax.Array
    """The root key of all steps."""
    begin: Callable[[], TrainState]
    """Step 0, with random parameters."""
    params: unet.Params | None
    """What takes the place of those, where the training starts from an earlier one."""
    train_step: Callable[[TrainState, Any, jax.Array], tuple[TrainState, dict[str, Any]]]
    """From state, batch and root key to the next state and its metrics; the old state is used up."""
    batches: Callable[[int], Iterator[dict[str, Any]]]
    """The batches on devices, from a step on."""
    validate: Callable[[TrainState], tuple[Validation, np.ndarray]]
    """The scores of the validation split, and a picture of some of its slices, RGB uint8."""
    rate: Callable[[int], Any]
    """The learning rate of a step."""
    validate_every: int
    total_steps: int
    patience: int | None


def build(settings: Config, tree: Dataset, params: unet.Params | None = None) -> Program:
    """Build all that the training of a config on a tree needs; nothing is compiled or read yet.

    Args:
        settings: the config.
        tree: the slices.
        params: where the training starts from, on devices; None: from random parameters.

    Raises:
        UserError: settings, data and devices do not fit each other.
    """
    unet.check_frame(settings.model, tree.size, tree.extent)
    mirror_shift(settings.augment.mirror_axis, tree.size[0])
    check_batch(len(tree.splits["train"]), settings.train.batch, distributed.process()[1])
    mesh = sharding.make_mesh(settings.train.batch)
    sources = {split: Source(pairs, settings.data) for split, pairs in tree.splits.items()}
    init_key, step_key = jax.random.split(jax.random.key(settings.train.seed))
    init, apply = unet.network(settings.model)
    epoch_steps = len(sources["train"]) // settings.train.batch
    total_steps = settings.train.steps or settings.train.epochs * epoch_steps
    rate = optimizer.schedule(settings.optim, total_steps)
    transform = optimizer.optimizer(settings.optim, rate)
    train_step = partial(
        step.train_step,
        apply=apply,
        transform=transform,
        augment=partial(augment, config=settings.augment, method=settings.data.normalise, window=settings.model.crop),
        cross_entropy=settings.optim.cross_entropy,
    )
    begin = jax.jit(
        partial(optimizer.initial_state, init_key, (*tree.size, settings.data.channels), init, transform),
        out_shardings=sharding.replicated(mesh),
        # It runs once, and on a CPU optimizing it took much of a cold start; the bits are the same without.
        compiler_options={"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None,
    )
    return Program(
        mesh=mesh,
        sources=sources,
        key=step_key,
        begin=begin,
        params=params,
        train_step=sharding.compile_train_step(train_step, mesh),
        batches=partial(_batches, settings, sources["train"], mesh),
        validate=_validation(settings, sources["validate"], score.compiled_eval_step(settings, apply, mesh), mesh),
        rate=rate,
        validate_every=settings.train.validate_every or epoch_steps,
        total_steps=total_steps,
        patience=settings.train.patience,
    )


def _batches(settings: Config, source: Source, mesh: jax.sharding.Mesh, first: int) -> Iterator[dict[str, Any]]:
    batches = train_batches(
        source,
        settings.data,
        batch=settings.train.batch,
        seed=settings.train.seed,
        start=first,
        processes=distributed.process(),
        brain=settings.augment.strip > 0,
    )
    return sharding.to_devices(batches, mesh)


def _validation(
    settings: Config, source: Source, eval_step: EvalStep, mesh: jax.sharding.Mesh
) -> Callable[[TrainState], tuple[Validation, np.ndarray]]:
    shown = sorted({round(i * (len(source) - 1) / (_PANEL - 1)) for i in range(_PANEL)})

    def validate(state: TrainState) -> tuple[Validation, np.ndarray]:
        table, classes = score.score(eval_step, state.params, source, settings.data, settings.train.batch, mesh)
        return score.headline(table), overlays.panel([source[i] for i in shown], classes[shown])

    return validate
