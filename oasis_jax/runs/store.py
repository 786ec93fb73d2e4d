"""The checkpoints of a run that is being trained: saved, read back, and pruned.

A checkpoint counts as saved when it was read back; only then older ones are removed, all but the two latest and the
best by validation loss.
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
"""What follows the step in the name of a checkpoint that is being removed."""

_SHARED_SECONDS = 20
"""How long a network file system may take to show one host what another wrote."""


class Store:
    """The checkpoints of a run that is being trained.

    Every process must call Orbax equally often, or it would wait for ever; so the list of checkpoints is read once
    and then kept in memory.
    """

    def __init__(self, folder: Path):
        self._folder, self._checkpoints = folder, list_checkpoints_of_all(folder)[0]
        if jax.process_index() == 0:
            _sweep(folder)
        self._prune()

    def save(self, state: TrainState, loss: float | None = None) -> None:
        """Save a state, read it back, remove older checkpoints that are no longer needed, and return.

        Args:
            state: what to save; its step is the checkpoint's name.
            loss: mean validation loss of these parameters; it must be finite.

        Raises:
            UserError: the disk is full, something else keeps the checkpoint from being written, or what a process
                reads back is not what was written; no other checkpoint is touched.
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
                f"Cannot write the checkpoint of step {step} to {self._folder}: {error}. Mend that and start "
                "the same command again; the checkpoints that are there stay."
            ) from error
        if not (_all_see(path) and all(distributed.all_gather(_reads_back(path, values, info)))):
            raise UserError(
                f"The checkpoint of step {step} was written to {self._folder} but cannot be read back; it is now "
                f"called {set_aside(path)}. Check that disk and start the same command again; the checkpoints that "
                "are there stay."
            )
        self._checkpoints.append(info)
        self._prune()

    def _prune(self) -> None:
        """Remove all but the two latest and the best; what cannot be read is left alone."""
        kept = {info.step for info in (*self._checkpoints[-2:], best(self._checkpoints)) if info}
        for info in self._checkpoints:
            if info.step not in kept and jax.process_index() == 0:
                leaving = self._folder / f"{info.step}{_PRUNED}"  # no half of a checkpoint, whoever is killed meanwhile
                (self._folder / str(info.step)).rename(leaving)
                shutil.rmtree(leaving, ignore_errors=True)
        self._checkpoints = [info for info in self._checkpoints if info.step in kept]


def _content(info: CheckpointInfo) -> dict[str, Any]:
    """What a checkpoint's `card` on disk holds."""
    return info.digests if info.loss is None else info.digests | {"loss": float(info.loss)}


def _all_see(path: Path) -> bool:
    """Whether every process sees a new folder; a network file system may take its time to show it."""
    deadline = time.monotonic() + _SHARED_SECONDS
    while not path.is_dir() and time.monotonic() < deadline:
        with suppress(OSError):
            os.listdir(path.parent)
        time.sleep(0.1)
    return all(distributed.all_gather(path.is_dir()))


def _reads_back(path: Path, parts: dict[str, Any], info: CheckpointInfo) -> bool:
    """Whether a checkpoint just written can be read and is what was to be written."""
    try:
        found = arrays.read_alone(path, parts | {"card": None})
        return found["card"] == _content(info) and all(digest(found[name]) == info.digests[name] for name in parts)
    except (OSError, RuntimeError, *arrays.DAMAGE):
        return False


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half written or half removed."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        step, _, rest = entry.name.partition(".")
        if step.isdecimal() and f".{rest}".startswith((_PRUNED, arrays.HALF_WRITTEN)):
            shutil.rmtree(entry, ignore_errors=True)
