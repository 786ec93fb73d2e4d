"""The standard streams of a command: closed ones, and a terminal that went away or lacks characters, do not end it."""

import io
import os
import sys
from typing import Any


def open_streams() -> None:
    """Open closed streams on nothing, so that no file gets their numbers; escape characters that a stream lacks."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    number, encoding = (sys.stderr.fileno(), sys.stderr.encoding) if sys.stderr else (2, None)
    screen = io.BufferedWriter(_Screen(number, "wb", closefd=False))
    sys.stderr = io.TextIOWrapper(screen, encoding, "backslashreplace", line_buffering=True)


class _Screen(io.FileIO):
    """Standard error, which loses what cannot be written, and what a full pipe that does not block cannot take."""

    def write(self, data: Any, /) -> int | None:
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)
