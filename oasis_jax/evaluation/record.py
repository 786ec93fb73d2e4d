"""What an evaluation leaves for programs: `metrics.json`, its scores, and `subjects.json`, the counts behind them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float64, Int64

from oasis_jax.data.geometry import Spacing
from oasis_jax.evaluation.scores import Scores
from oasis_jax.inference.ensemble import Averaged
from oasis_jax.metrics.baselines import METHODS
from oasis_jax.system import records
from oasis_jax.system.errors import UserError

SCHEMA = 1
"""Of both files; a change that could break a reader of them raises it. Files without one are read as 1."""


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """What was evaluated, and on what."""

    schema: int = SCHEMA
    run: str
    """Name of the run's folder."""
    data: str
    """Name of the data, for people."""
    split: str
    """train, validate, test or volumes."""
    step: int
    """Of the checkpoint."""
    averaged: Averaged | None = None
    """None for one network alone."""
    data_fingerprint: str
    """SHA-256 of the slices, or of the volumes."""
    spacing_mm: Spacing | None
    """mm; None where it is unknown, or not the same in all cases."""


@dataclass(frozen=True, kw_only=True)
class Metrics(EvaluationRecord):
    """The content of `metrics.json`."""

    scores: Scores


@dataclass(frozen=True)
class SurfaceSums:
    """What a score of surfaces divides, by subject, ratio (what is above the line, what is below) and tissue."""

    surface_dice_pooled: Float64[np.ndarray, "subjects 2 3"]
    """Size of both surfaces that is near the other, and their whole size: mm, of volumes mm²."""
    hausdorff95_mm: Float64[np.ndarray, "subjects 2 3"]
    """Finite distances added up, in mm, and how many they are."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counts of each subject: any pooled score can be had from them, and two evaluations compared."""

    subjects: tuple[str, ...]
    """Names, sorted."""
    spacing: dict[str, Spacing | None]
    """mm, of each case."""
    confusion: Int64[np.ndarray, "subjects 4 4"]
    """Pixels by true class (row) and predicted class (column)."""
    surfaces: SurfaceSums | None
    """None where the size of the pixels is unknown."""
    baselines: dict[str, Int64[np.ndarray, "subjects 4 4"]]
    """Pixels, as `confusion`, of each of `metrics.baselines.METHODS`."""

    def __post_init__(self) -> None:
        if not self.subjects or len(self.subjects) != len(self.confusion):
            raise ValueError("the counts are not of the subjects")
        if set(self.baselines) != set(METHODS):
            raise ValueError(f"the baselines are {sorted(self.baselines)} and must be {sorted(METHODS)}")
        for table in (self.confusion, *self.baselines.values()):
            if table.min() < 0:
                raise ValueError("a count is below 0")
            if np.any(table.sum(-1) != self.confusion.sum(-1)):
                raise ValueError("the baselines count other true pixels")


@dataclass(frozen=True, kw_only=True)
class SubjectCounts(Counts, EvaluationRecord):
    """The content of `subjects.json`: first the fields of the record, then the counts."""


File = TypeVar("File", Metrics, SubjectCounts)


def read(kind: type[File], path: Path) -> File:
    """Read a `metrics.json` or a `subjects.json`.

    Raises:
        UserError: it is damaged, or another version of the program wrote it and it lacks something.
        OSError: it cannot be read.
    """
    schema: object = SCHEMA
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        schema = values.get("schema") if isinstance(values, dict) else schema
        if schema not in (None, SCHEMA):
            raise ValueError(f"its schema is {schema}, not {SCHEMA}")
        return records.from_json(kind, values)
    except ValueError as error:
        fault = "damaged" if schema == SCHEMA else "of another version of the program"
        raise UserError(f"{path} is {fault} ({error}): evaluate {path.parent.name} again, or remove it.") from error


def text(content: Metrics | SubjectCounts, indent: int | None = None) -> str:
    """What `read` reads."""
    return json.dumps(records.to_json(content), indent=indent, allow_nan=False) + "\n"
