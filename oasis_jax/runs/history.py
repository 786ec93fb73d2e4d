"""The history of a run, `metrics.jsonl`: one JSON object a line, with `step`, `kind` and the numbers of that kind."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oasis_jax import classes
from oasis_jax.system import records


@dataclass(frozen=True)
class Training:
    """What a training step reports (kind "train")."""

    gradient_norm: float
    """Euclidean norm of the whole gradient."""
    loss: float
    """Mean over the slices of the batch."""
    learning_rate: float
    """Of this step."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a validation reports (kind "validate"); tuples hold the four classes, None if a score is undefined.

    Older runs lack those with a default.
    """

    loss: float
    """Mean over the slices of the split."""
    calibration_error: float | None = None
    """Expected calibration error, 0 to 1."""
    lowest_confidence: float | None = None
    """Mean confidence inside the brain that all but 1 % of the slices reach, 0 to 1."""
    soft_dice: tuple[float, ...]
    """Mean over slices."""
    hard_dice: tuple[float | None, ...]
    """Pooled over the split, like the following ones."""
    jaccard: tuple[float | None, ...] = ()
    precision: tuple[float | None, ...] = ()
    recall: tuple[float | None, ...] = ()


KINDS: dict[str, type[Training] | type[Validation]] = {"train": Training, "validate": Validation}


@dataclass(frozen=True)
class Row:
    """One line."""

    step: int
    numbers: Training | Validation

    @property
    def kind(self) -> str:
        """The kind of the line: train or validate."""
        return "train" if isinstance(self.numbers, Training) else "validate"

    def line(self) -> str:
        """The line as text, which `parse` reads."""
        return json.dumps({"step": self.step, "kind": self.kind, **records.to_json(self.numbers)})

    def scalars(self) -> Iterator[tuple[str, float]]:
        """The numbers that are defined, by name; those of a class as `name/class`."""
        for name, value in records.to_json(self.numbers).items():
            if isinstance(value, list):
                pairs = zip((f"{name}/{label}" for label in classes.NAMES), value, strict=True)
                yield from ((key, number) for key, number in pairs if number is not None)
            elif value is not None:
                yield name, value


def parse(line: str) -> Row:
    """Read one line.

    Raises:
        ValueError: the line is damaged.
    """
    values = json.loads(line)
    if not isinstance(values, dict) or values.get("kind") not in [*KINDS] or type(values.get("step")) is not int:
        raise ValueError("no kind or no step")
    return Row(values["step"], records.from_json(KINDS[values["kind"]], values))


def read(path: Path, last_step: int | None = None) -> list[Row]:
    """The rows up to a step, without damaged lines, such as one that a crash cut short."""
    rows = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                rows.append(parse(line))
            except ValueError:
                continue
    return [row for row in rows if last_step is None or row.step <= last_step]
