"""The checkpoints of a run during training: saved, read back, and pruned.

A checkpoint counts as saved when it was read back. Only then older ones are removed, except the two latest and the best
by validation loss.
"""

import math
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

from oasis_jax.runs import arrays
from oasis_jax.runs.checkpoint import CheckpointInfo, best, digest, list_checkpoints_of_all, parts_of, set_aside
from oasis_jax.runs.state import TrainState
from oasis_jax.system import distributed
from oasis_jax.system.errors import UserError

_PRUNED = ".pruned"
"""Ending of the name of a checkpoint that is being removed."""


class Store:
    """The checkpoints of a run during training.

    Every process must call Orbax equally often, or it would wait for ever. So the list of checkpoints is read once and
    then kept in memory.
    """

    def __init__(self, folder: Path):
        self._folder, self._checkpoints = folder, list_checkpoints_of_all(folder)[0]
        if jax.process_index() == 0:
            _sweep(folder)
        self._prune()

    def save(self, state: TrainState, loss: float | None = None) -> None:
        """Save a state, read it back, remove older checkpoints that are no longer needed, and return.

        Args:
            state: what to save; its step becomes the name of the checkpoint.
            loss: mean validation loss of these parameters, finite; None if they were not validated.

        Raises:
            UserError: the checkpoint cannot be written, for example because the disk is full, or a process reads back
                something else than was written. Other checkpoints are not touched.
        """
        assert loss is None or math.isfinite(loss)
        step, parts = int(state.step), parts_of(state)
        values = jax.tree.map(np.asarray, parts)
        info = CheckpointInfo(step, loss, {name: digest(part) for name, part in values.items()})
        path = self._folder / str(step)
        try:
            arrays.write(path, parts | {"card": _content(info)})
        except OSError as error:
            raise UserError(
                f"Cannot write the checkpoint of step {step} to {self._folder}: {error}. Correct this and start "
                "the same command again; older checkpoints are kept."
            ) from error
        if not (_all_see(path) and all(distributed.all_gather(_reads_back(path, values, info)))):
            raise UserError(
                f"The checkpoint of step {step} was written to {self._folder} but cannot be read back; it is now "
                f"called {set_aside(path)}. Check that disk and start the same command again; older checkpoints are "
                "kept."
            )
        self._checkpoints.append(info)
        self._prune()

    def _prune(self) -> None:
        """Remove all but the two latest and the best; do not touch those that cannot be read."""
        kept = {info.step for info in (*self._checkpoints[-2:], best(self._checkpoints)) if info}
        for info in self._checkpoints:
            if info.step not in kept and jax.process_index() == 0:
                # Renamed first: if the process is killed here, no half checkpoint keeps its name.
                pruned = self._folder / f"{info.step}{_PRUNED}"
                (self._folder / str(info.step)).rename(pruned)
                shutil.rmtree(pruned, ignore_errors=True)
        self._checkpoints = [info for info in self._checkpoints if info.step in kept]


def _content(info: CheckpointInfo) -> dict[str, Any]:
    """The content of a checkpoint's `card` on disk."""
    return info.digests if info.loss is None else info.digests | {"loss": float(info.loss)}


def _all_see(path: Path) -> bool:
    """Whether every process sees a new folder; a network file system may need some time to show it."""
    deadline = time.monotonic() + distributed.SHARED_SECONDS
    while not path.is_dir() and time.monotonic() < deadline:
        with suppress(OSError):
            os.listdir(path.parent)
        time.sleep(0.1)
    return all(distributed.all_gather(path.is_dir()))


def _reads_back(path: Path, parts: dict[str, Any], info: CheckpointInfo) -> bool:
    """Whether a checkpoint that was just written can be read and is what it should be."""
    try:
        written = arrays.read_alone(path, parts | {"card": None})
        return written["card"] == _content(info) and all(digest(written[name]) == info.digests[name] for name in parts)
    except (OSError, RuntimeError, *arrays.DAMAGE):
        return False


def _sweep(folder: Path) -> None:
    """Remove what killed processes had half written or half removed."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        step, _, rest = entry.name.partition(".")
        if step.isdecimal() and f".{rest}".startswith((_PRUNED, arrays.HALF_WRITTEN)):
            shutil.rmtree(entry, ignore_errors=True)
