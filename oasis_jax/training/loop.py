"""The training loop: restore; then step by step validate and save if due, take a batch, step, log."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from oasis_jax.config import Config
from oasis_jax.data import overlays
from oasis_jax.data.batches import Source, train_batches
from oasis_jax.data.dataset import Dataset
from oasis_jax.inference import score
from oasis_jax.network import unet
from oasis_jax.runs import checkpoint
from oasis_jax.runs.folder import Run
from oasis_jax.runs.history import Validation
from oasis_jax.runs.state import TrainState
from oasis_jax.system import console, distributed, sharding
from oasis_jax.training import optimizer, step
from oasis_jax.training.augment import augment
from oasis_jax.training.log import Log

_PANEL = 4
"""Validation slices, spread over the split, whose labels TensorBoard shows after each epoch."""


class Stop:
    """A request to stop this process: `signal` is the number of the signal that asked, 0 until one does."""

    signal = 0


class _Program(NamedTuple):
    """What the loop calls: everything here is compiled or opened once."""

    begin: Callable[[], TrainState]
    train_step: Callable[..., tuple[TrainState, dict[str, Any]]]
    batches: Callable[[int], Iterator[dict[str, Any]]]
    validate: Callable[[TrainState], tuple[Validation, np.ndarray]]
    rate: Callable[[int], Any]
    mesh: jax.sharding.Mesh
    validate_every: int
    total_steps: int


def optimize(here: Run, tree: Dataset, stop: Stop) -> int:
    """Train a run from its latest checkpoint, or from scratch, to its end or until a process is asked to stop.

    A step is validated and saved before the batch after it is taken, so that a killed run, started again, sees what
    an undisturbed run sees. Metrics are read one step late, so that the host never waits for the device.

    Returns:
        The step now on disk.

    Raises:
        UserError: a loss is no longer finite; the checkpoints stay as they are.
    """
    program = _prepare(here.config, tree)
    key = _keys(here.config)[1]
    abstract = sharding.on_mesh(jax.eval_shape(program.begin), program.mesh)
    restored = checkpoint.restore_latest(here.checkpoints, abstract, console.say)
    if restored is None:
        now, card = program.begin(), None
        size = unet.count_parameters(now.params)
        console.say(f"Training {here.folder}: {size:,} parameters, {program.total_steps} steps.")
    else:
        now, card = restored
        console.say(f"Resuming {here.folder} after step {card.step} of {program.total_steps}.")
    first = int(now.step)
    batches, vote = program.batches(first), sharding.Vote(program.mesh)
    store = checkpoint.Store(here.checkpoints)
    taken = first
    with Log(here, first, program.total_steps, program.rate) as log:
        for taken in range(first, program.total_steps + 1):
            saved = taken == first and card is not None
            due = taken % program.validate_every == 0 or taken == program.total_steps
            if taken and due and not (saved and card and card.loss is not None):
                log.settle()
                numbers, panel = program.validate(now)
                log.validation(taken, numbers, panel)
                store.save(now, numbers.loss)
                saved = True
            if taken == program.total_steps or log.out_of_patience(here.config.train.patience):
                break
            if vote(stop.signal):
                log.settle()
                if not saved and taken:
                    store.save(now)
                break
            now, metrics = program.train_step(now, next(batches), key)
            log.step(taken + 1, metrics)
    return taken


def _keys(settings: Config) -> jax.Array:
    """The key of the initial parameters and the root key of all steps."""
    return jax.random.split(jax.random.key(settings.train.seed))


def _prepare(settings: Config, tree: Dataset) -> _Program:
    mesh = sharding.make_mesh(settings.train.batch)
    training, validation = (Source(tree.splits[split], settings.data) for split in ("train", "validate"))
    epoch_steps = len(training) // settings.train.batch
    total_steps = settings.train.steps or settings.train.epochs * epoch_steps
    init, apply = unet.network(settings.model)
    transform = optimizer.optimizer(settings.optim, total_steps)
    batches = partial(
        train_batches,
        training,
        settings.data,
        batch=settings.train.batch,
        seed=settings.train.seed,
        processes=distributed.process(),
        brain=settings.augment.strip > 0,
    )
    train_step = partial(
        step.train_step,
        apply=apply,
        transform=transform,
        augment=partial(augment, config=settings.augment, method=settings.data.normalise, window=settings.model.crop),
        cross_entropy=settings.optim.cross_entropy,
    )
    eval_step = score.compiled_eval_step(settings, apply, mesh)

    shown = sorted({round(i * (len(validation) - 1) / (_PANEL - 1)) for i in range(_PANEL)})

    def validate(now: TrainState) -> tuple[Validation, np.ndarray]:
        table, classes = score.score(eval_step, now.params, validation, settings.data, settings.train.batch, mesh)
        return score.headline(table), overlays.panel([validation[i] for i in shown], classes[shown])

    return _Program(
        begin=jax.jit(
            partial(optimizer.initial_state, _keys(settings)[0], (*tree.size, settings.data.channels), init, transform),
            out_shardings=sharding.replicated(mesh),
            # It runs once, and on a CPU optimizing it took much of a cold start; the bits are the same without.
            compiler_options={"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None,
        ),
        train_step=sharding.compile_train_step(train_step, mesh),
        batches=lambda first: sharding.to_devices(batches(start=first), mesh),
        validate=validate,
        rate=optimizer.schedule(settings.optim, total_steps),
        mesh=mesh,
        validate_every=settings.train.validate_every or epoch_steps,
        total_steps=total_steps,
    )
