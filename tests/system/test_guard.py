"""Signals and streams of the commands, from their first line on."""

import os
import pty
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from forked import MODULES
from helpers import PATIENCE, REPOSITORY, assert_mistake, options

from oasis_jax.system import guard

COMMANDS = tuple(MODULES)

AT_IMPORT = """
import os, runpy, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE and sys.meta_path[0] is self:
            sys.meta_path.remove(self)
            try:
                os.kill(os.getpid(), NUMBER)
            except BaseException:
                pass

sys.meta_path.insert(0, Finder())
sys.argv[1:] = ["--help"]
if CONSOLE:
    from oasis_jax import entry
    sys.exit(getattr(entry, COMMAND)())
runpy.run_module("oasis_jax." + COMMAND, run_name="__main__", alter_sys=True)
"""
"""A command that gets a signal while it imports a module that swallows what is raised in it."""


def run_code(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment
    line = [sys.executable, "-c", code]
    return subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False, env=variables)


@pytest.mark.parametrize(("name", "number"), list(zip(COMMANDS, 2 * guard.SIGNALS, strict=True)))
@pytest.mark.parametrize("console", [False, True], ids=["python -m", "console"])
def test_a_signal_while_a_command_imports_ends_it(name: str, number: signal.Signals, console: bool) -> None:
    module = "jax" if name != "compare" else "tyro"
    constants = f"MODULE, NUMBER, COMMAND, CONSOLE = {module!r}, {int(number)}, {name!r}, {console}"
    done = run_code(f"{constants}\n{AT_IMPORT}")
    assert done.returncode == 128 + number, done
    assert done.stdout == ""
    assert done.stderr == f"Interrupted by {number.name}. What was saved stays.\n"


@pytest.mark.parametrize("number", guard.SIGNALS)
def test_a_swallowed_signal_is_raised_again_and_unfinished_files_are_removed(
    number: signal.Signals, tmp_path: Path
) -> None:
    code = f"""
import os, time
from pathlib import Path
from oasis_jax.system import errors, files, guard
guard.install()

def fill(part):
    try:
        os.kill(os.getpid(), {int(number)})
    except BaseException:
        print("swallowed")
    time.sleep(30)
    print("went on")

errors.run_command(lambda: files.atomic_folder(Path({str(tmp_path / "made")!r}), fill))
"""
    done = run_code(code)
    assert done.returncode == 128 + number, done
    assert done.stdout == "swallowed\n"
    assert done.stderr == f"Interrupted by {number.name}. What was saved stays.\n"
    assert not list(tmp_path.iterdir())


def test_nohup_is_respected() -> None:
    code = """
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from oasis_jax.system import errors, guard
guard.install()
os.kill(os.getpid(), signal.SIGHUP)
errors.run_command(lambda: (os.kill(os.getpid(), signal.SIGHUP), print("went on")))
"""
    assert run_code(code).stdout == "went on\n"


def test_these_tests_pass_where_signals_are_ignored(tmp_path: Path) -> None:
    code = f"""
import signal, sys
import pytest
for number in {[int(number) for number in guard.SIGNALS]}:
    signal.signal(number, signal.SIG_IGN)
words = ["-n0", "-p", "no:cacheprovider", "--basetemp", {str(tmp_path / "tests")!r}, "-k", "swallowed"]
sys.exit(pytest.main([*words, {__file__!r}]))
"""
    done = run_code(code)
    assert done.returncode == 0, done.stdout


def test_a_terminal_that_goes_away_takes_no_training_with_it(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "oasis_jax.train", *options(data, run)],
        stdout=theirs, stderr=theirs, start_new_session=True, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    os.close(theirs)
    deadline = time.monotonic() + PATIENCE
    os.set_blocking(ours, False)
    try:
        while not (run / "metrics.jsonl").is_file() or len((run / "metrics.jsonl").read_text().splitlines()) < 3:
            assert time.monotonic() < deadline
            assert process.poll() is None
            try:
                os.read(ours, 1 << 16)
            except BlockingIOError:
                time.sleep(0.01)
        os.close(ours)  # from here on every write to the terminal fails
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=PATIENCE) == 128 + signal.SIGHUP
    finally:
        process.kill()
        process.wait()
    assert [path.name for path in (run / "checkpoints").iterdir() if path.name.isdecimal()]


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full", "| true"])
def test_closed_and_full_streams_make_no_traceback(closed: str, data: Path) -> None:
    line = f"exec 3>&2; {sys.executable} -m oasis_jax.data check '{data}' {closed}; echo ${{PIPESTATUS[0]}} >&3"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    status = int(done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert status == {">/dev/full": 2, "| true": 141}.get(closed, 0), done
    if closed == ">/dev/full":
        assert "error: The disk is full" in done.stderr


def test_no_file_gets_the_number_of_a_closed_stream() -> None:
    code = """
import os
for number in (0, 1, 2):
    os.close(number)
from oasis_jax.system import guard
guard.install()
assert os.open("/dev/null", os.O_RDONLY) > 2
"""
    assert run_code(code).returncode == 0


def test_each_command_has_a_console_command() -> None:
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {f"oasis-{name}": f"oasis_jax.entry:{name}" for name in COMMANDS}
    done = run_code("from oasis_jax.entry import data; import sys; sys.argv[1:] = ['check', 'none']; data()")
    assert_mistake(done, "is not a folder")


def test_the_package_lists_its_commands() -> None:
    code = "import runpy, sys; sys.argv[1:] = WORDS; runpy.run_module('oasis_jax', run_name='__main__')"
    listing = run_code(code.replace("WORDS", "[]")).stdout
    assert all(f"python -m oasis_jax.{name} " in listing for name in COMMANDS)
    assert run_code(code.replace("WORDS", "['--version']")).stdout.startswith("oasis_jax ")
