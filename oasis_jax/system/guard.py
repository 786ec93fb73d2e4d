"""The signals, standard streams and garbage collection of a command, from its first line on.

Ctrl-C, SIGTERM and SIGHUP all end a command. A closed terminal, or one that lacks some characters, does not end it.
This file imports nothing that takes time, so that it can run before everything else.
"""

import gc
import io
import os
import signal
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], Any]

GARBAGE = 10_000
"""New objects between two collections of garbage; Python's own value is 700 or 2,000."""

_PATIENCE = 0.5
"""Seconds after which an interruption is raised again if some code swallowed it."""

_raised: Callable[[], object] = object
"""Returns the last `Interrupted` while it propagates, then None."""

_terminals: list[int] = []
"""Those of standard output and standard error that were a terminal at the start."""


class Interrupted(KeyboardInterrupt):
    """One of `SIGNALS` arrived; `number` says which."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number
        global _raised
        _raised = weakref.ref(self)


def install() -> None:
    """Open closed streams, and let a signal end the process at once until `raise_signals`.

    Before that, an exception would be useless: imports swallow it, and there is nothing to clean up. XLA's messages at
    its start are silenced too, for that must happen before JAX is imported. Garbage is collected less often: imports
    and JAX's tracing make many objects that stay, and looking through them again and again takes a tenth of a start.
    """
    gc.set_threshold(GARBAGE)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _open_streams()
    _terminals[:] = [number for number in (1, 2) if os.isatty(number)]
    handle(end)


def raise_signals() -> None:
    """From now on, a signal raises `Interrupted` in the main thread, and again if some code swallows it."""
    handle(_raise)


def handle(handler: Handler) -> None:
    """Let a function handle the signals.

    SIGHUP stays ignored if it was ignored before, as under `nohup`. When SIGHUP arrives, the terminal is gone and
    writing to it would fail, so output to it is dropped.
    """

    def handle_one(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            for stream in _terminals:
                _silence(stream)
        handler(number, frame)

    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle_one)


def sentence(number: int) -> str:
    """The message of a command that a signal ended."""
    return f"Interrupted by {signal.Signals(number).name}. What was saved stays."


def end(number: int, frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, f"{sentence(number)}\n".encode())
    os._exit(128 + number)


def _raise(number: int, frame: FrameType | None) -> None:
    def again(alarm: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        if _raised() is None:
            raise Interrupted(number)

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    raise Interrupted(number)  # no variable holds it, so that it is freed when some code swallows it


class _Screen(io.TextIOWrapper):
    """Standard error that drops its output once it cannot be written any more."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            _silence(self.fileno())
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            _silence(self.fileno())


def _silence(stream: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, stream)
    os.close(null)


def _open_streams() -> None:
    """Open closed streams on nothing, so that no file gets their numbers; escape characters that a stream lacks."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr = _Screen(sys.stderr.buffer, sys.stderr.encoding, "backslashreplace", line_buffering=True)
