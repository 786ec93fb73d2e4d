"""Shared fixtures: four CPU devices, a cache of its own, and small trees of made-up slices."""

import os
from pathlib import Path

import hypothesis
import jax
import pytest
from helpers import ALL_WAYS, brain, launch, options, save, write_tree

hypothesis.settings.register_profile("patient", deadline=None)  # no test is about speed
hypothesis.settings.load_profile("patient")
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_disable_most_optimizations", True)  # compiles twice as fast; whole-program tests optimize


LONG = ("test_program.py", "test_commands.py", "test_distributed.py", "test_step.py")
"""Files that take minutes: they run first, so that no worker has one of them alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder of this session; `OASIS_JAX_TEST_CACHE` keeps compiled programs from one to the next."""
    folder = Path(os.environ.get("OASIS_JAX_TEST_CACHE") or tmp_path_factory.mktemp("cache"))
    os.environ["OASIS_JAX_CACHE"] = str(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    return folder


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sound tree; do not change it."""
    return write_tree(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 training slices, so 4 steps an epoch; do not change them."""
    return write_tree(tmp_path_factory.mktemp("program") / "tree with spaces é", slices=8)


@pytest.fixture(scope="session")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed; do not change it."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    done = launch("train", *options(data, run))
    assert done.returncode == 0, done.stderr
    assert "tree with spaces é, test: 16 slices of 2 subjects" in done.stdout
    return run


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four subjects, one of them scanned twice, each file in another orientation."""
    root = tmp_path_factory.mktemp("study with é")
    for i, (subject, session) in enumerate((("2", "a"), ("10", "a"), ("x", "a"), ("x", "b"), ("y", "a"))):
        folder = root / f"sub-{subject}" / session
        folder.mkdir(parents=True)
        values, truth = brain((37, 50, 26 + i))
        save(folder / "t1 weighted.nii.gz", values, way=ALL_WAYS[7 * i])
        save(folder / "tissue.nii.gz", truth, way=ALL_WAYS[7 * i])
    return root
