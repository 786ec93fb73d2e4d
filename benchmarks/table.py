"""A Markdown table of finished runs, with the commands that make its rows, so that nobody writes a figure by hand.

Run:  python benchmarks/table.py SPLIT RUN [RUN ...] [--into README.md]

RUN is a run folder, or `pretrained`, whose evaluations lie in the current folder. Name runs on the same data one after
the other. Prints the table, or writes it between the lines `<!-- results -->` and `<!-- end of results -->` of a file.
Each run has a row with its 95 % intervals over subjects, and a row of its mean with mirror images if that was made.
Below the runs on a data set stand Otsu's thresholds and, on the test slices of OASIS, the best published result. Hard
Dice is pooled over the split; oasis_jax/metrics/README.md has the definitions.
"""

import shlex
import sys
from itertools import groupby
from pathlib import Path

from oasis_jax import classes
from oasis_jax.evaluation.record import Metrics, read_record
from oasis_jax.evaluation.scores import ByClass, Ends
from oasis_jax.metrics import baselines
from oasis_jax.pretrained import run_path
from oasis_jax.report import tables
from oasis_jax.runs.folder import Run

BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
HEAD = ["data", "network", *classes.CLASSES]
OASIS = "keras_png_slices_data, test: 544 slices of 17 subjects"
PUBLISHED = (
    "published by others: [plain U-Net](https://github.com/Ruiqi-Zuo/comp3710-oasis)",
    *("0.9993", "0.9658", "0.9666", "0.9799", "0.9708"),
)
"""The best hard, pooled Dice that others report for the OASIS slices; the figures are from their README."""


def row(*cells: str) -> str:
    """A row of the table."""
    return f"| {' | '.join(cells)} |"


def numbers(values: ByClass, interval: Ends | None = None) -> list[str]:
    """A text for the score of each class, with the interval where there is one."""
    scores = tables.texts(values)
    if interval is None:
        return scores
    return [f"{score}<br>{ends}" for score, ends in zip(scores, tables.ranges(interval, 3), strict=True)]


def data_of(metrics: Metrics) -> str:
    """The data that a run was evaluated on."""
    return f"{metrics.data}, {metrics.split}: {metrics.scores.slices} slices of {metrics.scores.subjects} subjects"


def run_row(run: Run, metrics: Metrics) -> list[str]:
    """The row of a run, or of its mean with mirror images."""
    scores = metrics.scores
    name = run.name if metrics.averaged is None else f"{run.name}, mean with mirror images"
    return [name, *numbers(scores.hard_dice_pooled, scores.intervals["hard_dice_pooled"])]


def otsu_row(metrics: Metrics) -> list[str]:
    """The row of Otsu's thresholds, the better baseline."""
    dice, (title, _) = metrics.scores.baselines["otsu"].hard_dice_pooled, baselines.METHODS["otsu"]
    return [title, *numbers(dice)]


def data_rows(runs: list[tuple[Run, Metrics, Metrics | None]]) -> list[str]:
    """The rows of one data set. Each run has its evaluation, and its evaluation with mirror images or None."""
    _, first, _ = runs[0]
    rows = [run_row(run, each) for run, *evaluations in runs for each in evaluations if each is not None]
    rows.append(otsu_row(first))
    if data_of(first) == OASIS:
        rows.append(list(PUBLISHED))
    names = [data_of(first), *[""] * (len(rows) - 1)]
    return [row(name, *cells) for name, cells in zip(names, rows, strict=True)]


def commands(run: Run, metrics: Metrics, mirrored: bool) -> list[str]:
    """The commands that made the rows of a run, without paths of one machine: its data by name, the run in `runs/`."""
    if run.weights is not None:
        data = ["--data-root", metrics.data, "--split", metrics.split]
        evaluate = shlex.join(["python", "-m", "oasis_jax.evaluate", run.name, *data])
        return [evaluate + ("   # and with --mirror" if mirrored else "")]
    evaluate = shlex.join(["python", "-m", "oasis_jax.evaluate", f"runs/{run.name}", "--split", metrics.split])
    mirror = [f"{evaluate} --mirror"] if mirrored else []
    words = [Path(word).name if word.startswith("/") else word for word in run.provenance["command"][1:]]
    if "--run" in words:
        words[words.index("--run") + 1] = f"runs/{run.name}"
    return [f"{shlex.join(['python', '-m', 'oasis_jax.train', *words])}   # {run.name}", *mirror]


def main() -> None:
    words = sys.argv[1:]
    into = Path(words[words.index("--into") + 1]) if "--into" in words else None
    split, *folders = words[: words.index("--into")] if into else words
    runs = []
    for run in (Run.load(run_path(folder)) for folder in folders):
        metrics, mirrored = (run.evaluation(name) / "metrics.json" for name in (split, f"{split}-mirror"))
        mirror = read_record(Metrics, mirrored) if mirrored.is_file() else None
        runs.append((run, read_record(Metrics, metrics), mirror))
    lines = [row(*HEAD), "|" + "---|" * len(HEAD)]
    for _, same in groupby(runs, key=lambda each: each[1].data_fingerprint):
        lines += data_rows(list(same))
    made = [line for run, metrics, mirror in runs for line in commands(run, metrics, mirror is not None)]
    block = "\n".join([*lines, "", "```sh", *made, "```", ""])
    if into is None:
        print(block)
        return
    text = into.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    into.write_text(f"{before}{block}{after}")


if __name__ == "__main__":
    main()
