"""Processes of the commands that start at once: each is forked from one that has imported the program.

Importing takes seconds, as long as all that many of these processes do. Tests about the import itself start the long
way, and so do processes in which JAX has settings that it reads when it is imported.
"""

import atexit
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable
from functools import cache
from importlib import import_module
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from unittest.mock import patch

REPOSITORY = Path(__file__).parent.parent
MODULES = {
    name: "oasis_jax.data.__main__" if name == "data" else f"oasis_jax.{name}"
    for name in ("train", "evaluate", "predict", "compare", "info", "export", "data")
}
"""The modules of the commands."""

_CONTEXT = multiprocessing.get_context("forkserver")

_OPTIONS: dict[str, Callable[[str], Any]] = {
    "JAX_NUM_CPU_DEVICES": int,
    "JAX_DISABLE_MOST_OPTIMIZATIONS": lambda text: text == "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": float,
    "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": str,
}
"""What JAX reads when it is imported and can be told later, too."""

_READ_LATER = {"JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"}

_AT_FIRST = {name: value for name, value in os.environ.items() if name.startswith("JAX_")}
"""Before any test changes it."""


class Forked:
    """A running command, with the methods of `subprocess.Popen` that the tests use."""

    def __init__(self, words: list[str], code: str, environment: dict[str, str], cwd: Path | None) -> None:
        _start_server()
        folder = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, folder)
        self._said = [folder / "out", folder / "err"]
        for path in self._said:
            path.touch()
        run = (words, code, dict(environment), cwd or Path.cwd(), self._said)
        self._process = _CONTEXT.Process(target=_become, args=run, daemon=True)
        self._process.start()

    @property
    def returncode(self) -> int:
        assert self._process.exitcode is not None
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked command", timeout or 0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        out, err = (path.read_text(errors="backslashreplace") for path in self._said)
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = Forked | subprocess.Popen[str]


def start_process(words: list[str], code: str, environment: dict[str, str], cwd: Path | None) -> Process:
    """Start `python -m oasis_jax.WORD ...`, or some code with these words as its arguments."""
    if _can_be_forked(environment):
        return Forked(words, code, environment, cwd)
    line = [sys.executable, *(["-c", code, *words] if code else ["-m", MODULES[words[0]], *words[1:]])]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=cwd)


def _can_be_forked(environment: dict[str, str]) -> bool:
    """Whether JAX has no other setting than those that it can be told after it is imported."""
    changed = {name for name, value in environment.items() if name[:4] == "JAX_" and _AT_FIRST.get(name) != value}
    return changed <= _OPTIONS.keys() | _READ_LATER


@cache
def _start_server() -> None:
    """Start the process from which the others are forked."""
    environment = {name: value for name, value in os.environ.items() if name[:4] != "JAX_"} | _AT_FIRST
    environment |= {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "2"}
    _CONTEXT.set_forkserver_preload([*MODULES.values(), "tensorboardX", "matplotlib.figure", "orbax.checkpoint.v1"])
    with patch.dict(os.environ, environment, clear=True):
        forkserver.ensure_running()


def _become(words: list[str], code: str, environment: dict[str, str], cwd: Path, said: list[Path]) -> None:
    """Become the process of a command, or of some code, and end as it ends."""
    for number, path in enumerate(said, 1):
        os.dup2(os.open(path, os.O_WRONLY), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    import jax

    from oasis_jax.system import errors

    for name in environment.keys() & _OPTIONS.keys():
        jax.config.update(name.lower(), _OPTIONS[name](environment[name]))
    try:
        if code:
            sys.argv = ["-c", *words]
            exec(code, {"__name__": "__main__"})
        else:
            sys.argv = [f"python -m oasis_jax.{words[0]}", *words[1:]]
            errors.run_command(import_module(MODULES[words[0]]).main)
    finally:
        atexit._run_exitfuncs()  # pyright: ignore[reportAttributeAccessIssue]  # multiprocessing leaves them out
