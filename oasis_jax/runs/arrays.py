"""Named arrays in a folder: the only file that knows Orbax."""

import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from oasis_jax.system.errors import UserError

HALF_WRITTEN = ".orbax-checkpoint-tmp"
"""What follows the name of a folder that Orbax has not finished."""

_UNREADABLE = ("\\", "gs:/")
_PATTERN = ("[", "*", "?")
"""What a path must not hold where Orbax writes: it looks for what it wrote by a pattern that starts with the path."""

# What Orbax, TensorStore and JSON raise on files that were cut short, altered or are missing. Other errors of the
# system (no rights, no memory, too many open files) are no damage and pass through.
DAMAGE = (ValueError, KeyError, TypeError, FileNotFoundError, NotADirectoryError, EOFError, AttributeError, IndexError)

# Orbax drops a coroutine where it fails on a damaged checkpoint; the damage is reported, so nobody needs to hear of it.
warnings.filterwarnings("ignore", "coroutine .*_background_load.* was never awaited", RuntimeWarning)


def check_folder(folder: Path) -> None:
    """Refuse a folder, or one above it, whose name keeps Orbax from finding again what it wrote there.

    Raises:
        UserError: the absolute path holds what Orbax takes for a pattern, or what it cannot read.
    """
    _refuse(folder, (*_PATTERN, *_UNREADABLE), "kept")


def write(path: Path, parts: dict[str, Any]) -> None:
    """Write parts to a new folder. Every process must call it equally often, or it would wait for ever.

    Raises:
        OSError, with the system's own words: the disk is full, say, or something else keeps it from being written.
    """
    try:
        with _quiet("absl", "asyncio"):
            ocp.save_checkpointables(str(path.absolute()), parts)
    except (OSError, ValueError, RuntimeError) as error:
        raise OSError(_reason(error)) from error


def read(path: Path, abstract: dict[str, Any]) -> dict[str, Any]:
    """Read the parts that `abstract` names, onto the shapes and shardings it asks for; None takes what is there.

    Raises:
        UserError: Orbax cannot read under such a path.
        DAMAGE: files were cut short or altered, or are missing.
    """
    _refuse(path.parent, _UNREADABLE, "read")
    with _quiet("asyncio", "absl"):  # where Orbax writes tracebacks about damaged files
        return ocp.load_checkpointables(str(path.absolute()), abstract)


def read_alone(path: Path, abstract: dict[str, Any]) -> dict[str, Any]:
    """As `read`, but a process that can read it does not wait for one that cannot."""
    alone = ocp.Context()
    alone.multiprocessing.primary_host = jax.process_index()
    alone.multiprocessing.active_processes = {jax.process_index()}
    with alone:
        return read(path, abstract)


def shapes(path: Path, part: str) -> Any:
    """A part's tree of names, types and shapes, without its values; raises as `read`."""
    with _quiet("asyncio", "absl"):
        return ocp.checkpointables_metadata(str(path.absolute())).metadata[part]


def _reason(error: Exception) -> str:
    """The system's own words where TensorStore hides its error number in a long text."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(number[1])) if number else str(error).splitlines()[0]


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
