"""What a user can get wrong: one exception, one sentence, exit status 2."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn


class UserError(Exception):
    """A mistake the user can mend. Its text names the thing and says how to mend it."""


def describe(path: Path, error: Exception) -> str:
    """One sentence about what went wrong with one file, whatever it was."""
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
    """Say what could not be done, where the rest was, and exit with status 1."""
    print(f"error: {sentence}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def run_command(command: Callable[[], None]) -> None:
    """Run a command; a `UserError` or a failing disk ends in a sentence on stderr and status 2, Ctrl-C in 130."""
    signal.signal(signal.SIGTERM, _terminate)  # so that half-made folders are removed on the way out
    try:
        command()
    except (Exception, KeyboardInterrupt) as error:
        if (known := explain(error)) is None:
            raise
        leave(*known)


def explain(error: BaseException) -> tuple[str, int] | None:
    """What a command says of that which ended it, and its exit status; None for what nobody foresaw."""
    match error:
        case UserError():
            return f"error: {error}", 2
        case BrokenPipeError():  # whoever read the output has seen enough
            return "", 141
        case KeyboardInterrupt():
            return "Interrupted. What was saved stays.", 130
        case OSError() if error.errno in _DISK_ERRORS:
            where = f" ({error.filename})" if error.filename else ""
            return f"error: {_DISK_ERRORS[error.errno]}{where}. Nothing already saved is lost.", 2
    return None


def leave(sentence: str, status: int) -> NoReturn:
    """Say a sentence on stderr, unless it is empty, and end the process at once."""
    with suppress(BrokenPipeError):
        if sentence:
            print(sentence, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)  # not sys.exit: after a failed save, Orbax's threads print pages of tracebacks at a normal exit


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


_DISK_ERRORS = {
    errno.ENOSPC: "The disk is full: free some space and start the same command again",
    errno.EDQUOT: "Your disk quota is used up: free some space and start the same command again",
    errno.EFBIG: "A file grew past the size this system allows: raise the limit and start the same command again",
    errno.EACCES: "Permission denied: choose a folder you may write to",
    errno.EPERM: "Permission denied: choose a folder you may write to",
    errno.ENOENT: "A file or folder is missing: choose another one",
    errno.EISDIR: "A folder is in the way of a file: move it",
    errno.ENOTDIR: "A file is in the way of a folder: choose another folder",
    errno.EEXIST: "A file is in the way of a folder: choose another folder",
    errno.ENAMETOOLONG: "A name is too long for this file system: choose a shorter one",
    errno.EROFS: "The file system is read-only: choose a folder you may write to",
}
