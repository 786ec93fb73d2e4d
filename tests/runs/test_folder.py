"""A run is held by one command at a time, where its disk can hold it."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import REPOSITORY

from oasis_jax.config import Config
from oasis_jax.runs import folder
from oasis_jax.runs.lock import lock
from oasis_jax.system.errors import UserError

WITHOUT_LOCKS = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL]
"""Answers of Lustre, of NFS without its lock daemon, and of some FUSE and CIFS mounts."""


def answer(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the system answer every request for a lock with this error."""

    def refuse(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("number", WITHOUT_LOCKS, ids=errno.errorcode.get)
def test_a_run_on_a_disk_without_locks_goes_on_with_a_note(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, number)
    with lock(tmp_path / "run"):
        pass
    said = capsys.readouterr().err
    assert f"Note: {tmp_path / 'run'} lies on a disk without locks ({os.strerror(number)})" in said
    assert "start it only once" in said


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES], ids=errno.errorcode.get)
def test_a_run_that_another_process_holds_is_refused(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, number)
    with pytest.raises(UserError, match="is being trained by another process"), lock(tmp_path / "run"):
        pass


def test_a_run_that_two_commands_start_at_once_has_the_config_of_one(tmp_path: Path) -> None:
    config = Config(run=tmp_path / "run")
    assert folder.started(config) is None
    first, second = (folder.new(config, facts(seed)) for seed in "ab")
    with folder.opened(first):
        pass
    with pytest.raises(UserError, match="was just started by another process"), folder.opened(second):
        pass
    assert folder.load(config.run) == first
    with folder.opened(first):  # goes on
        pass


def facts(fingerprint: str) -> dict[str, Any]:
    return {"data_fingerprints": {"train": fingerprint}, "slice_size": [64, 64]}


def test_a_run_can_be_held_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with lock(tmp_path / "run"), pytest.raises(UserError, match="by another process"):
        lock(tmp_path / "run").__enter__()
    assert not capsys.readouterr().err


@pytest.mark.skipif(shutil.which("gcc") is None, reason="makes a library that answers for the system")
def test_a_system_that_knows_no_locks_holds_no_run_up(tmp_path: Path) -> None:
    (tmp_path / "flock.c").write_text("#include <errno.h>\nint flock(int f, int o) { errno = ENOSYS; return -1; }\n")
    library = tmp_path / "flock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "flock.c"], check=True)
    code = f"""
from pathlib import Path
from oasis_jax.runs.lock import lock
with lock(Path({str(tmp_path / "run")!r})):
    print("went on")
"""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "LD_PRELOAD": str(library)}
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert done.stdout == "went on\n", done
    assert "a disk without locks (Function not implemented)" in " ".join(done.stderr.split())
