"""Trials of `experiments/oasis.py`: each changes a setting, and all are scored on validate, never on test.

Run:  python benchmarks/trials.py TREE FOLDER [--only NAME ...] [--steps 1208] [--cases N]

TREE is a `keras_png_slices_data`. Trains the trials that FOLDER does not have yet, one after another, each in
FOLDER/NAME, and prints their table. A trial that was interrupted is resumed. With `--cases`, the trials see only the
first N training cases, in a tree made of links (FOLDER/tree). Trials whose steps cost the same are compared at equal
steps; `benchmarks/epoch.py` measures the cost of a step.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import figures
import trees
import tyro

from oasis_jax import classes

TRIALS: dict[str, tuple[str, ...]] = {
    "base": (),
    "rate16": ("--optim.learning-rate", "16e-3"),
    "rate4": ("--optim.learning-rate", "4e-3"),
    "no gamma": ("--augment.gamma", "0"),
    "bias field": ("--augment.bias-field", "0.2"),
    "cross-entropy 3": ("--optim.cross-entropy", "3"),
    "cross-entropy .3": ("--optim.cross-entropy", "0.3"),
    "batch 16": ("--train.batch", "16"),
    "dropout": ("--model.dropout", "0.1"),
    "turned": ("--augment.rotate", "5", "--augment.scale", "0.05"),
    "stripped": ("--augment.strip", "0.25", "--augment.bias-field", "0.2"),
    "elsewhere": (
        *("--augment.strip", "0.25", "--augment.bias-field", "0.2", "--augment.warped", "0.4"),
        *("--augment.rotate", "10", "--augment.scale", "0.15", "--augment.shift", "10"),
    ),
    "seed 1": ("--train.seed", "1"),
    "seed 2": ("--train.seed", "2"),
}
"""Name and options of each; `base` is `experiments/oasis.py` as it stands."""


@dataclass(frozen=True)
class Arguments:
    """Train trials of experiments/oasis.py and score them on validate."""

    tree: tyro.conf.Positional[Path]
    """A keras_png_slices_data."""
    folder: tyro.conf.Positional[Path]
    """Folder of the runs."""
    only: tuple[Annotated[str, tyro.conf.arg(metavar="NAME")], ...] = ()
    """Names of trials. If none is given: all."""
    steps: int = 1208
    """Steps of each trial; 1,208 steps of 8 slices are an epoch of all cases."""
    cases: int | None = None
    """Training cases. None: all."""


def subset(tree: Path, root: Path, cases: int) -> Path:
    """Make a tree of links to the first training cases and to all of validate."""
    slices = trees.all_slices(tree, "train")
    chosen = list(dict.fromkeys(pair.case for pair in slices))[:cases]
    trees.link((pair for pair in slices if pair.case in chosen), root, "train")
    trees.link(trees.all_slices(tree, "validate"), root, "validate")
    return root


def train(tree: Path, run: Path, steps: int, options: tuple[str, ...]) -> None:
    """Train a trial to its end. If it fails, no other trial is trained."""
    words = ["--data.root", str(tree), "--run", str(run), "--train.steps", str(steps), "--train.evaluate", "validate"]
    experiment = str(Path(__file__).parent.parent / "experiments" / "oasis.py")
    process = subprocess.run([sys.executable, "-m", "oasis_jax.train", experiment, *words, *options], check=False)
    if process.returncode:
        raise SystemExit(process.returncode)


def row(name: str, options: tuple[str, ...], run: Path) -> list[str]:
    """A row of the table, from the `metrics.jsonl` of a run."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    best = min((line for line in lines if line["kind"] == "validate"), key=lambda line: line["loss"])
    dice = best["hard_dice"]
    foreground = sum(dice[k] for k in classes.FOREGROUND) / len(classes.FOREGROUND)
    return [name, " ".join(options), str(best["step"]), *(f"{x:.4f}" for x in (*dice, foreground))]


def main() -> None:
    arguments = tyro.cli(Arguments)
    tree = arguments.tree
    if arguments.cases is not None:
        tree = subset(tree, arguments.folder / "tree", arguments.cases)
    chosen = {name: TRIALS[name] for name in arguments.only or TRIALS}
    rows = []
    for name, options in chosen.items():
        run = arguments.folder / name.replace(" ", "-")
        train(tree, run, arguments.steps, options)
        rows.append(row(name, options, run))
    head = ["trial", "changed", "best step", *classes.NAMES, "foreground"]
    print(f"{figures.machine()}\n\n{figures.markdown(head, rows)}")


if __name__ == "__main__":
    main()
