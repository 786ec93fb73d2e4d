"""Time to the goal: seconds from the command until a network has hard Dice 0.90 in every class on all of validate.

Run:  python benchmarks/goal.py TREE [--steps 150]

TREE is a `keras_png_slices_data`. Starts `python -m oasis_jax.train experiments/oasis.py` for a number of steps that is
fixed beforehand, and waits for its one validation. Start of the program, check of the data, compiling, training and
that validation count; the final evaluation, which would repeat it, does not. The compilation cache is empty (`--warm`
keeps the user's own), files of the data may lie in the system's memory.
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
"""Hard Dice of every class, pooled over validate."""


@dataclass(frozen=True)
class Arguments:
    """Measure the time until every class has hard Dice 0.90 on validate."""

    tree: tyro.conf.Positional[Path]
    """A keras_png_slices_data."""
    steps: int = 150
    """Steps of 8 slices."""
    warm: bool = False
    """Use the user's own cache of compiled programs and checks."""


def validation(metrics: Path) -> dict | None:
    """The validation that a run's `metrics.jsonl` holds, if there is one yet."""
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
        while (found := validation(run / "metrics.jsonl")) is None:
            if process.poll() is not None:
                raise SystemExit(f"Training ended with status {process.returncode} before it was validated.")
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        process.kill()
        process.wait()
    dice = dict(zip(classes.NAMES, found["hard_dice"], strict=True))
    reached = all(value >= GOAL for value in dice.values())
    scores = ", ".join(f"{name} {value:.4f}" for name, value in dice.items())
    print(f"{figures.machine()}: {arguments.steps} steps, {seconds:.0f} s; {scores}: {'reached' if reached else 'not'}")
    raise SystemExit(0 if reached else 1)


if __name__ == "__main__":
    main()
