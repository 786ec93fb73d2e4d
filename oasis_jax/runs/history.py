"""The history of a run, `metrics.jsonl`: one JSON object a line, with `step`, `kind` and the numbers of that kind."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from oasis_jax import classes
from oasis_jax.system import records


@dataclass(frozen=True)
class Training:
    """What a training step reports."""

    kind: ClassVar = "train"
    gradient_norm: float
    """Euclidean norm of the whole gradient."""
    loss: float
    """Mean over the slices of the batch."""
    learning_rate: float
    """Of this step."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a validation reports; tuples hold the four classes, None if a score is undefined.

    Older runs lack those with a default.
    """

    kind: ClassVar = "validate"
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


@dataclass(frozen=True)
class Row:
    """One line."""

    step: int
    numbers: Training | Validation

    def line(self) -> str:
        """The line as text, which `read` reads."""
        return json.dumps({"step": self.step, "kind": self.numbers.kind, **records.to_json(self.numbers)})

    def scalars(self) -> Iterator[tuple[str, float]]:
        """The numbers that are defined, by name; those of a class as `name/class`."""
        for name, value in records.to_json(self.numbers).items():
            pairs = zip(classes.NAMES, value, strict=True) if isinstance(value, list) else [("", value)]
            for label, number in pairs:
                if number is not None:
                    yield f"{name}/{label}".rstrip("/"), number


_KINDS: dict[str, type[Training | Validation]] = {numbers.kind: numbers for numbers in (Training, Validation)}


def read(path: Path, last_step: int | None = None) -> list[Row]:
    """The rows up to a step, without damaged lines, such as one that a crash cut short."""
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        with suppress(ValueError, KeyError, TypeError):
            values = json.loads(line)
            rows.append(Row(int(values["step"]), records.from_json(_KINDS[values["kind"]], values)))
    return [row for row in rows if last_step is None or row.step <= last_step]
