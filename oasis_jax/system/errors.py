"""What a user can get wrong: one exception, one sentence, exit status 2."""

import atexit
import errno
import gc
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from oasis_jax.system import cache, streams

_GARBAGE = 10_000
"""New objects between two collections of garbage: tracing makes many that stay. Python's own value is 700 or 2,000."""


class UserError(Exception):
    """A mistake that the user can correct. The message names the thing and says how to correct it."""


def describe(path: Path, error: Exception) -> str:
    """One sentence about any error with one file."""
    text = next(iter(str(error).splitlines()), "")
    match error:
        case UserError():
            return str(error)
        case MemoryError():
            return f"{path} needs more memory than there is"
        case OSError() if error.strerror:
            return f"{path} cannot be read: {error.strerror}"
    return f"{path} cannot be used: {type(error).__name__}{f', {text}' if text else ''}"


def leave_some(sentence: str) -> NoReturn:
    """Print what could not be done although the rest was, and exit with status 1."""
    print(f"error: {sentence}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def run_command(command: Callable[[], None]) -> None:
    """Run a command and turn whatever ends it into a message and an exit status.

    A `UserError` or a failing disk gives a sentence on stderr and status 2, Ctrl-C gives status 130.
    """
    streams.open_streams()
    gc.set_threshold(_GARBAGE)
    warnings.showwarning = _tell_warning
    try:
        try:
            command()
        except SystemExit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()  # fails here if the disk is full
    except (Exception, KeyboardInterrupt) as error:
        if (explanation := explain(error)) is None:
            raise
        leave(*explanation)


def explain(error: BaseException) -> tuple[str, int] | None:
    """The message and exit status for an exception; None if it is unexpected."""
    match error:
        case UserError():
            return f"error: {error}", 2
        case BrokenPipeError():  # the reader of the output has closed it
            return "", 141
        case KeyboardInterrupt():
            return "Interrupted. What was saved stays.", 130
        case OSError() if error.errno in _DISK_ERRORS:
            named = isinstance(error.filename, str | Path)  # absolute: it may lie in the current folder unasked
            name = f" ({os.path.abspath(error.filename)})" if named else ""
            return f"error: {_DISK_ERRORS[error.errno]}{name}. Nothing already saved is lost.", 2
    return None


def at_end(action: Callable[[], object]) -> None:
    """Run an action when the process ends, however a command ends it."""
    atexit.register(action)
    _last_actions.append(action)


_last_actions: list[Callable[[], object]] = []
"""What `leave` runs, because `os._exit` skips `atexit`."""


def _tell_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
    """Print a warning of the cache as a note, and others as Python does."""
    note = cache.note(message, category)
    if note is None:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))
    elif note:
        print(note, file=sys.stderr)


def leave(sentence: str, status: int) -> NoReturn:
    """Print a sentence on stderr, unless it is empty, and end the process at once."""
    if sentence:
        print(sentence, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the stream is closed, or its disk is full
            stream.flush()
    for action in _last_actions:
        action()
    os._exit(status)  # not sys.exit: after a failed save, Orbax's threads print pages of tracebacks at a normal exit


_CHOOSE = "choose a folder you may write to, with --run (train) or --output (other commands)"

_DISK_ERRORS = {
    errno.ENOSPC: "The disk is full: free some space and start the same command again",
    errno.EDQUOT: "Your disk quota is used up: free some space and start the same command again",
    errno.EFBIG: "A file grew past the size this system allows: raise the limit and start the same command again",
    errno.EACCES: f"Permission denied: {_CHOOSE}",
    errno.EPERM: f"Permission denied: {_CHOOSE}",
    errno.ENOENT: "A file or folder is missing: choose another one",
    errno.EISDIR: "A folder is in the way of a file: move it",
    errno.ENOTDIR: "A file is in the way of a folder: choose another folder",
    errno.EEXIST: "A file is in the way of a folder: choose another folder",
    errno.ENAMETOOLONG: "A name is too long for this file system: choose a shorter one",
    errno.EIO: "The disk or the terminal failed: check it and start the same command again",
    errno.EROFS: f"The file system is read-only: {_CHOOSE}",
}
