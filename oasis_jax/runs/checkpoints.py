"""The checkpoints of a run: listed once, restored, saved, read back and pruned.

A checkpoint counts as saved when it was read back. Only then older ones are removed, except the two latest and the best
by validation loss. Orbax's `Checkpointer` can keep the same ones, but it removes others before its `save` returns, so
that a new checkpoint that cannot be read costs the best one; it finds no loss in checkpoints of earlier versions, whose
best it would remove; and a single damaged file of metrics keeps it from listing any checkpoint.
"""

import math
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

from oasis_jax.runs import arrays, checkpoint
from oasis_jax.runs.checkpoint import CheckpointInfo, OtherArrays
from oasis_jax.runs.state import TrainState
from oasis_jax.system import console, distributed
from oasis_jax.system.errors import UserError

_PRUNED = ".pruned"
"""Ending of the name of a checkpoint that is being removed."""


class Checkpoints:
    """The checkpoints in a folder. All processes list the same ones, and must call each method equally often.

    The folder is read once. `sound` holds its checkpoints by step, and `damaged` the steps of those that a process
    cannot read.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        found, damaged = _read_cards(folder)
        listed = distributed.all_gather([[info.step for info in found], damaged])
        common = set.intersection(*(set(steps) for steps, _ in listed))
        every = {step for both in listed for steps in both for step in steps}
        self.sound = [info for info in found if info.step in common]
        self.damaged = sorted(every - common)

    @property
    def latest(self) -> CheckpointInfo | None:
        return self.sound[-1] if self.sound else None

    @property
    def best(self) -> CheckpointInfo | None:
        """The one with the lowest validation loss."""
        return next(iter(self.by_loss()), None)

    def by_loss(self) -> list[CheckpointInfo]:
        """Those that were validated, lowest loss first; of equal ones, the earlier first."""
        return sorted((info for info in self.sound if info.loss is not None), key=lambda info: (info.loss, info.step))

    def holds(self, step: int) -> bool:
        """Whether there is one of this step."""
        return any(info.step == step for info in self.sound)

    def validated(self, step: int) -> bool:
        """Whether there is one of this step, with its validation loss."""
        return any(info.step == step for info in self.by_loss())

    def restore(self, info: CheckpointInfo, abstract: dict[str, Any]) -> dict[str, Any]:
        """As `checkpoint.restore_parts`."""
        return checkpoint.restore_parts(self._folder, info, abstract)

    def restore_latest(self, abstract: TrainState, say: Callable[[str], None] = console.say) -> TrainState | None:
        """Restore the latest that is sound; rename later, damaged ones to `damaged-STEP`.

        Args:
            abstract: shapes, types and shardings of the state; the checkpoint may come from other devices.
            say: takes a sentence about each damaged checkpoint.

        Returns:
            The state of `latest`, or None if nothing was ever saved.

        Raises:
            UserError: there are checkpoints, but none is sound, or they hold other arrays.
        """
        state = None
        while state is None and (latest := self.latest):
            state = self._try(latest, abstract)
            read = distributed.all_gather(None if state is None else latest.digests)
            if read[0] is None or any(digests != read[0] for digests in read):  # not all processes can read it
                state = None
                self.damaged.append(self.sound.pop().step)
        if self.damaged and state is None:
            raise UserError(f"No checkpoint in {self._folder} can be read any more: name another --run to start again.")
        for step in self.damaged:
            name = checkpoint.set_aside(self._folder / str(step))
            say(f"The checkpoint of step {step} is damaged; it is now called {name}.")
        self.damaged = []
        return state

    def _try(self, info: CheckpointInfo, abstract: TrainState) -> TrainState | None:
        try:
            parts = self.restore(info, checkpoint.parts_of(abstract))
        except OtherArrays:
            raise
        except UserError:
            return None
        return TrainState(params=parts["params"], **parts["rest"])

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
        step, parts = int(state.step), checkpoint.parts_of(state)
        values = jax.tree.map(np.asarray, parts)
        info = CheckpointInfo(step, loss, {name: checkpoint.digest(part) for name, part in values.items()})
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
                f"called {checkpoint.set_aside(path)}. Check that disk and start the same command again; older "
                "checkpoints are kept."
            )
        self.sound.append(info)
        self._prune()

    def tidy(self) -> None:
        """Remove what killed processes had half written or half removed, and checkpoints that are no longer needed."""
        if jax.process_index() == 0:
            for entry in self._folder.iterdir() if self._folder.is_dir() else ():
                step, _, rest = entry.name.partition(".")
                if step.isdecimal() and f".{rest}".startswith((_PRUNED, arrays.HALF_WRITTEN)):
                    shutil.rmtree(entry, ignore_errors=True)
        self._prune()

    def _prune(self) -> None:
        """Remove all but the two latest and the best; do not touch those that cannot be read."""
        kept = {info.step for info in (*self.sound[-2:], self.best) if info}
        for info in self.sound:
            if info.step not in kept and jax.process_index() == 0:
                # Renamed first: if the process is killed here, no half checkpoint keeps its name.
                pruned = self._folder / f"{info.step}{_PRUNED}"
                (self._folder / str(info.step)).rename(pruned)
                shutil.rmtree(pruned, ignore_errors=True)
        self.sound = [info for info in self.sound if info.step in kept]


def _read_cards(folder: Path) -> tuple[list[CheckpointInfo], list[int]]:
    """The checkpoints that this process can read, and the steps of the damaged ones."""
    good, damaged = [], []
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    for step in sorted(int(name) for name in names if name.isdecimal()):
        try:
            card = arrays.read(folder / str(step), {"card": None})["card"]
            loss = float(card["loss"]) if "loss" in card else None
            good.append(CheckpointInfo(step, loss, {name: card[name] for name in ("params", "rest")}))
        except arrays.DAMAGE:
            damaged.append(step)
    return good, damaged


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
        sound = all(checkpoint.digest(written[name]) == info.digests[name] for name in parts)
        return sound and written["card"] == _content(info)
    except (OSError, RuntimeError, *arrays.DAMAGE):
        return False
