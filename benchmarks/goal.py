"""Time to the goal: seconds from the command until hard Dice is at least 0.90 in every class on all of validate.

Run:  python benchmarks/goal.py TREE [--steps 150]

TREE is a `keras_png_slices_data`. Starts `python -m oasis_jax.train experiments/oasis.py` for a fixed number of steps
and waits for its only validation. The time includes the start of the program, the check of the data, compilation,
training and this validation. It does not include the final evaluation, which would repeat the validation. The
compilation cache is empty (`--warm` uses the cache of the user). The system may have files of the data in memory.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import figures
import tyro

from oasis_jax import classes

GOAL = 0.9
"""Hard Dice that every class must reach, pooled over validate."""


@dataclass(frozen=True)
class Arguments:
    """Measure the time until every class has hard Dice 0.90 on validate."""

    tree: tyro.conf.Positional[Path]
    """A keras_png_slices_data."""
    steps: int = 150
    """Steps of 8 slices."""
    warm: bool = False
    """Use the cache of the user, of compiled programs and of checks."""


def validation(metrics: Path) -> dict | None:
    """The first validation in the `metrics.jsonl` of a run; None if there is none yet."""
    lines = metrics.read_text().splitlines() if metrics.is_file() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    return next((row for row in rows if row["kind"] == "validate"), None)


def main() -> None:
    arguments = tyro.cli(Arguments)
    repository = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "goal"
        words = ["--data.root", str(arguments.tree.absolute()), "--run", str(run), "--train.evaluate", "validate"]
        words += ["--train.steps", str(arguments.steps)]
        cache = {} if arguments.warm else {"OASIS_JAX_CACHE": str(Path(name) / "cache")}
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "oasis_jax.train", str(repository / "experiments/oasis.py"), *words],
            env=os.environ | cache, cwd=repository, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while (scores := validation(run / "metrics.jsonl")) is None:
            if process.poll() is not None:
                raise SystemExit(f"Training ended with status {process.returncode} before it was validated.")
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        process.kill()
        process.wait()
    dice = dict(zip(classes.NAMES, scores["hard_dice"], strict=True))
    reached = all(value >= GOAL for value in dice.values())
    text = ", ".join(f"{name} {value:.4f}" for name, value in dice.items())
    print(f"{figures.machine()}: {arguments.steps} steps, {seconds:.0f} s; {text}: {'reached' if reached else 'not'}")
    raise SystemExit(0 if reached else 1)


if __name__ == "__main__":
    main()
