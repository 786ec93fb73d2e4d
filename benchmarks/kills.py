"""Whether a run that is killed and started again ends exactly as an undisturbed run, to the last bit.

Run:  python benchmarks/kills.py [--kills 100] [--chains 4] [--seed 0]

SIGKILL ends a small run, which is started again, until it is finished. Other runs follow until there are as many kills
as asked for; four runs are trained at a time. On average, every second kill waits until a checkpoint begins, and comes
at a random moment while the program writes it, reads it back and removes older ones. The other kills come at a random
moment after the start of the process. Then all parameters, the state of the optimizer, all checkpoints that are kept,
all metrics and the evaluation are compared with those of an undisturbed run of the same settings.
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
from typing import Any

import figures
import jax
import numpy as np
import trees
import tyro

from oasis_jax.runs import arrays
from oasis_jax.runs.checkpoints import Checkpoints, digest
from oasis_jax.system import sharding

SIZE = (48, 64)
COUNTS = {"train": 16, "validate": 8, "test": 8}
EPOCHS = 25
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
    """Number of kills in all runs."""
    chains: int = 4
    """Runs trained at a time."""
    seed: int = 0
    """Random seed of the moments."""


@dataclass
class Life:
    """One process, from its start to its kill or its end."""

    run: Path
    process: subprocess.Popen[str]
    start: float = field(default_factory=time.monotonic)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self, happened: Callable[[], bool]) -> bool:
        """Wait until something happened; False if the process ended first."""
        while not happened():
            if self.ended:
                return False
            time.sleep(0.001)
        return not self.ended


def start(data: Path, folder: Path) -> Life:
    words = [sys.executable, "-m", "oasis_jax.train", "--data.root", str(data), "--run", str(folder), *OPTIONS]
    return Life(folder, subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))


def names(folder: Path) -> list[str]:
    """The names in a run's folder of checkpoints."""
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
    """Kill a process at a random moment; return what it was doing, or None if it ended before."""
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 4)):
            if not life.wait(lambda: not writes(life.run)) or not life.wait(lambda: writes(life.run)):
                return None
        time.sleep(rng.uniform(0, saving))
    else:
        until = life.start + rng.uniform(0, 2 * startup)
        if not life.wait(lambda: time.monotonic() > until):
            return None
    life.process.kill()
    _, output = life.process.communicate()
    return moment(life.run, output)


def moment(folder: Path, output: str) -> str:
    """What a killed process was doing, from its files and its output."""
    if "Traceback" in output or "damaged" in output:
        raise SystemExit(f"The process before the kill said:\n{output}")
    if writes(folder):
        return MOMENTS[2]
    if any(name.endswith(".pruned") for name in names(folder)):
        return MOMENTS[4]
    checkpoints = Checkpoints(folder / "checkpoints")
    if len(checkpoints.sound) > len({card.step for card in (*checkpoints.sound[-2:], checkpoints.best) if card}):
        return MOMENTS[3]
    if "Training" not in output and "Resuming" not in output:
        return MOMENTS[0]
    return MOMENTS[1]


def contents(checkpoint: Path) -> dict[str, Any]:
    """Its parameters, and its step with the state of the optimizer."""
    return arrays.read(checkpoint, {part: arrays.shapes(checkpoint, part) for part in ("params", "rest")})


def outcome(folder: Path) -> dict[str, Any]:
    """Everything that must not depend on kills."""
    places, sound = folder / "checkpoints", Checkpoints(folder / "checkpoints").sound
    return {
        "arrays": [digest(contents(places / str(info.step))) for info in sound],
        "checkpoints": sound,
        "files": sorted(names(folder)),
        "metrics": (folder / "metrics.jsonl").read_text(),
        "evaluation": json.loads((folder / "evaluation/test/metrics.json").read_text()) | {"run": ""},
    }


def undisturbed(data: Path, folder: Path) -> tuple[dict[str, Any], tuple[float, float]]:
    """The outcome of an undisturbed run; the seconds to start the program, and to save a checkpoint."""
    life, saves = start(data, folder), []
    for _ in range(5):
        life.wait(lambda: writes(folder))
        begin, last = time.monotonic(), steps(folder)
        life.wait(partial(lambda last: steps(folder) > last, last))
        saves.append(time.monotonic() - begin)
    finish(life)
    second = start(data, folder)  # a run that is finished starts and ends at once
    finish(second)
    return outcome(folder), (time.monotonic() - second.start, median(saves))


def finish(life: Life) -> None:
    _, output = life.process.communicate()
    if life.process.returncode or "Traceback" in output or "damaged" in output:
        raise SystemExit(f"Status {life.process.returncode}:\n{output}")


def chain(
    data: Path, base: Path, kills: int, rng: np.random.Generator, seconds: tuple[float, float]
) -> tuple[list, list[Path]]:
    """Kill runs `kills` times in all, one run after another, and let each run end.

    Returns:
        For each kill, what the process was doing and how many steps must be taken again; and the runs.
    """
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
    return hits, folders


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        os.environ["OASIS_JAX_CACHE"] = str(base / "cache")
        sharding.configure_jax()
        data = trees.repeat(base / "tree", trees.draw(base / "drawn", SIZE), COUNTS)
        expected, seconds = undisturbed(data, base / "undisturbed")
        with ThreadPoolExecutor() as pool:
            kills, seed = arguments.kills // arguments.chains, arguments.seed
            jobs = [
                pool.submit(chain, data, base / f"chain{i}", kills, np.random.default_rng((seed, i)), seconds)
                for i in range(arguments.chains)
            ]
            chains = [job.result() for job in jobs]
        folders = [folder for _, runs in chains for folder in runs]
        differences = [[part for part in expected if outcome(folder)[part] != expected[part]] for folder in folders]
    hits = [hit for killed, _ in chains for hit in killed]
    rows = [
        [name, str(len(repeated)), figures.spread(repeated)]
        for name in MOMENTS
        if (repeated := [count for moment_of_hit, count in hits if moment_of_hit == name])
    ]
    print(f"{figures.machine()}; jax {jax.__version__}; seed {arguments.seed}\n")
    print(figures.markdown(["killed while", "kills", "steps taken again"], rows))
    different = [*filter(None, differences)] or "none"
    print(f"\n{len(hits)} kills of {len(differences)} runs; not as undisturbed: {different}")


if __name__ == "__main__":
    main()
