"""A request to stop a training, which saves it: the first Ctrl-C, SIGTERM or SIGHUP."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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

    def request(number: int, frame: FrameType | None) -> None:
        if stop.signal:
            before.close()
            signal.raise_signal(number)
            return
        stop.signal = number
        console.say(f"{signal.Signals(number).name}: saving after this step ...")

    with ExitStack() as before:  # when it is closed, the handlers of before are back
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if number != signal.SIGHUP or handler != signal.SIG_IGN:
                before.callback(signal.signal, number, handler)
                signal.signal(number, request)
        yield stop
