"""Commands as a shell starts them: console commands, Ctrl-C, and streams that are closed, full or gone."""

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from forked import MODULES
from helpers import REPOSITORY, assert_mistake, launch

from oasis_jax import __main__


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_are_said_and_remove_unfinished_files(number: signal.Signals, tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from oasis_jax.system import errors, files

def fill(part):
    os.kill(os.getpid(), {number})
    print("went on")

errors.run_command(lambda: files.atomic_folder(Path({str(tmp_path / "made")!r}), fill))
"""
    done = launch(code=code)
    assert (done.returncode, done.stdout) == (128 + number, ""), done
    assert done.stderr == "Interrupted. What was saved stays.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("closed", [">&- 2>&- <&-", ">/dev/full", "2>/dev/full", "| true"])
def test_closed_and_full_streams_make_no_traceback(closed: str, data: Path, tmp_path: Path) -> None:
    fresh = f"OASIS_JAX_CACHE='{tmp_path}'"  # so that files are checked, with a progress bar
    line = f"exec 3>&2; {fresh} {sys.executable} -m oasis_jax.data check '{data}' {closed}; echo ${{PIPESTATUS[0]}} >&3"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    status = int(done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert status == {">/dev/full": 2, "| true": 141}.get(closed, 0), done
    if closed == ">/dev/full":
        assert "error: No space left on device" in done.stderr


def test_what_a_full_pipe_that_does_not_block_cannot_take_is_lost() -> None:
    code = """
import os, sys
from oasis_jax.system.streams import open_streams

_, pipe = os.pipe()
os.set_blocking(pipe, False)
try:
    while True:
        os.write(pipe, bytes(4096))
except BlockingIOError:
    os.dup2(pipe, 2)
open_streams()
print("lost", file=sys.stderr)
print("went on")
"""
    done = launch(code=code)
    assert (done.returncode, done.stdout) == (0, "went on\n")


def test_each_command_has_a_console_command() -> None:
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {f"oasis-{name}": f"oasis_jax.__main__:{name}" for name in MODULES}
    assert all(getattr(__main__, name).args == (name,) for name in MODULES)
    done = launch(code="from oasis_jax.__main__ import data; import sys; sys.argv[1:] = ['check', 'none']; data()")
    assert_mistake(done, "is not a folder")


def test_the_package_lists_its_commands() -> None:
    code = "import runpy, sys; sys.argv[1:] = WORDS; runpy.run_module('oasis_jax', run_name='__main__')"
    listing = launch(code=code.replace("WORDS", "[]")).stdout
    assert all(f"python -m oasis_jax.{name} " in listing for name in MODULES)
    assert launch(code=code.replace("WORDS", "['--version']")).stdout.startswith("oasis_jax ")
