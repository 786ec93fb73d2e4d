"""A request to stop a training, which saves it: the first Ctrl-C, SIGTERM or SIGHUP."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from oasis_jax.system import console

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """A request to stop this process: `signal` is the number of the signal that was received, or 0."""

    signal = 0


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn the first of `SIGNALS` into a request; a second one acts at once, as any does outside.

    SIGHUP stays ignored if it was ignored before, as under `nohup`.
    """
    stop = Stop()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        restore()
        console.say(f"{signal.Signals(number).name}: saving after this step ...")

    for number, handler in before.items():
        if number != signal.SIGHUP or handler != signal.SIG_IGN:
            signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()
