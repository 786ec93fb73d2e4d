"""Whether a run that is killed and started again ends as one that nothing disturbed, to the last bit.

Run:  python benchmarks/kills.py [--kills 100] [--chains 4] [--seed 0]

A small run is killed by SIGKILL, started again, killed again, until it is finished; then another one, until there were
as many kills as asked for; four at a time. Every second kill, on average, waits for a checkpoint to be begun and comes
at a random moment from there until it is written, read back and the older ones are removed; the others come at any
moment after the start of the process. Then every parameter, the state of the optimizer, all checkpoints that are kept,
all metrics and the evaluation are compared with those of a run of the same settings that ran through.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import figures
import jax
import numpy as np
import trees
import tyro

from oasis_jax.network import unet
from oasis_jax.runs import checkpoint
from oasis_jax.runs import folder as run_folder
from oasis_jax.system import sharding
from oasis_jax.training import optimizer

SIZE = (48, 64)
COUNTS = {"train": 16, "validate": 8, "test": 8}
EPOCHS, EPOCH_STEPS = 25, 4
OPTIONS = (
    *("--model.stem", "2", "--model.crop", "None", "--model.dropout", "0.3", "--augment.mirror"),
    *("--augment.rotate", "10", "--train.batch", "4", "--train.epochs", str(EPOCHS)),
)

MOMENTS = (
    "starting: data, restore",
    "compiling, taking steps, validating",
    "writing a checkpoint",
    "reading it back",
    "removing an older one",
)


@dataclass(frozen=True)
class Arguments:
    """How often to kill."""

    kills: int = 100
    """Kills in all."""
    chains: int = 4
    """Runs at a time."""
    seed: int = 0
    """Of the moments."""


@dataclass
class Life:
    """One process, from its start to its kill or its end."""

    run: Path
    process: subprocess.Popen[str]
    began: float = field(default_factory=time.monotonic)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self, happened: Callable[[], bool]) -> bool:
        """Whether something happened before the process ended."""
        while not happened():
            if self.ended:
                return False
            time.sleep(0.001)
        return not self.ended


class Chain(NamedTuple):
    """Runs that were killed."""

    hits: list[tuple[str, int]]
    """For each kill, what the process was doing, and how many steps had to be taken again."""
    runs: list[Path]


def start(data: Path, folder: Path) -> Life:
    words = [sys.executable, "-m", "oasis_jax.train", "--data.root", data, "--run", folder, *OPTIONS]
    return Life(
        folder, subprocess.Popen([*map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    )


def names(folder: Path) -> list[str]:
    """What lies in a run's folder of checkpoints."""
    try:
        return os.listdir(folder / "checkpoints")
    except FileNotFoundError:
        return []


def whole(folder: Path) -> list[int]:
    return sorted(int(name) for name in names(folder) if name.isdecimal())


def steps(folder: Path) -> int:
    """The last training step in a run's metrics."""
    try:
        lines = (folder / "metrics.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return 0
    whole_lines = [line for line in lines if line.endswith("}")]
    return json.loads(whole_lines[-1])["step"] if whole_lines else 0


def writes(folder: Path) -> bool:
    return any(".orbax-checkpoint-tmp" in name for name in names(folder))


def kill(life: Life, rng: np.random.Generator, startup: float, saving: float) -> str | None:
    """Kill a process at a random moment; what it was doing, or None if it had ended before."""
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 4)):
            if not life.wait(lambda: not writes(life.run)) or not life.wait(lambda: writes(life.run)):
                return None
        time.sleep(rng.uniform(0, saving))
    else:
        until = life.began + rng.uniform(0, 2 * startup)
        if not life.wait(lambda: time.monotonic() > until):
            return None
    life.process.kill()
    _, said = life.process.communicate()
    return moment(life.run, said)


def moment(folder: Path, said: str) -> str:
    """What a process that was killed was doing, by what it left and what it had said."""
    if "Traceback" in said or "damaged" in said:
        raise SystemExit(f"The process before the kill said:\n{said}")
    if writes(folder):
        return MOMENTS[2]
    if any(name.endswith(".pruned") for name in names(folder)):
        return MOMENTS[4]
    found = checkpoint.list_checkpoints(folder / "checkpoints")[0]
    if len(found) > len({card.step for card in (*found[-2:], checkpoint.best(found)) if card}):
        return MOMENTS[3]
    if "Training" not in said and "Resuming" not in said:
        return MOMENTS[0]
    return MOMENTS[1]


def arrays(folder: Path) -> tuple[Any, int]:
    """Parameters and optimizer state of the last checkpoint, and its step."""
    here = run_folder.load(folder)
    init, _ = unet.network(here.config.model)
    transform = optimizer.optimizer(here.config.optim, optimizer.schedule(here.config.optim, EPOCHS * EPOCH_STEPS))
    begin = partial(optimizer.initial_state, jax.random.key(0), here.shape, init, transform)
    abstract = sharding.abstract_on(jax.eval_shape(begin), sharding.make_mesh(here.config.train.batch))
    restored = checkpoint.restore_latest(here.checkpoints, abstract, print)
    assert restored is not None, folder
    return restored[0], restored[1].step


def outcome(folder: Path) -> dict[str, Any]:
    """All that must not depend on kills."""
    now, step = arrays(folder)
    evaluation = json.loads((folder / "evaluation/test/metrics.json").read_text()) | {"run": ""}
    return {
        "step": step,
        "arrays": [(value.dtype, value.shape, value.tobytes()) for value in map(np.asarray, jax.tree.leaves(now))],
        "checkpoints": checkpoint.list_checkpoints(folder / "checkpoints"),
        "files": sorted(names(folder)),
        "metrics": (folder / "metrics.jsonl").read_text(),
        "evaluation": evaluation,
    }


def undisturbed(data: Path, folder: Path) -> tuple[dict[str, Any], tuple[float, float]]:
    """The outcome of a run that nothing disturbed; seconds of a start of the program, and of a save."""
    life, saves = start(data, folder), []
    for _ in range(5):
        life.wait(lambda: writes(folder))
        began, last = time.monotonic(), steps(folder)
        life.wait(partial(lambda last: steps(folder) > last, last))
        saves.append(time.monotonic() - began)
    finish(life)
    again = start(data, folder)  # a finished run starts, and ends
    finish(again)
    return outcome(folder), (time.monotonic() - again.began, median(saves))


def finish(life: Life) -> None:
    _, said = life.process.communicate()
    if life.process.returncode or "Traceback" in said or "damaged" in said:
        raise SystemExit(f"Status {life.process.returncode}:\n{said}")


def chain(data: Path, base: Path, kills: int, rng: np.random.Generator, seconds: tuple[float, float]) -> Chain:
    """Kill runs, one after another, so often in all, and let each end."""
    hits, folders = [], []
    while len(hits) < kills:
        folders.append(base / f"run{len(folders)}")
        while True:
            life = start(data, folders[-1])
            if len(hits) == kills or (hit := kill(life, rng, *seconds)) is None:
                finish(life)
                break
            hits.append((hit, steps(life.run) - max(whole(life.run), default=0)))
            print(base.name, len(hits), *hits[-1], whole(life.run), file=sys.stderr, flush=True)
    return Chain(hits, folders)


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        os.environ["OASIS_JAX_CACHE"] = str(base / "cache")
        sharding.configure_jax()
        data = trees.repeat(base / "tree", trees.draw(base / "drawn", SIZE), COUNTS)
        want, seconds = undisturbed(data, base / "undisturbed")
        with ThreadPoolExecutor() as pool:
            asked = [arguments.kills // arguments.chains] * arguments.chains
            jobs = [
                pool.submit(chain, data, base / f"chain{i}", kills, np.random.default_rng((arguments.seed, i)), seconds)
                for i, kills in enumerate(asked)
            ]
            chains = [job.result() for job in jobs]
        differ = [[part for part in want if outcome(folder)[part] != want[part]] for c in chains for folder in c.runs]
    hits = [hit for one in chains for hit in one.hits]
    rows = [
        [moment, str(len(again)), figures.spread(again)]
        for moment in MOMENTS
        if (again := [lost for other, lost in hits if other == moment])
    ]
    print(f"{figures.machine()}; jax {jax.__version__}; seed {arguments.seed}\n")
    print(figures.markdown(["killed while", "kills", "steps taken again"], rows))
    print(f"\n{len(hits)} kills of {len(differ)} runs; not as undisturbed: {[one for one in differ if one] or 'none'}")


if __name__ == "__main__":
    main()
