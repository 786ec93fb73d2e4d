"""A Markdown table from finished runs, with the commands that make its rows, so that no figure is written by hand.

Run:  python benchmarks/table.py SPLIT RUN [RUN ...] [--into README.md]

Prints the table, or puts it into a file between the lines `<!-- results -->` and `<!-- end of results -->`. A run has a
row for each data set it was evaluated on; the baselines of a data set stand below its first run. Hard Dice is pooled
over the split, surfaces are compared slice by slice in 2D; definitions are those of `oasis_jax.evaluation.summary`.
"""

import json
import shlex
import sys
from pathlib import Path

from oasis_jax import classes
from oasis_jax.evaluation import record
from oasis_jax.evaluation.by_class import ByClass
from oasis_jax.evaluation.record import Metrics
from oasis_jax.metrics import baselines
from oasis_jax.runs import folder as run_folder

BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
HEAD = ["data", "recipe", "steps (best)", *classes.NAMES, "surface Dice, 1 mm", "HD95, mm", "soft Dice"]
GOAL = "| OASIS (`keras_png_slices_data`), test: 544 slices of 17 subjects | oasis | 8456 |" + " goal |" * 7
GOAL_COMMAND = "python -m oasis_jax.train experiments/oasis.py --data.root keras_png_slices_data   # the row of goals"


def row(*cells: str) -> str:
    """One line of the table."""
    return f"| {' | '.join(cells)} |"


def number(value: float | None, digits: int = 4) -> str:
    """A score, for people."""
    return "-" if value is None else f"{value:.{digits}f}"


def numbers(values: ByClass) -> list[str]:
    """A text for each class."""
    return [number(values.named()[name]) for name in classes.NAMES]


def data_of(metrics: Metrics) -> str:
    """What a score is of."""
    return f"{metrics.data}, {metrics.split}: {metrics.scores.slices} slices of {metrics.scores.subjects} subjects"


def run_row(here: run_folder.Run, metrics: Metrics) -> str:
    """The line of a run."""
    scores = metrics.scores
    steps = max(json.loads(line)["step"] for line in here.metrics.read_text().splitlines())
    near = distance = None
    if scores.surfaces is not None:
        near = scores.surfaces.surface_dice_pooled.foreground_mean
        distance = scores.surfaces.hausdorff95_mm.foreground_mean
    return row(
        data_of(metrics),
        here.folder.name,
        f"{steps} ({metrics.step})",
        *numbers(scores.hard_dice_pooled),
        number(near),
        number(distance, 2),
        number(scores.soft_dice_per_slice.foreground_mean),
    )


def baseline_rows(metrics: Metrics) -> list[str]:
    """The lines of the baselines on a run's data."""
    known = metrics.scores.baselines
    return [
        row(data_of(metrics), title, "-", *numbers(known[name].hard_dice_pooled), "-", "-", "-")
        for name, (title, _) in baselines.METHODS.items()
    ]


def command(here: run_folder.Run) -> str:
    """The command that made a run, with the data folder by its name and without the run's place."""
    words = [Path(word).name if word.startswith("/") else word for word in here.provenance["command"][1:]]
    if "--run" in words:
        del words[words.index("--run") : words.index("--run") + 2]
    return f"{shlex.join(['python', '-m', 'oasis_jax.train', *words])}   # {here.folder.name}"


def main() -> None:
    words = sys.argv[1:]
    into = Path(words[words.index("--into") + 1]) if "--into" in words else None
    split, *folders = words[: words.index("--into")] if into else words
    runs = [run_folder.load(Path(folder)) for folder in folders]
    lines, seen = [row(*HEAD), "|" + "---|" * len(HEAD), GOAL], set()
    for here in runs:
        metrics = record.read(Metrics, here.evaluation(split) / "metrics.json")
        lines.append(run_row(here, metrics))
        if metrics.data_fingerprint not in seen:
            lines += baseline_rows(metrics)
        seen.add(metrics.data_fingerprint)
    block = "\n".join([*lines, "", "```sh", GOAL_COMMAND, *map(command, runs), "```", ""])
    if into is None:
        print(block)
        return
    text = into.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    into.write_text(f"{before}{block}{after}")


if __name__ == "__main__":
    main()
