"""What bfloat16 costs in Dice: the same training twice, in float32 and in bfloat16, each evaluated by the program.

Run:  python benchmarks/precision.py FOLDER [EXPERIMENT.py] [--data.root DIR ...]

The runs lie in FOLDER afterwards, and are resumed when they are there. Prints hard Dice pooled over the split and the
difference of each class; the goal is at most 0.002 in any class. On a GPU float32 has TF32 products.
"""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import figures

from oasis_jax import classes
from oasis_jax.evaluation import record
from oasis_jax.evaluation.record import Metrics
from oasis_jax.runs import folder as run_folder

GOAL = 0.002
DTYPES = ("float32", "bfloat16")


def train(folder: Path, words: list[str], dtype: str) -> tuple[list[float], str]:
    """Hard Dice of each class, and what it is of."""
    command = [sys.executable, "-m", "oasis_jax.train", *words, "--run", str(folder / dtype), "--model.dtype", dtype]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    trained = run_folder.load(folder / dtype)
    split = trained.config.train.evaluate
    metrics = record.read(Metrics, trained.evaluation(split) / "metrics.json")
    scores = metrics.scores.hard_dice_pooled.named()
    return [scores[name] for name in classes.NAMES], f"{metrics.data}, {split}: {metrics.scores.slices} slices"


def table(dice: dict[str, list[float]]) -> str:
    """Dice by class and type, the difference, and whether it is within the goal."""
    gaps = [b - a for a, b in zip(*(dice[dtype] for dtype in DTYPES), strict=True)]
    rows = [[dtype, *(f"{x:.4f}" for x in scores)] for dtype, scores in dice.items()]
    rows.append(["difference", *(f"{gap:+.4f}" for gap in gaps)])
    worst = max(map(abs, gaps))
    verdict = "within" if worst <= GOAL else "beyond"
    return f"{figures.markdown(['compute type', *classes.NAMES], rows)}\n\nLargest {worst:.4f}: {verdict} {GOAL}."


def main() -> None:
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    found = {dtype: train(folder, words, dtype) for dtype in DTYPES}
    print(f"{figures.machine()}; jax {version('jax')}; {' '.join(words) or 'quickstart'}; {found[DTYPES[0]][1]}\n")
    print(table({dtype: dice for dtype, (dice, _) in found.items()}))


if __name__ == "__main__":
    main()
