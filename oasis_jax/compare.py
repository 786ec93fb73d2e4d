"""`python -m oasis_jax.compare RUN RUN ...`: the first run against the others and the baselines, on the same people."""

import json
from dataclasses import dataclass
from typing import Literal

import tyro

from oasis_jax.evaluation.comparison import paired, read_evaluations
from oasis_jax.evaluation.result import CAUTIONS
from oasis_jax.metrics.bootstrap import FEWEST_SUBJECTS
from oasis_jax.pretrained import MoreRuns
from oasis_jax.report import tables
from oasis_jax.runs.folder import Run
from oasis_jax.system import records
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import UserError, run_command


@dataclass(frozen=True)
class Arguments:
    """Compare the first run with each of the others, and with the baselines, subject by subject."""

    runs: tyro.conf.Positional[MoreRuns]
    """Run folders, each evaluated on the split before; with one run, it is compared with the baselines alone."""
    split: Literal["train", "validate", "test", "volumes"] | None = None
    """Which evaluation of each run. None: the split that the first run's config names."""
    json: bool = False
    """Print the result as JSON."""


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.compare")
    if not arguments.runs:
        raise UserError("Name at least one run folder.")
    split = arguments.split or Run.load(arguments.runs[0]).config.train.evaluate
    subjects, compared, data = read_evaluations(arguments.runs, split)
    comparisons = [paired(compared[0], other, subjects) for other in compared[1:]]
    if arguments.json:
        print(json.dumps({"split": split, "comparisons": records.to_json(comparisons)}, indent=1, allow_nan=False))
        return
    console = tables.console()
    for table in (table for result in comparisons for table in tables.comparison_tables(result)):
        console.print(table)
    print(f"{data} Pooled scores, differences paired by subject.", *CAUTIONS.get(split, ()), sep="\n")
    if any(None in (score.p or {}).values() for result in comparisons for score in result.scores.values()):
        print(f"No p where fewer than {FEWEST_SUBJECTS} subjects have the class in both evaluations.")
    runs = compared[: len(arguments.runs)]
    if "surface_dice" in runs[0].counts and (others := [run.name for run in runs if "surface_dice" not in run.counts]):
        print(f"Surfaces of {', '.join(others)} were measured with pixels of another size, or not at all.")
    if len(subjects) < FEWEST_SUBJECTS:
        print(f"They are too few for an interval or a test; {FEWEST_SUBJECTS} are needed.")


if __name__ == "__main__":
    run_command(main)
