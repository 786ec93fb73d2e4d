"""A run is held by one command at a time, where its disk can hold it."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from oasis_jax.config import Config, Train
from oasis_jax.runs.folder import Run
from oasis_jax.runs.lock import lock
from oasis_jax.system.errors import UserError


# Answers of Lustre, of NFS without its lock daemon, and of some FUSE and CIFS mounts.
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_run_on_a_disk_without_locks_goes_on_with_a_note(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(number, os.strerror(number))))
    with lock(tmp_path / "run"):
        pass
    said = capsys.readouterr().err
    assert f"Note: {tmp_path / 'run'} lies on a disk without locks ({os.strerror(number)})" in said
    assert "start it only once" in said


def test_a_run_is_held_once_on_an_ordinary_disk_and_on_cifs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock(tmp_path / "run"):
        for _ in range(2):
            with pytest.raises(UserError, match="is being trained by another process"), lock(tmp_path / "run"):
                pass
            monkeypatch.setattr(fcntl, "flock", Mock(side_effect=PermissionError))  # as CIFS answers
    assert not capsys.readouterr().err


def test_a_run_that_two_commands_start_at_once_has_the_config_of_one(tmp_path: Path) -> None:
    config = Config(run=tmp_path / "run")
    assert Run.started(config) is None
    first, second = (Run.new(config, facts(seed)) for seed in "ab")
    with first.opened():
        (first.checkpoints / "1").mkdir(parents=True)
    with pytest.raises(UserError, match="was just trained by another process"), second.opened():
        pass
    assert Run.load(config.run) == first
    with first.opened():  # goes on
        pass


@pytest.mark.parametrize("learned", ["checkpoints/4", "checkpoints/damaged-4", "evaluation/test"])
def test_a_run_that_ended_before_it_learned_anything_starts_anew_with_any_settings(
    learned: str, tmp_path: Path
) -> None:
    config, other = (Config(run=tmp_path / "run", train=Train(seed=seed)) for seed in (0, 1))
    with Run.new(config, facts("a")).opened():
        pass
    assert Run.started(other) is None
    with Run.new(other, facts("b")).opened():
        pass
    assert Run.load(config.run).config.train.seed == 1
    (config.run / learned).mkdir(parents=True)
    with pytest.raises(UserError, match=r"was started with other settings \(train\.seed: 1 -> 0\)"):
        Run.started(config)


def facts(fingerprint: str) -> dict[str, Any]:
    return {"data_fingerprints": {"train": fingerprint}, "slice_size": [64, 64]}
