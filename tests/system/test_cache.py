"""The cache folder saves time and nothing else."""

import json
import os
import shutil
from pathlib import Path

import jax
import pytest
from helpers import Processes, assert_mistake, launch, options, write_tree

from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.phantoms import tree as phantoms
from oasis_jax.system import cache, sharding


@pytest.mark.parametrize("where", ["no home", "/proc/nothing"])
def test_a_tree_is_checked_without_a_cache(where: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASIS_JAX_CACHE", where)
    if where == "no home":
        for name in ("OASIS_JAX_CACHE", "XDG_CACHE_HOME", "HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)  # a user that the system does not know
    with pytest.warns(cache.CacheWarning, match="only costs time; OASIS_JAX_CACHE names another"):
        loaded = load_dataset(tree)
    assert loaded.fingerprints.keys() == {"train", "validate", "test"}


def test_a_disk_that_fills_up_between_is_no_obstacle(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OASIS_JAX_CACHE", str(tmp_path))
    (tmp_path / "checks").touch()
    with pytest.warns(cache.CacheWarning):
        load_dataset(tree)


def test_a_command_prints_one_note_and_does_its_work(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (done,) = Processes("data", "check", data, count=1, OASIS_JAX_CACHE=[tmp_path / "file" / "below"]).finish()
    assert done.returncode == 0, done
    assert "All right: 80 files" in done.stdout
    assert [line for line in done.stderr.splitlines() if "OASIS_JAX_CACHE" in line] == [
        "Note: The cache folder cannot be used (Not a directory). This only costs time; OASIS_JAX_CACHE names another "
        "one."
    ]


def test_phantoms_without_a_cache_last_as_long_as_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASIS_JAX_CACHE", "/proc/nothing")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code = """
import sys
from oasis_jax.data.phantoms import tree as phantom
from oasis_jax.system import errors
phantom.SUBJECTS = {"train": 1}
phantom.SLICES = 1

def main():
    print(phantom.default_tree())
    if sys.argv[1:]:
        raise errors.UserError("over")

errors.run_command(main)
"""
    for words in ((), ("fail",)):
        (done,) = Processes(*words, code=code, count=1).finish()
        assert done.returncode == 2 * len(words), done
        assert done.stdout.startswith(str(tmp_path))
        assert not Path(done.stdout.strip()).exists()
        assert not list(tmp_path.iterdir())


def compilation_cache() -> str | None:
    """The folder in which JAX keeps compiled programs."""
    return jax.config.values["jax_compilation_cache_dir"]


def test_the_users_own_cache_of_programs_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = compilation_cache()
    try:
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
        jax.config.update("jax_compilation_cache_dir", str(tmp_path))
        sharding.configure_jax()
        assert compilation_cache() == str(tmp_path)
        monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
        sharding.configure_jax()
        assert compilation_cache() == str(Path(os.environ["OASIS_JAX_CACHE"]) / "compiled")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_a_broken_program_in_the_cache_is_made_anew(finished: Path, tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "cache"
    shutil.copytree(finished, run)
    words = ("evaluate", run)
    variables = {"OASIS_JAX_CACHE": [folder], "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": [0]}  # keep quick ones too
    (first,) = Processes(*words, count=1, **variables).finish()
    assert first.returncode == 0, first
    entries = {path: path.read_bytes() for path in (folder / "compiled").glob("*-cache")}
    assert entries
    for path, content in entries.items():
        path.write_bytes(content[: len(content) // 2])
    (second,) = Processes(*words, count=1, **variables).finish()
    assert second.returncode == 0, second
    assert second.stdout == first.stdout
    assert "Warning" not in second.stderr
    sizes = {path: path.stat().st_size for path in entries}
    assert all(size > len(entries[path]) // 2 + 1 for path, size in sizes.items())


STRICT = {
    "JAX_ENABLE_X64": "1",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_TRANSFER_GUARD": "disallow",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_RANDOM_SEED_OFFSET": "5",
}


def test_the_environment_of_jax_does_not_change_a_run(
    data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in STRICT.items():
        monkeypatch.setenv(name, value)
    run = tmp_path / "strict"
    done = launch("train", *options(data, run))
    assert done.returncode == 0, done.stderr
    assert (run / "metrics.jsonl").read_text() == (finished / "metrics.jsonl").read_text()
    ours, theirs = (json.loads((r / "evaluation/test/metrics.json").read_text()) for r in (run, finished))
    assert ours["scores"] == theirs["scores"]


def test_devices_that_are_not_there_are_named(finished: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "moon")
    assert_mistake(launch("evaluate", finished), "JAX finds no moon device", "unset JAX_PLATFORMS")
    assert launch("data", "check", data).returncode == 0  # which needs none


def test_phantoms_in_the_cache_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASIS_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(phantoms, "write_tree", lambda root, cases: write_tree(root, slices=1))
    root = phantoms.default_tree()
    assert root.parent == tmp_path
    time = (root / "keras_png_slices_train").stat().st_mtime_ns
    assert phantoms.default_tree() == root
    assert (root / "keras_png_slices_train").stat().st_mtime_ns == time
