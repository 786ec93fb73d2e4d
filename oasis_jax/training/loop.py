"""The training loop: restore, then repeat: validate and save if due, take a batch, take a step, log."""

import jax

from oasis_jax.network import unet
from oasis_jax.runs.checkpoints import Checkpoints
from oasis_jax.runs.folder import Run
from oasis_jax.runs.state import TrainState
from oasis_jax.system import console, distributed, sharding
from oasis_jax.training.log import Log
from oasis_jax.training.program import Program
from oasis_jax.training.stop import Stop


def optimize(run: Run, checkpoints: Checkpoints, program: Program, stop: Stop) -> None:
    """Train a run from its latest checkpoint, or from scratch, to its end or until a process receives a stop signal.

    Each step is validated and saved before the next batch is taken. So a run that is killed and started again sees the
    same batches as an uninterrupted run. Metrics are read one step late, so that the host never waits for the device.
    A signal handler may set `stop` at any time.

    Raises:
        UserError: a loss or a gradient norm is not finite; the checkpoints stay as they are.
        SystemExit: a process received a stop signal; all is saved.
    """
    state = _start(run, checkpoints, program)
    checkpoints.tidy()
    step = first = int(state.step)
    batches, vote = program.batches(first), sharding.StopVote(program.mesh)
    with Log(run, first, program.total_steps) as log:
        for step in range(first, program.total_steps + 1):
            saved = checkpoints.find(step)
            if program.is_due(step) and (saved is None or saved.loss is None):
                log.settle()
                scores, panel = program.validate(state)
                log.validation(step, scores, panel)
                checkpoints.save(state, scores.loss)
            if program.is_over(step, checkpoints.best):
                break
            if vote(stop.signal):
                log.settle()
                if step and not checkpoints.find(step):
                    checkpoints.save(state)
                break
            rate = program.rate(step)
            state, metrics = program.train_step(state, next(batches), program.step_key, rate)
            log.step(step + 1, metrics | {"learning_rate": rate})
    if number := max(distributed.all_gather(stop.signal)):
        saved = f"Saved {run.folder} after step {step}." if step else "Stopped before the first step."
        console.say(f"{saved} Start the same command again to go on.")
        raise SystemExit(128 + number)


def _start(run: Run, checkpoints: Checkpoints, program: Program) -> TrainState:
    """The state of the latest checkpoint, or the initial state."""
    if restored := checkpoints.restore_latest(jax.eval_shape(program.begin, program.init_key)):
        console.say(f"Resuming {run.folder} after step {restored.step} of {program.total_steps}.")
        return jax.device_put(restored, sharding.replicated(program.mesh))
    state = program.begin(program.init_key)
    if program.params is not None:
        state = state._replace(params=program.params)
    size = unet.count_parameters(state.params)
    console.say(f"Training {run.folder}: {size:,} parameters, {program.total_steps} steps.")
    return state
