"""The standard streams of a command: closed ones, and a terminal that went away or lacks characters, do not end it."""

import io
import os
import sys


def open_streams() -> None:
    """Open closed streams on nothing, so that no file gets their numbers; escape characters that a stream lacks."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    screen = sys.stderr.buffer if sys.stderr else open(2, "wb", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    encoding = sys.stderr.encoding if sys.stderr else None
    sys.stderr = _Screen(screen, encoding, "backslashreplace", line_buffering=True)


class _Screen(io.TextIOWrapper):
    """Standard error that drops its output once it cannot be written any more."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            self._silence()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            self._silence()

    def _silence(self) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self.fileno())
        os.close(null)
