"""What a user can get wrong: one exception, one sentence, exit status 2."""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from oasis_jax.system import streams


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

    A `UserError` or a failing disk gives a sentence on stderr and status 2, Ctrl-C gives status 130, SIGTERM 143.
    """
    streams.open_streams()
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # job runners send it: unfinished files are removed
        signal.signal(signal.SIGTERM, _interrupt)
    gc.set_threshold(10_000)  # tracing makes many objects that stay; Python collects after 700 or 2,000 new ones
    try:
        try:
            command()
        finally:
            sys.stdout.flush()  # fails here if the disk is full
    except (Exception, KeyboardInterrupt) as error:
        if (explanation := explain(error)) is None:
            traceback.print_exception(error)
            explanation = "", 1
        leave(*explanation)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(number)


def explain(error: BaseException) -> tuple[str, int] | None:
    """The message and exit status for an exception; None if it is unexpected."""
    match error:
        case UserError():
            return " ".join([f"error: {error}", *getattr(error, "__notes__", ())]), 2
        case BrokenPipeError():  # the reader of the output has closed it
            return "", 141
        case KeyboardInterrupt():
            return "Interrupted. What was saved stays.", 128 + (error.args or (signal.SIGINT,))[0]
        case OSError() if error.strerror:
            named = isinstance(error.filename, str | Path)  # absolute: it may lie in the current folder unasked
            name = f" ({os.path.abspath(error.filename)})" if named else ""
            return (
                f"error: {error.strerror}{name}. Correct this or choose another place, with --run (train) or --output "
                "(other commands), and start the same command again; nothing already saved is lost."
            ), 2
    return None


def leave(sentence: str, status: int) -> NoReturn:
    """Print a sentence on stderr, unless it is empty, and end the process at once."""
    if sentence:
        print(sentence, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the stream is closed, or its disk is full
            stream.flush()
    os._exit(status)  # not sys.exit: after a failed save, Orbax's threads print pages of tracebacks at a normal exit
