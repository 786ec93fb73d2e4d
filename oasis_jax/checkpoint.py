"""Checkpoints of a run: the only file that knows Orbax.

A checkpoint holds `params`, `rest` (step and optimizer state) and a `card`: the validation loss, if the step was
validated, and a SHA-256 of each part. Orbax's own checksums miss damage inside compressed arrays, so what is read is
compared with the card. The two latest and the best by validation loss are kept.
"""

import hashlib
import itertools
import logging
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from oasis_jax import hosts
from oasis_jax.errors import UserError
from oasis_jax.state import TrainState

Say = Callable[[str], None]

# Orbax drops a coroutine where it fails on a damaged checkpoint; the damage is reported, so nobody needs to hear of it.
warnings.filterwarnings("ignore", "coroutine .*_background_load.* was never awaited", RuntimeWarning)


class Card(NamedTuple):
    """One checkpoint on disk: `loss` is its validation loss, or None if it was saved between validations."""

    step: int
    loss: float | None
    digests: dict[str, str]


class _LatestTwoAndBest:
    """Which checkpoints Orbax keeps. Losses come from the cards: a loss of Orbax's own has no checksum."""

    def __init__(self, losses: dict[int, float]):
        self.losses = losses

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        steps = [checkpoint.step for checkpoint in checkpoints]
        validated = [step for step in steps if step in self.losses]
        kept = {*steps[-2:], *([min(validated, key=self.losses.__getitem__)] if validated else [])}
        return [step in kept for step in steps]


class Store:
    """The checkpoints of a run that is being trained; use it in a `with` statement."""

    def __init__(self, folder: Path):
        self._folder, self._failed = folder, False
        self._policy = _LatestTwoAndBest({c.step: c.loss for c in cards(folder)[0] if c.loss is not None})
        self._checkpointer = ocp.training.Checkpointer(
            str(folder.absolute()),
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),  # pyright: ignore
            preservation_policy=self._policy,
            cleanup_tmp_directories=True,
        )

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        with _quiet("absl", "asyncio"), suppress(Exception) if self._failed else nullcontext():
            self._checkpointer.close()  # raises once more what made a save fail

    def save(self, state: TrainState, loss: float | None = None) -> None:
        """Save a state, and return when it is safely on disk.

        Args:
            state: what to save; its step is the checkpoint's name.
            loss: mean validation loss of these parameters; it must be finite.

        Raises:
            UserError: the disk is full, or something else keeps the checkpoint from being written.
        """
        assert loss is None or math.isfinite(loss)
        step, parts = int(state.step), _parts(state)
        card: dict[str, Any] = {name: digest(part) for name, part in parts.items()}
        if loss is not None:
            card["loss"] = self._policy.losses[step] = loss
        try:
            with _quiet("absl", "asyncio"):
                self._checkpointer.save_checkpointables(step, parts | {"card": card})
        except (OSError, ValueError, RuntimeError) as error:
            self._failed = True
            raise UserError(
                f"Cannot write the checkpoint of step {step} to {self._folder}: {_reason(error)}. Mend that and start "
                "the same command again; the checkpoints that are there stay."
            ) from error


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
        read = hosts.gather(restored and restored[1].digests)
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
    listed = hosts.gather([[card.step for card in found], damaged])
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
    with _quiet("asyncio", "absl"):  # where Orbax writes tracebacks about damaged files
        return ocp.load_checkpointables(str(path.absolute()), abstract)


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
    hosts.meet()  # all have found the name
    if jax.process_index() == 0 and path.exists():
        path.rename(path.with_name(free))
    hosts.meet()
    return free
