"""The training loop: restore, then repeat: validate and save if due, take a batch, take a step, log."""

from dataclasses import replace

import jax

from oasis_jax.network import unet
from oasis_jax.runs import checkpoint
from oasis_jax.runs.checkpoint import CheckpointInfo
from oasis_jax.runs.folder import Run
from oasis_jax.runs.state import TrainState
from oasis_jax.runs.store import Store
from oasis_jax.system import console, sharding
from oasis_jax.training.log import Log
from oasis_jax.training.program import Program
from oasis_jax.training.stop import Stop


def optimize(run: Run, program: Program, stop: Stop) -> int:
    """Train a run from its latest checkpoint, or from scratch, to its end or until a process receives a stop signal.

    Each step is validated and saved before the next batch is taken. So a run that is killed and started again sees the
    same batches as an uninterrupted run. Metrics are read one step late, so that the host never waits for the device.

    Args:
        run: the run folder.
        program: the training.
        stop: a request to stop, which a signal handler may set at any time.

    Returns:
        The number of the last step, which is saved; 0 if there is nothing to save.

    Raises:
        UserError: a loss or a gradient norm is not finite; the checkpoints stay as they are.
    """
    state, info = _start(run, program)
    first = int(state.step)
    batches, vote = program.batches(first), sharding.StopVote(program.mesh)
    store = Store(run.checkpoints)
    step = first
    with Log(run, first, program.total_steps) as log:
        for step in range(first, program.total_steps + 1):
            saved = step == first and info is not None
            validated = saved and info is not None and info.loss is not None
            due = step > 0 and (step % program.validate_every == 0 or step == program.total_steps)
            if due and not validated:
                log.settle()
                scores, panel = program.validate(state)
                log.validation(step, scores, panel)
                store.save(state, scores.loss)
                saved = True
            if step == program.total_steps or log.out_of_patience(program.patience):
                break
            if vote(stop.signal):
                log.settle()
                if not saved and step:
                    store.save(state)
                break
            rate = program.rate(step)
            state, metrics = program.train_step(state, next(batches), program.step_key, rate)
            log.step(step + 1, metrics | {"learning_rate": rate})
    return step


def _start(run: Run, program: Program) -> tuple[TrainState, CheckpointInfo | None]:
    """The state of the latest checkpoint, or the initial state and None."""
    abstract = sharding.abstract_on(jax.eval_shape(program.begin, program.init_key), program.mesh)
    if restored := checkpoint.restore_latest(run.checkpoints, abstract, console.say):
        console.say(f"Resuming {run.folder} after step {restored[1].step} of {program.total_steps}.")
        return restored
    state = program.begin(program.init_key)
    if program.params is not None:
        state = replace(state, params=program.params)
    size = unet.count_parameters(state.params)
    console.say(f"Training {run.folder}: {size:,} parameters, {program.total_steps} steps.")
    return state, None
