"""Named arrays in a folder: the only file that knows Orbax.

Orbax is imported where it is used: it takes long, and who predicts with a model file does not need it.
"""

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from oasis_jax.system.errors import UserError

HALF_WRITTEN = ".orbax-checkpoint-tmp"
"""What follows the name of a folder that Orbax has not finished."""

_UNREADABLE = ("\\", "gs:/", "s3:/")
"""Parts of a path under which Orbax reads nothing, or that the writer of TensorBoard takes for a store."""

_PATTERN = ("[", "*", "?")
"""Parts of a path under which Orbax must not write: it finds what it wrote by a pattern that starts with the path."""

DAMAGE = (ValueError, KeyError, TypeError, FileNotFoundError, NotADirectoryError, EOFError, AttributeError, IndexError)
"""What Orbax, TensorStore and JSON raise on files that are cut short, altered or missing. Other errors of the system
(no permission, no memory, too many open files) are no damage and pass through."""

# Orbax drops a coroutine when it fails on a damaged checkpoint. The damage is reported, so this warning is noise.
warnings.filterwarnings("ignore", "coroutine .*_background_load.* was never awaited", RuntimeWarning)


def check_folder(folder: Path, verb: Literal["kept", "read"] = "kept") -> None:
    """Refuse a folder in which checkpoints cannot be kept, because Orbax would not find them again, or cannot be read.

    Raises:
        UserError: the absolute path holds characters that Orbax takes for a pattern, or cannot read.
    """
    path, unfit = f"{folder.absolute()}/", _UNREADABLE if verb == "read" else (*_PATTERN, *_UNREADABLE)
    causes = [f"'{part}'" for part in unfit if part in path]
    if os.fsencode(path).decode(errors="replace") != path:
        causes.append("bytes that are not UTF-8")
    if causes:
        raise UserError(
            f"Checkpoints cannot be {verb} in {folder}, because its absolute path holds {' and '.join(causes)}: "
            "move the run, or give the path of a link to it that holds none of them."
        )


def write(path: Path, parts: dict[str, Any]) -> None:
    """Write parts to a new folder: trees of numpy arrays, or JSON values. Every process must call this equally often.

    Raises:
        OSError: the parts cannot be written, for example because the disk is full; with the system's own message.
    """
    from orbax.checkpoint import v1 as ocp

    try:
        with _quiet():
            ocp.save_checkpointables(str(path.absolute()), parts)
    except (OSError, ValueError, RuntimeError) as error:
        number = re.search(r"os_error_code='(\d+)'", str(error))  # TensorStore hides it in a long text
        raise OSError(os.strerror(int(number[1])) if number else str(error).splitlines()[0]) from error


def read(path: Path, like: dict[str, Any]) -> dict[str, Any]:
    """Read the parts that `like` names as numpy arrays, of its shapes and types; None reads values of JSON.

    A process that can read them does not wait for one that cannot.

    Raises:
        UserError: Orbax cannot read under such a path.
        DAMAGE: files are cut short, altered or missing.
    """
    from orbax.checkpoint import v1 as ocp

    check_folder(path.parent, "read")
    alone = ocp.Context()
    alone.multiprocessing.primary_host = jax.process_index()
    alone.multiprocessing.active_processes = {jax.process_index()}
    with _quiet(), alone:  # Orbax logs tracebacks about damaged files
        return ocp.load_checkpointables(
            str(path.absolute()), jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
        )


def shapes(path: Path, part: str) -> Any:
    """The names, types and shapes of a part, without its values; raises as `read`."""
    from orbax.checkpoint import v1 as ocp

    with _quiet():
        return ocp.checkpointables_metadata(str(path.absolute())).metadata[part]


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop all but critical messages of the loggers of Orbax."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
