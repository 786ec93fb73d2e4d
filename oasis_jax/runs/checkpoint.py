"""Checkpoints of a run: the only file that knows Orbax.

A checkpoint holds `params`, `rest` (step and optimizer state) and a `card`: the validation loss, if the step was
validated, and a SHA-256 of each part. Orbax's own checksums miss damage inside compressed arrays, so what is read is
compared with the card. A checkpoint counts as saved when it was read back; only then older ones are removed, all but
the two latest and the best by validation loss.
"""

import hashlib
import itertools
import logging
import math
import os
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from oasis_jax.runs.state import TrainState
from oasis_jax.system import distributed
from oasis_jax.system.errors import UserError

Say = Callable[[str], None]

_PRUNED = ".pruned"
_HALF_WRITTEN = ".orbax-checkpoint-tmp"
"""What follows the step in the name of a checkpoint that Orbax has not finished."""

_SHARED_SECONDS = 20
"""How long a network file system may take to show one host what another wrote."""

_UNREADABLE = ("\\", "gs:/")
_PATTERN = ("[", "*", "?")
"""What a path must not hold where Orbax writes: it looks for what it wrote by a pattern that starts with the path."""

# Orbax drops a coroutine where it fails on a damaged checkpoint; the damage is reported, so nobody needs to hear of it.
warnings.filterwarnings("ignore", "coroutine .*_background_load.* was never awaited", RuntimeWarning)


class Card(NamedTuple):
    """One checkpoint on disk: `loss` is its validation loss, or None if it was saved between validations."""

    step: int
    loss: float | None
    digests: dict[str, str]


def check_folder(folder: Path) -> None:
    """Refuse a folder, or one above it, whose name keeps Orbax from finding again what it wrote there.

    Raises:
        UserError: the absolute path holds what Orbax takes for a pattern, or what it cannot read.
    """
    _refuse(folder, (*_PATTERN, *_UNREADABLE), "kept")


class Store:
    """The checkpoints of a run that is being trained.

    Every process calls Orbax equally often, or it would wait for ever; so the cards are read once and then remembered.
    """

    def __init__(self, folder: Path):
        self._folder, self._cards = folder, _cards_of_all(folder)[0]
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
        step, parts = int(state.step), _parts(state)
        values = jax.tree.map(np.asarray, parts)
        card = Card(step, loss, {name: digest(part) for name, part in values.items()})
        path = self._folder / str(step)
        try:
            with _quiet("absl", "asyncio"):
                ocp.save_checkpointables(str(path.absolute()), parts | {"card": _content(card)})
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"Cannot write the checkpoint of step {step} to {self._folder}: {_reason(error)}. Mend that and start "
                "the same command again; the checkpoints that are there stay."
            ) from error
        if not (_all_see(path) and all(distributed.gather(_reads_back(path, values, card)))):
            raise UserError(
                f"The checkpoint of step {step} was written to {self._folder} but cannot be read back; it is now "
                f"called {_set_aside(path)}. Check that disk and start the same command again; the checkpoints that "
                "are there stay."
            )
        self._cards.append(card)
        self._prune()

    def _prune(self) -> None:
        """Remove all but the two latest and the best; what cannot be read is left alone."""
        kept = {card.step for card in (*self._cards[-2:], best(self._cards)) if card}
        for card in self._cards:
            if card.step not in kept and jax.process_index() == 0:
                leaving = self._folder / f"{card.step}{_PRUNED}"  # no half of a checkpoint, whoever is killed meanwhile
                (self._folder / str(card.step)).rename(leaving)
                shutil.rmtree(leaving, ignore_errors=True)
        self._cards = [card for card in self._cards if card.step in kept]


def _content(card: Card) -> dict[str, Any]:
    """What a checkpoint holds of its card."""
    return card.digests if card.loss is None else card.digests | {"loss": float(card.loss)}


def _all_see(path: Path) -> bool:
    """Whether every process sees a new folder; a network file system may take its time to show it."""
    deadline = time.monotonic() + _SHARED_SECONDS
    while not path.is_dir() and time.monotonic() < deadline:
        with suppress(OSError):
            os.listdir(path.parent)
        time.sleep(0.1)
    return all(distributed.gather(path.is_dir()))


def _reads_back(path: Path, parts: dict[str, Any], card: Card) -> bool:
    """Whether a checkpoint just written can be read and is what was to be written."""
    alone = ocp.Context()  # or a process that can read it would wait for one that cannot
    alone.multiprocessing.primary_host = jax.process_index()
    alone.multiprocessing.active_processes = {jax.process_index()}
    try:
        with alone:
            found = _load(path, parts | {"card": None})
        return found["card"] == _content(card) and all(digest(found[name]) == card.digests[name] for name in parts)
    except (OSError, RuntimeError, *_DAMAGE):
        return False


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half written or half removed."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        step, _, rest = entry.name.partition(".")
        if step.isdecimal() and f".{rest}".startswith((_PRUNED, _HALF_WRITTEN)):
            shutil.rmtree(entry, ignore_errors=True)


class OtherArrays(UserError):
    """A sound checkpoint holds other arrays than are asked for."""


def digest(tree: Any) -> str:
    """SHA-256 over names, types, shapes and bytes of all leaves of a pytree."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        value = np.asarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)} {value.dtype} {value.shape}\n".encode())
        sha.update(np.ascontiguousarray(value).data)
    return sha.hexdigest()


def cards(folder: Path) -> tuple[list[Card], list[int]]:
    """The checkpoints in a folder, by step, and the steps whose checkpoint is damaged."""
    good, damaged = [], []
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    for step in sorted(int(name) for name in names if name.isdecimal()):
        try:
            card = _load(folder / str(step), {"card": None})["card"]
            loss = float(card["loss"]) if "loss" in card else None
            good.append(Card(step, loss, {name: card[name] for name in ("params", "rest")}))
        except _DAMAGE:
            damaged.append(step)
    return good, damaged


def by_loss(found: list[Card]) -> list[Card]:
    """The validated ones, the lowest loss first; the earlier of equals first."""
    return sorted((card for card in found if card.loss is not None), key=lambda card: (card.loss, card.step))


def best(found: list[Card]) -> Card | None:
    """The card with the lowest validation loss."""
    return next(iter(by_loss(found)), None)


def restore_latest(folder: Path, abstract: TrainState, say: Say) -> tuple[TrainState, Card] | None:
    """Restore the latest sound checkpoint; set later, damaged ones aside under the name `damaged-STEP`.

    Args:
        folder: the run's checkpoints.
        abstract: shapes, types and shardings to restore to, whatever devices the checkpoint was written from.
        say: told about each damaged checkpoint.

    Returns:
        The state and its card, or None if nothing was ever saved.

    Raises:
        UserError: there are checkpoints, but none is sound, or they hold other arrays.
    """
    found, damaged = _cards_of_all(folder)
    restored = None
    while found and restored is None:
        try:
            restored = TrainState(**_unpack(restore_parts(folder, found[-1], _parts(abstract)))), found[-1]
        except OtherArrays:
            raise
        except UserError:
            restored = None
        read = distributed.gather(restored and restored[1].digests)
        if read[0] is None or any(digests != read[0] for digests in read):  # not all processes can read it
            restored = None
            damaged.append(found.pop().step)
    if damaged and restored is None:
        raise UserError(f"No checkpoint in {folder} can be read any more: name another --run to start anew.")
    for step in damaged:
        name = _set_aside(folder / str(step))
        say(f"The checkpoint of step {step} is damaged; it is now called {name}.")
    return restored


def _cards_of_all(folder: Path) -> tuple[list[Card], list[int]]:
    """`cards`, the same in every process: what is not sound for all of them, or not there yet, counts as damaged."""
    found, damaged = cards(folder)
    listed = distributed.gather([[card.step for card in found], damaged])
    sound = set.intersection(*(set(steps) for steps, _ in listed))
    named = {step for both in listed for steps in both for step in steps}
    return [card for card in found if card.step in sound], sorted(named - sound)


def restore_parts(folder: Path, card: Card, abstract: dict[str, Any]) -> dict[str, Any]:
    """Restore the named parts (`params`, `rest`) of a checkpoint and compare them with its card.

    Raises:
        UserError: a part is damaged.
        OtherArrays: names, types or shapes are not those asked for.
    """
    if different := _difference(folder / str(card.step), card, abstract):
        raise OtherArrays(
            f"The checkpoint of step {card.step} in {folder} holds other arrays than this program uses "
            f"({different}): take the version and the settings that wrote it, or train anew under another --run."
        )
    try:
        parts = _load(folder / str(card.step), abstract)
        if any(digest(part) != card.digests[name] for name, part in parts.items()):
            raise ValueError("the arrays are not those that were saved")
    except _DAMAGE as error:
        raise UserError(f"The checkpoint of step {card.step} in {folder} is damaged.") from error
    return parts


def _difference(path: Path, card: Card, abstract: dict[str, Any]) -> str | None:
    """The first of sound parameters whose name, type or shape is not the one asked for; None where there is none."""
    if "params" not in abstract:
        return None
    try:
        with _quiet("asyncio", "absl"):
            stored = _kinds(ocp.checkpointables_metadata(str(path.absolute())).metadata["params"])
        asked = _kinds(abstract["params"])
        # Damage can look like other names, so what is there must be what was saved.
        if stored == asked or digest(_load(path, {"params": None})["params"]) != card.digests["params"]:
            return None
    except _DAMAGE:
        return None
    name = min(name for name in asked.keys() | stored.keys() if asked.get(name) != stored.get(name))
    return f"params{name} is {stored.get(name, 'absent')}, not {asked.get(name, 'there')}"


def _kinds(tree: Any) -> dict[str, str]:
    """Type and shape of each array, by its name."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): f"{leaf.dtype} {tuple(leaf.shape)}" for path, leaf in leaves}


def _reason(error: Exception) -> str:
    """The system's own words where TensorStore hides its error number in a long text."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(number[1])) if number else str(error).splitlines()[0]


# What Orbax, TensorStore and JSON raise on files that were cut short, altered or are missing. Other errors of the
# system (no rights, no memory, too many open files) are no damage and pass through.
_DAMAGE = (ValueError, KeyError, TypeError, FileNotFoundError, NotADirectoryError, EOFError, AttributeError, IndexError)


def _load(path: Path, abstract: dict[str, Any]) -> dict[str, Any]:
    _refuse(path.parent, _UNREADABLE, "read")
    with _quiet("asyncio", "absl"):  # where Orbax writes tracebacks about damaged files
        return ocp.load_checkpointables(str(path.absolute()), abstract)


def _refuse(folder: Path, unfit: Sequence[str], verb: str) -> None:
    path = f"{folder.absolute()}/"
    held = [f"'{part}'" for part in unfit if part in path]
    if os.fsencode(path).decode(errors="replace") != path:
        held.append("bytes that are no UTF-8")
    if held:
        raise UserError(
            f"Checkpoints cannot be {verb} in {folder}, because its absolute path holds {' and '.join(held)}: "
            "give the run another place, or name a link to it whose own path is plain."
        )


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _parts(state: TrainState) -> dict[str, Any]:
    return {"params": state.params, "rest": {"step": state.step, "opt_state": state.opt_state}}


def _unpack(parts: dict[str, Any]) -> dict[str, Any]:
    return {"params": parts["params"], **parts["rest"]}


def _set_aside(path: Path) -> str:
    names = (f"damaged-{path.name}{f'-{n}' if n else ''}" for n in itertools.count())
    free = next(name for name in names if not path.with_name(name).exists())
    distributed.meet()  # all have found the name
    if jax.process_index() == 0 and path.exists():
        path.rename(path.with_name(free))
    distributed.meet()
    return free
