"""What bfloat16 costs in Dice: the same training in float32 and in bfloat16, both evaluated.

Run:  python benchmarks/precision.py FOLDER [EXPERIMENT.py] [--data.root DIR ...]

FOLDER keeps the runs; runs that it has already are resumed. Prints hard Dice, pooled over the split, and the difference
for each class. Goal: at most 0.002 in every class. On a GPU, float32 means TF32 products.
"""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import figures

from oasis_jax import classes
from oasis_jax.evaluation.record import Metrics, read_record
from oasis_jax.runs import folder as run_folder

GOAL = 0.002
DTYPES = ("float32", "bfloat16")


def train(folder: Path, words: list[str], dtype: str) -> tuple[list[float], str]:
    """Hard Dice of each class, and the data that it was measured on."""
    command = [sys.executable, "-m", "oasis_jax.train", *words, "--run", str(folder / dtype), "--model.dtype", dtype]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    trained = run_folder.load(folder / dtype)
    split = trained.config.train.evaluate
    metrics = read_record(Metrics, trained.evaluation(split) / "metrics.json")
    scores: dict[Any, Any] = metrics.scores.hard_dice_pooled  # every split has every class
    return [scores[name] for name in classes.NAMES], f"{metrics.data}, {split}: {metrics.scores.slices} slices"


def table(dice: dict[str, list[float]]) -> str:
    """Dice by compute type and class, the differences, and whether they are within the goal."""
    gaps = [b - a for a, b in zip(*(dice[dtype] for dtype in DTYPES), strict=True)]
    rows = [[dtype, *(f"{x:.4f}" for x in scores)] for dtype, scores in dice.items()]
    rows.append(["difference", *(f"{gap:+.4f}" for gap in gaps)])
    worst = max(map(abs, gaps))
    verdict = "within" if worst <= GOAL else "beyond"
    return f"{figures.markdown(['compute type', *classes.NAMES], rows)}\n\nLargest {worst:.4f}: {verdict} {GOAL}."


def main() -> None:
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    results = {dtype: train(folder, words, dtype) for dtype in DTYPES}
    print(f"{figures.machine()}; jax {version('jax')}; {' '.join(words) or 'quickstart'}; {results[DTYPES[0]][1]}\n")
    print(table({dtype: dice for dtype, (dice, _) in results.items()}))


if __name__ == "__main__":
    main()
