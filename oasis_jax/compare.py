"""`python -m oasis_jax.compare RUN RUN ...`: the first run against the others and the baselines, on the same people."""

from oasis_jax import guard

if __name__ == "__main__":
    guard.install()  # before the imports that take seconds

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich import box
from rich.table import Table

from oasis_jax import baselines, paired, run, summary, tables
from oasis_jax.arguments import command_line
from oasis_jax.bootstrap import FEWEST_SUBJECTS
from oasis_jax.errors import UserError, run_command
from oasis_jax.paired import SCORES, Evaluation


@dataclass(frozen=True)
class Arguments:
    """Compare the first run with each of the others, and with the baselines, subject by subject."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """Run folders, each evaluated on the split before; with one run, it is compared with the baselines alone."""
    split: Literal["train", "validate", "test", "volumes"] | None = None
    """Which evaluation of each run. None: the split that the first run's config names."""
    json: bool = False
    """Print the result as JSON."""


def read_evaluation(folder: Path, split: str) -> dict[str, Any]:
    """The content of `subjects.json` of a run's evaluation.

    Raises:
        UserError: there is none, or it is damaged.
    """
    file = run.load(folder).evaluation(split) / "subjects.json"
    if not file.is_file():
        how = "--images ... --labels ..." if split == "volumes" else f"--split {split}"
        raise UserError(f"{folder} has no evaluation on {split}: python -m oasis_jax.evaluate {folder} {how}")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        people, counts = content["subjects"], [content["confusion"], *content["baselines"].values()]
        if set(content["baselines"]) != set(baselines.METHODS) or not all(isinstance(name, str) for name in people):
            raise ValueError("its subjects or baselines are not what an evaluation writes")
        if not people or any(np.array(table, np.int64).shape != (len(people), 4, 4) for table in counts):
            raise ValueError("its counts are not of its subjects")
        if any(np.min(table) < 0 for table in counts):
            raise ValueError("it holds a count below 0")
        surfaces = [np.array(sums, np.float64) for sums in content["surfaces"].values()]
        if any(sums.shape != (len(people), 2, 3) or not np.isfinite(sums).all() for sums in surfaces):
            raise ValueError("its surfaces are not of its subjects")
        if any(np.any(np.sum(table, axis=-1) != np.sum(counts[0], axis=-1)) for table in counts):
            raise ValueError("its baselines count other true pixels")
        facts = {name: str(content[name]) for name in ("data_fingerprint", "data", "step")}
        facts |= {"spacing": dict(content["spacing"])}
        return content | facts
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{file} is damaged ({error}): evaluate {folder} again.") from error


def evaluations(folders: Sequence[Path], split: str) -> tuple[list[str], list[Evaluation], str]:
    """The subjects; what is known of them, of each run, then of each baseline; and a sentence on what it is of.

    Raises:
        UserError: an evaluation is missing, or two are not of the same slices.
    """
    found = [read_evaluation(folder, split) for folder in folders]
    for folder, one in zip(folders, found, strict=True):
        if one["data_fingerprint"] != found[0]["data_fingerprint"] or one["subjects"] != found[0]["subjects"]:
            raise UserError(
                f"{folder} and {folders[0]} were evaluated on different slices of {split}: use the same data."
            )
        if np.any(np.sum(one["confusion"], axis=-1) != np.sum(found[0]["confusion"], axis=-1)):
            raise UserError(
                f"{folder} and {folders[0]} count other true pixels in the same slices: evaluate both again."
            )
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    steps = ", ".join(f"{name} of step {one['step']}" for name, one in zip(names, found, strict=True))
    told = f"{found[0]['data']}, {split}, {len(found[0]['subjects'])} subjects; checkpoints: {steps}."
    out = [
        Evaluation(name, {"hard_dice": np.array(one["confusion"])} | _surface_counts(one, found[0]["spacing"]))
        for name, one in zip(names, found, strict=True)
    ]
    known = [
        Evaluation(title, {"hard_dice": np.array(found[0]["baselines"][name])})
        for name, (title, _) in baselines.METHODS.items()
    ]
    return found[0]["subjects"], out + known, told


def _surface_counts(content: dict[str, Any], spacing: dict[str, Any]) -> dict[str, np.ndarray]:
    """Nothing where surfaces were not compared, or with pixels of another size: they would differ by that alone."""
    sums = content["surfaces"].get("surface_dice_pooled")
    return {} if sums is None or content["spacing"] != spacing else {"surface_dice": np.array(sums)}


def result_tables(compared: dict[str, Any]) -> list[Table]:
    """One comparison as people read it: a table for each score."""
    few = compared["subjects"] < FEWEST_SUBJECTS
    made = []
    for name, found in compared["scores"].items():
        title = f"{SCORES[name][0]}: {compared['ours']} - {compared['theirs']}"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("")
        for column in summary.CLASSES:
            table.add_column(column, justify="right")
        table.add_row(compared["ours"], *tables.texts(found["ours"]))
        table.add_row(compared["theirs"], *tables.texts(found["theirs"]))
        table.add_row("difference", *tables.texts(found["difference"], signed=True))
        if few:
            for person, values in found["each"].items():
                table.add_row(f"  of subject {person}", *tables.texts(values, signed=True))
        else:
            ends = (tables.texts(found["interval"][end], signed=True) for end in ("low", "high"))
            table.add_row("  95 % interval", *tables.ranges(*ends))
            table.add_row("  p, Wilcoxon", *_p_texts(found["p"]))
            table.add_row("  p, Holm over the classes", *_p_texts(found["p_holm"]))
        made.append(table)
    return made


def _p_texts(values: dict[str, float | None]) -> list[str]:
    texts = tables.texts(values)
    small = [(values.get(name) or 1) < 1e-4 for name in summary.CLASSES]
    return ["< 0.0001" if tiny else text for tiny, text in zip(small, texts, strict=True)]


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.compare", config=(tyro.conf.FlagCreatePairsOff,))
    if not arguments.runs:
        raise UserError("Name at least one run folder.")
    split = arguments.split or run.load(arguments.runs[0]).config.train.evaluate
    subjects, found, told = evaluations(arguments.runs, split)
    compared = [paired.compare(found[0], other, subjects) for other in found[1:]]
    if arguments.json:
        print(json.dumps({"split": split, "comparisons": compared}, indent=1, allow_nan=False))
        return
    console = tables.console()
    for one in compared:
        for table in result_tables(one):
            console.print(table)
    print(f"{told} Pooled scores, differences paired by subject.", *tables.CAUTIONS.get(split, ()), sep="\n")
    scores = [score for one in compared for score in one["scores"].values()]
    if any(None in score["p"].values() for score in scores if score["p"]):
        print(f"No p where fewer than {FEWEST_SUBJECTS} subjects have the class in both evaluations.")
    runs = found[: len(arguments.runs)]
    if "surface_dice" in runs[0].counts and (others := [one.name for one in runs if "surface_dice" not in one.counts]):
        print(f"Surfaces of {', '.join(others)} were measured with pixels of another size, or not at all.")
    if len(subjects) < FEWEST_SUBJECTS:
        print(f"They are too few for an interval or a test; {FEWEST_SUBJECTS} are needed.")


if __name__ == "__main__":
    run_command(main)
