"""A paired comparison of an evaluation with the published Dice of the 17 test subjects of OASIS.

Run:  python benchmarks/paired.py FOLDER [--published benchmarks/published_dice.csv]

FOLDER is the folder of an evaluation, such as runs/oasis/evaluation/test; its `per_subject.csv` is read. The published
table has the same columns. It is from https://github.com/izzydharma/comp3710_lab2 (commit b0e97539), a plain U-Net that
others trained and evaluated on the same 544 slices.

It compares the mean of hard Dice over subjects. The hard Dice of a subject is `2 I / (P + T)` from the counts of all
its slices. So these figures differ from pooled Dice, which adds the counts of all subjects first. The foreground mean
of a subject is the mean of its three tissues. Each row has the difference of the means (ours - theirs), its 95 %
bootstrap interval over subjects, and p of the two-sided Wilcoxon signed-rank test over subjects, adjusted for the five
rows by the method of Holm. With fewer than 8 subjects there is no interval and no p. Both tables must have the same
subjects.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import figures
import numpy as np
import tyro
from jaxtyping import Float64

from oasis_jax import classes
from oasis_jax.metrics import bootstrap, significance
from oasis_jax.system.errors import UserError, run_command

HEAD = ("class", "ours", "theirs", "ours - theirs", "95 % interval", "p (Wilcoxon, Holm)")

Dice = dict[tuple[str, str], float]
"""Hard Dice by subject and class."""


@dataclass(frozen=True)
class Arguments:
    """Compare an evaluation with the published Dice of each test subject."""

    folder: tyro.conf.Positional[Path]
    """Folder of an evaluation: RUN/evaluation/test."""
    published: Path = Path(__file__).parent / "published_dice.csv"
    """Published table: a line for each subject and class."""


def read(path: Path) -> Dice:
    """Hard Dice of a table.

    Raises:
        UserError: there is none, or it lacks a score.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {(line["subject"], line["class"]): float(line["hard_dice"]) for line in csv.DictReader(file)}
    except (OSError, KeyError, ValueError):
        raise UserError(
            f"{path} is not a table with a subject, a class and its hard_dice in each line: evaluate the run "
            "(python -m oasis_jax.evaluate), or name another path."
        ) from None


def paired(ours: Dice, theirs: Dice) -> tuple[Float64[np.ndarray, "subjects 5"], Float64[np.ndarray, "subjects 5"]]:
    """Dice of the same subjects in the same order, by class and for the foreground mean.

    Raises:
        UserError: a subject is in one and not in the other.
    """
    if unpaired := sorted(ours.keys() ^ theirs.keys()):
        places = ("evaluation", "published table") if unpaired[0] in ours else ("published table", "evaluation")
        raise UserError(
            f"{unpaired[0][1]} of subject {unpaired[0][0]} is in the {places[0]} and not in the {places[1]}: give an "
            "evaluation on the test split of OASIS, with its case numbers as subjects."
        )
    subjects = sorted({subject for subject, _ in ours})
    scores = np.array([[[dice[subject, k] for k in classes.NAMES] for subject in subjects] for dice in (ours, theirs)])
    foreground = scores[..., list(classes.FOREGROUND)].mean(-1, keepdims=True)
    both = np.concatenate([scores, foreground], -1)
    return both[0], both[1]


def rows(ours: Float64[np.ndarray, "subjects 5"], theirs: Float64[np.ndarray, "subjects 5"]) -> list[list[str]]:
    """A row for each class and the foreground mean."""
    subjects = len(ours)
    # A resample has as many subjects as there are, so its mean is its sum over that number.
    interval = bootstrap.paired_interval(lambda sums: sums / subjects, ours, theirs)
    p = significance.wilcoxon(ours, theirs)
    adjusted = None if p is None else significance.holm(p)
    means = ours.mean(0), theirs.mean(0)
    return [
        [
            name,
            *(f"{mean[k]:.4f}" for mean in means),
            f"{means[0][k] - means[1][k]:+.4f}",
            "-" if interval is None else f"{interval[0, k]:+.4f} to {interval[1, k]:+.4f}",
            "-" if adjusted is None else f"{adjusted[k]:.2g}",
        ]
        for k, name in enumerate(classes.CLASSES)
    ]


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    ours, theirs = paired(read(arguments.folder / "per_subject.csv"), read(arguments.published))
    print(f"Mean of hard Dice over {len(ours)} subjects.\n")
    print(figures.markdown(HEAD, rows(ours, theirs)))


if __name__ == "__main__":
    run_command(main)
