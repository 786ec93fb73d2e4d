"""The training loop: restore; then step by step validate and save if due, take a batch, step, log."""

from dataclasses import replace

import jax

from oasis_jax.network import unet
from oasis_jax.runs import checkpoint
from oasis_jax.runs.folder import Run
from oasis_jax.runs.store import Store
from oasis_jax.system import console, sharding
from oasis_jax.training.log import Log
from oasis_jax.training.program import Program


class Stop:
    """A request to stop this process: `signal` is the number of the signal that asked, 0 until one does."""

    signal = 0


def optimize(run: Run, program: Program, stop: Stop) -> int:
    """Train a run from its latest checkpoint, or from scratch, to its end or until a process is asked to stop.

    A step is validated and saved before the batch after it is taken, so that a killed run, started again, sees what
    an undisturbed run sees. Metrics are read one step late, so that the host never waits for the device.

    Returns:
        The step now on disk.

    Raises:
        UserError: a loss is no longer finite; the checkpoints stay as they are.
    """
    abstract = sharding.abstract_on(jax.eval_shape(program.begin), program.mesh)
    restored = checkpoint.restore_latest(run.checkpoints, abstract, console.say)
    if restored is None:
        state, info = program.begin(), None
        state = state if program.params is None else replace(state, params=program.params)
        size = unet.count_parameters(state.params)
        console.say(f"Training {run.folder}: {size:,} parameters, {program.total_steps} steps.")
    else:
        state, info = restored
        console.say(f"Resuming {run.folder} after step {info.step} of {program.total_steps}.")
    first = int(state.step)
    batches, vote = program.batches(first), sharding.StopVote(program.mesh)
    store = Store(run.checkpoints)
    taken = first
    with Log(run, first, program.total_steps, program.rate) as log:
        for taken in range(first, program.total_steps + 1):
            saved = taken == first and info is not None
            due = taken % program.validate_every == 0 or taken == program.total_steps
            if taken and due and not (saved and info and info.loss is not None):
                log.settle()
                numbers, panel = program.validate(state)
                log.validation(taken, numbers, panel)
                store.save(state, numbers.loss)
                saved = True
            if taken == program.total_steps or log.out_of_patience(program.patience):
                break
            if vote(stop.signal):
                log.settle()
                if not saved and taken:
                    store.save(state)
                break
            state, metrics = program.train_step(state, next(batches), program.key)
            log.step(taken + 1, metrics)
    return taken
