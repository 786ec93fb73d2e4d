"""Shared fixtures: four CPU devices, a cache of its own, and small trees of made-up slices."""

import fcntl
import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import jax
import pytest
from helpers import ALL_WAYS, brain, launch, options, save, write_tree

from oasis_jax.training.stop import SIGNALS

hypothesis.settings.register_profile("patient", deadline=None)  # no test is about speed
hypothesis.settings.load_profile("patient")
jax.config.update("jax_num_cpu_devices", 4)
# Programs of tests compile quickly, not run quickly; JAX_DISABLE_MOST_OPTIMIZATIONS=0 tests them as people run them.
QUICK = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") == "1"
jax.config.update("jax_disable_most_optimizations", QUICK)
if QUICK and jax.__version_info__ < (0, 11):  # of two code generators, the one that compiles twice as fast; gone later
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false"
# Before version 0.12, JAX finds a kept program only in the folder where it was compiled, for the sake of this cache.
os.environ["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"
jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
# Keep what compiles quickly, too: processes start often.
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


LONG = ("test_program.py", "test_commands.py", "test_distributed.py", "test_step.py")
"""Files that take minutes: they run first, so that no worker has one of them alone at the end."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep that order where workers of pytest-xdist share the tests."""
    config.option.loadscopereorder = False


def pytest_collection_finish() -> None:
    """Leave what is imported out of later collections of garbage, which take a third of a second each otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def signals() -> None:
    """Give the processes that tests start the default signals, also where this one ignores some, as under `nohup`.

    A new program ignores what this one ignores, but not what a function of this one handles.
    """
    for number in SIGNALS:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda number, frame: None)


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of pytest-xdist see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder of this worker. JAX writes programs in place, so that another one might read half of them."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["OASIS_JAX_CACHE"] = str(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    return folder


@pytest.fixture(scope="session")
def programs(common: Path) -> Path:
    """Compiled programs of all workers; `OASIS_JAX_TEST_CACHE` keeps them from one session to the next."""
    return Path(os.environ.get("OASIS_JAX_TEST_CACHE") or common / "programs")


@pytest.fixture(scope="module", autouse=True)
def exchange(cache: Path, programs: Path) -> Iterator[None]:
    """Before each test file, take the programs that other workers have compiled; after it, give one's own."""
    copy_programs(programs, cache / "compiled")
    yield
    copy_programs(cache / "compiled", programs)


def copy_programs(source: Path, target: Path) -> None:
    """Copy compiled programs that the target lacks; each appears whole."""
    target.mkdir(parents=True, exist_ok=True)
    for program in source.glob("*-cache"):
        if not (target / program.name).exists():
            shutil.copy(program, part := target / f"{program.name}.{os.getpid()}")
            part.rename(target / program.name)


def make_once(path: Path, make: Callable[[Path], object]) -> Path:
    """What the first worker that needs it makes, while the others wait."""
    with path.with_name(f"{path.name} is made").open("a+") as state:
        fcntl.flock(state, fcntl.LOCK_EX)
        state.seek(0)
        if not state.read():
            make(path)
            state.write("yes")
    return path


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sound tree; do not change it."""
    return write_tree(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="session")
def data(common: Path) -> Path:
    """16 training slices, so 4 steps an epoch; do not change them."""
    return make_once(common / "tree with spaces é", lambda root: write_tree(root, slices=8))


@pytest.fixture(scope="session")
def finished(data: Path, common: Path, cache: Path, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed; do not change it."""

    def train(run: Path) -> None:
        done = launch("train", *options(data, run))
        assert done.returncode == 0, done.stderr
        assert "tree with spaces é, test: 16 slices of 2 subjects" in done.stdout
        copy_programs(cache / "compiled", programs)

    made = make_once(common / "finished", train)
    copy_programs(programs, cache / "compiled")
    return shutil.copytree(made, tmp_path_factory.mktemp("runs") / made.name)


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
