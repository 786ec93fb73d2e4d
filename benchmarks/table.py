"""Rows of a Markdown table from finished runs, so that no figure is written by hand.

Run:  python benchmarks/table.py SPLIT RUN [RUN ...]

A row a run: the data it was evaluated on, its folder's name, the settings in which it differs from the first run
listed, its steps and the step of the checkpoint evaluated, hard Dice pooled over the split, and the seed's soft Dice
averaged over the foreground classes.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from oasis_jax import config, labels, run

HEAD = ["data", "recipe", "steps (best)", *labels.NAMES, "soft, foreground"]


def format_row(data: str, recipe: str, steps: str, hard: Sequence[float], soft: float | None) -> str:
    """One line of the table."""
    numbers = [f"{score:.4f}" for score in hard]
    return f"| {' | '.join([data, recipe, steps, *numbers, '-' if soft is None else f'{soft:.4f}'])} |"


def describe(data: str, split: str, slices: int, subjects: int) -> str:
    """What a score is of."""
    return f"{data}, {split}: {slices} slices of {subjects} subjects"


def run_row(folder: Path, split: str, first: config.Config) -> str:
    """The line of a run."""
    here = run.load(folder)
    metrics = json.loads((here.evaluation(split) / "metrics.json").read_text())
    summary = metrics["scores"]
    steps = max(json.loads(line)["step"] for line in here.metrics.read_text().splitlines())
    changed = "; ".join(config.differences(first, here.config))
    return format_row(
        describe(metrics["data"], split, summary["slices"], summary["subjects"]),
        f"{folder.name}: {changed}" if changed else folder.name,
        f"{steps} ({metrics['step']})",
        [summary["hard_dice_pooled"][name] for name in labels.NAMES],
        summary["soft_dice_per_slice"]["foreground mean"],
    )


def main() -> None:
    split, folders = sys.argv[1], [Path(word) for word in sys.argv[2:]]
    first = run.load(folders[0]).config
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for folder in folders:
        print(run_row(folder, split, first))


if __name__ == "__main__":
    main()
