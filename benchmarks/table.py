"""A Markdown table of finished runs, with the commands that make its rows, so that nobody writes a figure by hand.

Run:  python benchmarks/table.py SPLIT RUN [RUN ...] [--into README.md]

RUN is a run folder, or `pretrained`, whose evaluations lie in the current folder. Prints the table, or writes it into a
file between the lines `<!-- results -->` and `<!-- end of results -->`. Each run has a row with its 95 % intervals over
subjects, and a row of its mean with mirror images if that was evaluated. Otsu's thresholds are below the first run on a
data set; the best published result is the last row. Hard Dice is pooled over the split, and surfaces are compared slice
by slice in 2D; docs/metrics.md has the definitions.
"""

import shlex
import sys
from pathlib import Path

from oasis_jax import classes
from oasis_jax.evaluation import record
from oasis_jax.evaluation.by_class import ByClass, IntervalByClass
from oasis_jax.evaluation.record import Metrics
from oasis_jax.metrics import baselines
from oasis_jax.pretrained import run_path
from oasis_jax.report import tables
from oasis_jax.runs import folder as run_folder

BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
HEAD = ["data", "network", *classes.CLASSES, "surface Dice, 1 mm", "HD95, mm", "soft Dice"]
PUBLISHED = (
    "| keras_png_slices_data, test: 544 slices of 17 subjects | published by others, not ours: plain U-Net of "
    "[Ruiqi-Zuo/comp3710-oasis](https://github.com/Ruiqi-Zuo/comp3710-oasis) "
    "| 0.9993 | 0.9658 | 0.9666 | 0.9799 | 0.9708 | - | - | - |"
)
"""The best hard, pooled Dice that others report for the OASIS slices; the figures are from their README."""


def row(*cells: str) -> str:
    """A row of the table."""
    return f"| {' | '.join(cells)} |"


def number(value: float | None, digits: int = 4) -> str:
    """A score as text."""
    return "-" if value is None else f"{value:.{digits}f}"


def numbers(values: ByClass, interval: IntervalByClass | None = None) -> list[str]:
    """A text for the score of each class, with the interval where there is one."""
    scores = tables.texts(values)
    if interval is None:
        return scores
    ends = tables.ranges(tables.texts(interval.low, 3), tables.texts(interval.high, 3))
    return [f"{score}<br>{text}" for score, text in zip(scores, ends, strict=True)]


def data_of(metrics: Metrics) -> str:
    """The data that a run was evaluated on."""
    return f"{metrics.data}, {metrics.split}: {metrics.scores.slices} slices of {metrics.scores.subjects} subjects"


def run_row(run: run_folder.Run, metrics: Metrics) -> str:
    """The row of a run, or of its mean with mirror images."""
    scores, name = metrics.scores, run.name
    if metrics.averaged is not None:
        name += ", mean with mirror images"
    near = distance = None
    if scores.surfaces is not None:
        near = scores.surfaces.surface_dice_pooled.foreground_mean
        distance = scores.surfaces.hausdorff95_mm.foreground_mean
    return row(
        data_of(metrics),
        name,
        *numbers(scores.hard_dice_pooled, scores.intervals.hard_dice_pooled),
        number(near),
        number(distance, 2),
        number(scores.soft_dice_per_slice.foreground_mean),
    )


def otsu_row(metrics: Metrics) -> str:
    """The row of Otsu's thresholds, the better baseline, on the data of a run."""
    dice, (title, _) = metrics.scores.baselines["otsu"].hard_dice_pooled, baselines.METHODS["otsu"]
    return row(data_of(metrics), title, *numbers(dice), "-", "-", "-")


def commands(run: run_folder.Run, split: str, mirrored: bool) -> list[str]:
    """The commands that made the rows of a run, without paths of one machine: its data by name, the run in `runs/`."""
    evaluate = ["python", "-m", "oasis_jax.evaluate", f"runs/{run.name}", "--split", split]
    if run.weights is not None:
        assert run.config.data.root is not None
        evaluate[3:] = [run.name, "--data-root", run.config.data.root.name, "--split", split]
    mirror = [f"{shlex.join(evaluate)} --mirror"] if mirrored else []
    if run.weights is not None:
        return [shlex.join(evaluate), *mirror]
    words = [Path(word).name if word.startswith("/") else word for word in run.provenance["command"][1:]]
    if "--run" in words:
        words[words.index("--run") + 1] = f"runs/{run.name}"
    return [f"{shlex.join(['python', '-m', 'oasis_jax.train', *words])}   # {run.name}", *mirror]


def main() -> None:
    words = sys.argv[1:]
    into = Path(words[words.index("--into") + 1]) if "--into" in words else None
    split, *folders = words[: words.index("--into")] if into else words
    runs = [run_folder.load(run_path(folder)) for folder in folders]
    lines, made, seen = [row(*HEAD), "|" + "---|" * len(HEAD)], [], set()
    for run in runs:
        metrics = record.read(Metrics, run.evaluation(split) / "metrics.json")
        lines.append(run_row(run, metrics))
        mirrored = run.evaluation(f"{split}-mirror") / "metrics.json"
        if mirrored.is_file():
            lines.append(run_row(run, record.read(Metrics, mirrored)))
        made += commands(run, split, mirrored.is_file())
        if metrics.data_fingerprint not in seen:
            lines.append(otsu_row(metrics))
        seen.add(metrics.data_fingerprint)
    block = "\n".join([*lines, PUBLISHED, "", "```sh", *made, "```", ""])
    if into is None:
        print(block)
        return
    text = into.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    into.write_text(f"{before}{block}{after}")


if __name__ == "__main__":
    main()
