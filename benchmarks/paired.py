"""A paired comparison of an evaluation with the published Dice of the 17 test subjects of OASIS.

Run:  python benchmarks/paired.py FOLDER [--published benchmarks/published_dice.csv]

FOLDER is the folder of an evaluation, such as runs/oasis/evaluation/test; its `per_subject.csv` is read. The published
table has the case numbers 441 to 457. It is from https://github.com/izzydharma/comp3710_lab2 (commit b0e97539), a plain
U-Net that others trained and evaluated on the same 544 slices.

It compares the mean of hard Dice over subjects. The hard Dice of a subject is `2 I / (P + T)` from the counts of all
its slices. So these figures differ from pooled Dice, which adds the counts of all subjects first. The foreground mean
of a subject is the mean of its three tissues. Each row has the difference of the means (ours - theirs), its 95 %
bootstrap interval over subjects, and p of the two-sided Wilcoxon signed-rank test over subjects, adjusted for the five
rows by the method of Holm. With fewer than 8 subjects there is no interval and no p. Both tables must have the same
subjects.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import figures
import numpy as np
import tyro
from jaxtyping import Float64

from oasis_jax import classes
from oasis_jax.metrics import bootstrap, significance
from oasis_jax.metrics.bootstrap import Interval
from oasis_jax.system.errors import UserError, run_command

HEAD = ("class", "ours", "theirs", "ours - theirs", "95 % interval", "p (Wilcoxon, Holm)")

Dice = dict[str, dict[str, float]]
"""Hard Dice by subject and class."""


@dataclass(frozen=True)
class Arguments:
    """Compare an evaluation with the published Dice of each test subject."""

    folder: tyro.conf.Positional[Path]
    """Folder of an evaluation: RUN/evaluation/test."""
    published: Path = Path(__file__).parent / "published_dice.csv"
    """Published table: a line for each subject, a column for each class."""


def read_ours(folder: Path) -> Dice:
    """Hard Dice of an evaluation, from its `per_subject.csv`.

    Raises:
        UserError: there is none, or it lacks a score.
    """
    path = folder / "per_subject.csv"
    dice: Dice = {}
    for line in _lines(path, ("subject", "class", "hard_dice")):
        dice.setdefault(line["subject"], {})[line["class"]] = _score(line["hard_dice"])
    return _complete(dice, path)


def read_published(path: Path) -> Dice:
    """Hard Dice of the published table, by case number.

    Raises:
        UserError: there is none, or it lacks a score.
    """
    lines = _lines(path, ("case", *classes.NAMES))
    return _complete({line["case"]: {name: _score(line[name]) for name in classes.NAMES} for line in lines}, path)


def paired(ours: Dice, theirs: Dice) -> tuple[Float64[np.ndarray, "subjects 5"], Float64[np.ndarray, "subjects 5"]]:
    """Dice of the same subjects in the same order, by class and for the foreground mean.

    Raises:
        UserError: a subject is in one and not in the other.
    """
    if unpaired := sorted(ours.keys() ^ theirs.keys()):
        name = unpaired[0]
        place, other = ("evaluation", "published table") if name in ours else ("published table", "evaluation")
        more = f" (and {len(unpaired) - 1} more)" if unpaired[1:] else ""
        raise UserError(
            f"Subject {name} is in the {place} and not in the {other}{more}: "
            "give an evaluation on the test split of OASIS, with its case numbers as subjects."
        )
    return _array(ours, sorted(ours)), _array(theirs, sorted(ours))


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
            _ends(interval, k),
            "-" if adjusted is None else f"{adjusted[k]:.2g}",
        ]
        for k, name in enumerate(classes.CLASSES)
    ]


def _ends(interval: Interval | None, k: int) -> str:
    return "-" if interval is None else f"{interval.low[k]:+.4f} to {interval.high[k]:+.4f}"


def _array(dice: Dice, subjects: Sequence[str]) -> Float64[np.ndarray, "subjects 5"]:
    scores = np.array([[dice[subject][name] for name in classes.NAMES] for subject in subjects])
    return np.column_stack([scores, scores[:, list(classes.FOREGROUND)].mean(1)])


def _lines(path: Path, columns: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """The lines of a CSV file that has at least these columns."""
    if not path.is_file():
        raise UserError(
            f"{path} does not exist: evaluate the run (python -m oasis_jax.evaluate), or name another path."
        )
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, restval="")
        if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise UserError(f"{path} has no column {missing[0]}: give a table with the columns {', '.join(columns)}.")
        yield from reader


def _score(text: str) -> float:
    """A score; NaN where the table has none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _complete(dice: Dice, path: Path) -> Dice:
    """The same scores, when no subject lacks one."""
    if not dice:
        raise UserError(f"{path} has no subject: give a complete table.")
    for subject, scores in dice.items():
        for name in classes.NAMES:
            if not np.isfinite(scores.get(name, np.nan)):
                raise UserError(f"{path} has no hard Dice of {name} for subject {subject}: give a complete table.")
    return dice


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    ours, theirs = paired(read_ours(arguments.folder), read_published(arguments.published))
    print(f"Mean of hard Dice over {len(ours)} subjects.\n")
    print(figures.markdown(HEAD, rows(ours, theirs)))


if __name__ == "__main__":
    run_command(main)
