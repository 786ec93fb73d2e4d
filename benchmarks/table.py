"""Rows of a Markdown table from finished runs, so that no figure is written by hand.

Run:  python benchmarks/table.py SPLIT RUN [RUN ...]

A row a run: its folder's name, the settings in which it differs from the first run, its steps and the step of its best
checkpoint, hard Dice pooled over the split, and the seed's soft Dice averaged over the foreground classes.
"""

import json
import sys
from pathlib import Path

from oasis_jax import config, labels, run


def row(folder: Path, split: str, first: config.Config) -> str:
    """One line of the table."""
    here = run.load(folder)
    metrics = json.loads((here.evaluation(split) / "metrics.json").read_text())
    summary = metrics["scores"]
    steps = max(json.loads(line)["step"] for line in here.metrics.read_text().splitlines())
    changed = "; ".join(config.differences(first, here.config)) or "-"
    data = f"{metrics['data']}, {split}: {summary['slices']} slices of {summary['subjects']} subjects"
    hard = [f"{summary['hard_dice_pooled'][name]:.4f}" for name in labels.NAMES]
    soft = f"{summary['soft_dice_per_slice']['foreground mean']:.4f}"
    return " | ".join(["", folder.name, changed, data, f"{steps} ({metrics['step']})", *hard, soft, ""]).strip()


def main() -> None:
    split, folders = sys.argv[1], [Path(word) for word in sys.argv[2:]]
    first = run.load(folders[0]).config
    head = ["run", "settings that differ", "data", "steps (best)", *labels.NAMES, "soft, foreground mean"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for folder in folders:
        print(row(folder, split, first))


if __name__ == "__main__":
    main()
