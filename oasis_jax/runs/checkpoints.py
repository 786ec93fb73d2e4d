"""The checkpoints of a run: listed once, restored, saved, read back and pruned.

A checkpoint holds `params`, `rest` (step and optimizer state) and a `card`: the validation loss, if the step was
validated, and a SHA-256 of each part. Everything that is read is compared with its SHA-256, because Orbax's own
checksums miss damage inside compressed arrays.

A checkpoint counts as saved when it was read back. Only then older ones are removed, except the two latest and the best
by validation loss. Orbax's `Checkpointer` can keep the same ones, but it removes others before its `save` returns, so
that a new checkpoint that cannot be read costs the best one; it finds no loss in checkpoints of earlier versions, whose
best it would remove; and a single damaged file of metrics keeps it from listing any checkpoint.
"""

import hashlib
import itertools
import math
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path

from oasis_jax.runs import arrays
from oasis_jax.runs.state import TrainState
from oasis_jax.system import console, distributed
from oasis_jax.system.errors import UserError

_PRUNED = ".pruned"
"""Ending of the name of a checkpoint that is being removed."""


class CheckpointInfo(NamedTuple):
    """One checkpoint on disk: `loss` is its validation loss, or None if it was saved between validations."""

    step: int
    loss: float | None
    digests: dict[str, str]


class Damaged(UserError):
    """A checkpoint does not hold what was saved."""


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

    def find(self, step: int) -> CheckpointInfo | None:
        """The one of a step, if there is one."""
        return next((info for info in self.sound if info.step == step), None)

    def restore(self, info: CheckpointInfo, like: dict[str, Any]) -> dict[str, Any]:
        """Restore the parts that `like` names (`params`, `rest`) as numpy arrays, and check their digests.

        A process does not wait for the others here.

        Raises:
            Damaged: a part is not what was saved.
            UserError: names, types or shapes of the parameters differ from those of `like`.
        """
        path, restored = self._folder / str(info.step), {}
        for name, asked in like.items():
            try:
                stored = arrays.shapes(path, name) if name == "params" else asked
                restored[name] = arrays.read(path, {name: stored})[name]
                if digest(restored[name]) != info.digests[name]:
                    raise ValueError("the arrays differ from those that were saved")
            except arrays.DAMAGE as error:
                raise Damaged(f"The checkpoint of step {info.step} in {self._folder} is damaged.") from error
            if name == "params" and (different := difference(restored[name], asked)):
                raise UserError(
                    f"The checkpoint of step {info.step} in {self._folder} holds other arrays than this program uses "
                    f"({different}): use the version and the settings that wrote it, or train again with another --run."
                )
        return restored

    def restore_latest(self, like: TrainState) -> TrainState | None:
        """Restore the latest that is sound, as numpy arrays with the shapes and types of `like`.

        Later, damaged ones are renamed to `damaged-STEP`.

        Returns:
            The state of `latest`, or None if nothing was ever saved.

        Raises:
            UserError: there are checkpoints, but none is sound, or they hold other arrays.
        """
        state = None
        while state is None and (latest := self.latest):
            with suppress(Damaged):
                parts = self.restore(latest, _parts(like))
                state = TrainState(params=parts["params"], **parts["rest"])
            read = distributed.all_gather(None if state is None else latest.digests)
            if read[0] is None or any(digests != read[0] for digests in read):  # not all processes can read it
                state = None
                self.damaged.append(self.sound.pop().step)
        if self.damaged and state is None:
            raise UserError(f"No checkpoint in {self._folder} can be read any more: name another --run to start again.")
        for step in self.damaged:
            name = _set_aside(self._folder / str(step))
            console.say(f"The checkpoint of step {step} is damaged; it is now called {name}.")
        self.damaged = []
        return state

    def save(self, state: TrainState, loss: float | None = None) -> None:
        """Save a state, read it back, remove older checkpoints that are no longer needed, and return.

        Its step becomes the name of the checkpoint. `loss`, finite, is the mean validation loss of its parameters; None
        if they were not validated.

        Raises:
            UserError: the checkpoint cannot be written, for example because the disk is full, or a process reads back
                something else than was written. Other checkpoints are not touched.
        """
        assert loss is None or math.isfinite(loss)
        parts = jax.tree.map(np.asarray, _parts(state))
        info = CheckpointInfo(int(state.step), loss, {name: digest(part) for name, part in parts.items()})
        card = info.digests if loss is None else info.digests | {"loss": float(loss)}
        path = self._folder / str(info.step)
        try:
            arrays.write(path, parts | {"card": card})
        except OSError as error:
            raise UserError(
                f"Cannot write the checkpoint of step {info.step} to {self._folder}: {error}. Correct this and start "
                "the same command again; older checkpoints are kept."
            ) from error
        seen = distributed.all_gather(distributed.appears(path.is_dir, path.parent))
        if not (all(seen) and all(distributed.all_gather(_reads_back(path, parts, card)))):
            raise UserError(
                f"The checkpoint of step {info.step} was written to {self._folder} but cannot be read back; it is now "
                f"called {_set_aside(path)}. Check that disk and start the same command again; older checkpoints are "
                "kept."
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


def digest(tree: Any) -> str:
    """SHA-256 over names, types, shapes and bytes of all leaves of a pytree."""
    sha = hashlib.sha256()
    for path, leaf in tree_leaves_with_path(tree):
        value = np.asarray(leaf)
        sha.update(f"{keystr(path)} {value.dtype} {value.shape}\n".encode())
        sha.update(np.ascontiguousarray(value).data)
    return sha.hexdigest()


def difference(stored: Any, asked: Any) -> str | None:
    """The first parameter whose name, type or shape differs between two pytrees; None if there is none."""
    theirs, ours = (
        {keystr(path): f"{leaf.dtype} {tuple(leaf.shape)}" for path, leaf in tree_leaves_with_path(tree)}
        for tree in (stored, asked)
    )
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            return f"params{name} is {theirs.get(name, 'absent')}, not {ours.get(name, 'there')}"
    return None


def _parts(state: TrainState) -> dict[str, Any]:
    """The parts of a state as a checkpoint holds them."""
    return {"params": state.params, "rest": {"step": state.step, "opt_state": state.opt_state}}


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


def _reads_back(path: Path, parts: dict[str, Any], card: dict[str, Any]) -> bool:
    """Whether a checkpoint that was just written can be read and is what it should be."""
    try:
        written = arrays.read(path, parts | {"card": None})
        return written["card"] == card and all(digest(written[name]) == card[name] for name in parts)
    except (OSError, RuntimeError, *arrays.DAMAGE):
        return False


def _set_aside(path: Path) -> str:
    """Rename a damaged checkpoint, for all processes, to a free name `damaged-STEP`; return the name."""
    names = (f"damaged-{path.name}{f'-{n}' if n else ''}" for n in itertools.count())
    free = next(name for name in names if not path.with_name(name).exists())
    if jax.process_index() == 0 and path.exists():
        path.rename(path.with_name(free))
    return distributed.broadcast(free)  # the name that process 0 has chosen
