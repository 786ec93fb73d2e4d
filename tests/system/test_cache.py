"""The cache folder saves time and nothing else."""

import os
import shutil
from pathlib import Path
from unittest.mock import Mock

import jax
import pytest
from helpers import Processes, assert_mistake, launch, write_tree

from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.phantoms import tree as phantoms
from oasis_jax.system import cache, sharding


@pytest.mark.parametrize("where", ["no home", "/proc/nothing", "file"])
def test_a_tree_is_checked_without_a_cache(
    where: str, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OASIS_JAX_CACHE", where)
    if where == "no home":
        for name in ("OASIS_JAX_CACHE", "XDG_CACHE_HOME", "HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)  # a user that the system does not know
    if where == "file":  # where a folder has to be made
        monkeypatch.setenv("OASIS_JAX_CACHE", str(tmp_path))
        (tmp_path / "checks").touch()
    cache._say.cache_clear()
    assert load_dataset(tree).fingerprints.keys() == {"train", "validate", "test"}
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Note: ")]
    assert len(notes) == 1  # for all three splits
    assert notes[0].endswith("This only costs time; OASIS_JAX_CACHE names another one.")


def test_phantoms_are_drawn_once_by_whichever_process_or_last_as_long_as_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slower(root: Path, cases: object) -> None:
        write_tree(root, slices=1)
        raise FileExistsError  # another process drew them meanwhile

    monkeypatch.setenv("OASIS_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(phantoms, "write_tree", drawing := Mock(side_effect=slower))
    root = phantoms.default_tree()
    assert phantoms.default_tree() == root
    assert root.parent == tmp_path
    assert drawing.call_count == 1
    code = """
from oasis_jax.data.phantoms import tree
from oasis_jax.system import errors
tree.SUBJECTS = {"train": 1}
tree.SLICES = 1
errors.run_command(lambda: print(tree.default_tree()))
"""
    (done,) = Processes(code=code, count=1, OASIS_JAX_CACHE=["/proc/nothing"], TMPDIR=[tmp_path]).finish()
    assert done.returncode == 0, done
    assert done.stdout.startswith(f"{tmp_path}/oasis_jax-")
    assert list(tmp_path.iterdir()) == [root]


def test_the_users_own_cache_of_programs_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "jax_compilation_cache_dir"
    monkeypatch.setenv(name.upper(), "mine")
    before = jax.config.values[name]
    try:
        jax.config.update(name, "mine")
        sharding.configure_jax()
        assert jax.config.values[name] == "mine"
        monkeypatch.delenv(name.upper())
        sharding.configure_jax()
        assert jax.config.values[name] == str(Path(os.environ["OASIS_JAX_CACHE"]) / "compiled")
    finally:
        jax.config.update(name, before)


def test_a_broken_program_in_the_cache_is_no_obstacle(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, run := tmp_path / "run")
    variables = {"OASIS_JAX_CACHE": [tmp_path / "cache"], "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": [0]}
    said = []
    for _ in range(2):
        (done,) = Processes("evaluate", run, count=1, **variables).finish()
        assert done.returncode == 0, done
        assert "Warning" not in done.stderr
        said.append(done.stdout)
        entries = list((tmp_path / "cache" / "compiled").glob("*-cache"))
        assert entries
        for path in entries:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert said[0] == said[1]


def test_the_environment_of_jax_does_not_change_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = {
        "JAX_ENABLE_X64": "1",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
        "JAX_NUMPY_DTYPE_PROMOTION": "strict",
        "JAX_TRANSFER_GUARD": "disallow",
        "JAX_DEFAULT_PRNG_IMPL": "rbg",
        "JAX_RANDOM_SEED_OFFSET": "5",
    }
    usual = {name: jax.config.values[name.lower()] for name in strict}
    for name, value in strict.items():
        monkeypatch.setenv(name, value)
    code = f"""
import jax
from oasis_jax.system import sharding

sharding.configure_jax()
print({{name: jax.config.values[name.lower()] for name in {list(strict)}}})
"""
    done = launch(code=code)
    assert done.stdout == f"{usual}\n", done.stderr


def test_devices_that_are_not_there_are_named(finished: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "moon")
    assert_mistake(launch("evaluate", finished), "JAX finds no moon device", "unset JAX_PLATFORMS")
    assert launch("data", "check", data).returncode == 0  # which needs none
