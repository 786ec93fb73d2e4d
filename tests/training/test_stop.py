"""A training stops at the first signal, and is saved, also where its terminal is gone."""

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PATIENCE, REPOSITORY, launch, logged, options

from oasis_jax.training.stop import SIGNALS, stop_signals


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks_for_a_stop_and_the_second_acts_as_before(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    second: list[int] = []
    before = signal.signal(number, lambda number, frame: second.append(number))
    try:
        with stop_signals() as stop:
            assert stop.signal == 0
            signal.raise_signal(number)
            assert (stop.signal, second) == (number, [])
            signal.raise_signal(number)
            assert second == [number]
        with stop_signals() as stop:
            pass
        signal.raise_signal(number)
        assert (stop.signal, second) == (0, [number, number])
    finally:
        signal.signal(number, before)
    assert capsys.readouterr().err == f"{number.name}: saving after this step ...\n"


def test_two_signals_at_once_end_the_process_without_a_traceback() -> None:
    code = """
import os, signal
from oasis_jax.training.stop import stop_signals

both = {signal.SIGINT, signal.SIGTERM}
with stop_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, both)
    for number in both:
        os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
    print("went on")
"""
    done = launch(code=code)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")
    assert done.stderr == "SIGINT: saving after this step ...\n"


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert stop.signal == 0


def test_a_terminal_that_goes_away_takes_no_training_with_it(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "oasis_jax.train", *options(data, run)],
        stdout=theirs, stderr=theirs, start_new_session=True, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    os.close(theirs)
    try:
        while len(logged(run)) < 3:
            assert select.select([ours], [], [], PATIENCE)[0]
            os.read(ours, 1 << 16)  # what it says; OSError if it ended
        os.close(ours)  # from here on every write to the terminal fails
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=PATIENCE) == 128 + signal.SIGHUP
    finally:
        process.kill()
        process.wait()
    assert [path.name for path in (run / "checkpoints").iterdir() if path.name.isdecimal()]
