"""`python -m oasis_jax.info RUN`: what a model is, what it sees, what it was trained on, and its scores."""

import json
from dataclasses import dataclass
from typing import Any

import tyro

from oasis_jax import pretrained
from oasis_jax.config import SPLITS
from oasis_jax.evaluation.record import Metrics, read_metrics
from oasis_jax.pretrained import RunPath
from oasis_jax.runs.checkpoints import Checkpoints
from oasis_jax.runs.description import SHIPPED, describe
from oasis_jax.runs.folder import Run
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import run_command

_ABSENT = {"heights": "all", "checkpoint": "none yet", "scores": "none: it was not evaluated here"}
"""What to say where a description has nothing; any other entry is then left out."""

_FOR_PROGRAMS = ("looks", "fingerprints", "sha256")
"""What only the JSON shows."""


@dataclass(frozen=True)
class Arguments:
    """Say what a model is, what it sees, what it was trained on, and its scores."""

    run: tyro.conf.Positional[RunPath]
    """Run folder, file of weights, or pretrained or pretrained-slices, the models that come with the program."""
    json: bool = False
    """Print it as JSON."""


def describe_all(run: Run) -> dict[str, Any]:
    """`describe` of the best checkpoint, with its scores and, of a model of the program, its card and its licence.

    Raises:
        UserError: an evaluation of it is damaged.
    """
    shipped = run.folder in SHIPPED
    best = run.weights.checkpoint if run.weights else Checkpoints(run.checkpoints).best
    return {
        **describe(run, best),
        "scores": {split: _summary(metrics) for split, metrics in read_metrics(run, (*SPLITS, "volumes")).items()},
        "card": str(run.folder / "README.md") if shipped else None,
        "licence": str(pretrained.FOLDER / "LICENSE") if shipped else None,
    }


def _summary(metrics: Metrics) -> dict[str, Any]:
    scores = metrics.scores
    counts = {"step": metrics.step, "slices": scores.slices, "subjects": scores.subjects}
    return {"data": metrics.data, **counts, "hard_dice_pooled": scores.hard_dice_pooled}


def _lines(about: dict[str, Any]) -> list[str]:
    """The description for people: the title of each entry, and beside it a line for each of its parts."""
    lines = []
    for title, value in about.items():
        parts = [_text(title, value)]
        if isinstance(value, dict) and value:
            parts = [f"{name.replace('_', ' ')}: {text}" for name, text in _texts(value).items()]
        titles = [title.replace("_", " "), *[""] * len(parts)]
        lines += [f"{name:12}{part}" for name, part in zip(titles, parts, strict=False) if part]
    return lines


def _texts(values: dict[str, Any]) -> dict[str, str]:
    texts = {name: _text(name, value) for name, value in values.items() if name not in _FOR_PROGRAMS}
    return {name: text for name, text in texts.items() if text}


def _text(name: str, value: Any) -> str:
    if value is None or value == {}:
        return _ABSENT.get(name, "")
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, text in _texts(value).items())
    if isinstance(value, list):
        between = " to " if name == "heights" else ", " if isinstance(value[0], str) else " x "
        return between.join(_text("", item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.info")
    about = describe_all(Run.load(arguments.run))
    print(*([json.dumps(about, indent=1, allow_nan=False)] if arguments.json else _lines(about)), sep="\n")


if __name__ == "__main__":
    run_command(main)
