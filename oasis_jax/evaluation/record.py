"""The files of an evaluation for programs: `metrics.json` with the scores, `subjects.json` with the counts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float64, Int64

from oasis_jax.evaluation.scores import Scores
from oasis_jax.geometry import Spacing
from oasis_jax.inference.ensemble import Averaged
from oasis_jax.metrics.baselines import Baseline
from oasis_jax.runs.folder import Run
from oasis_jax.system import records
from oasis_jax.system.errors import UserError

METRICS, SUBJECTS = "metrics.json", "subjects.json"
"""Names of the files."""


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """What was evaluated, and on which data."""

    schema: Literal[1] = 1
    """Version of the file. Any change that could break a reader raises it. A file without a schema counts as 1."""
    run: str
    """Name of the run's folder."""
    data: str
    """Name of the data, shown in tables."""
    split: str
    """train, validate, test or volumes."""
    step: int
    """Step of the checkpoint."""
    averaged: Averaged | None = None
    """The networks and mirror images whose probabilities are averaged; None for a single network."""
    data_fingerprint: str
    """SHA-256 of the slices or volumes."""
    spacing_mm: Spacing | None
    """mm; None if it is unknown, or not the same in all cases."""


@dataclass(frozen=True, kw_only=True)
class Metrics(EvaluationRecord):
    """The content of `metrics.json`."""

    scores: Scores


@dataclass(frozen=True)
class SurfaceSums:
    """Sums for the surface scores, by subject, by numerator (0) and denominator (1), and by tissue."""

    surface_dice_pooled: Float64[np.ndarray, "subjects 2 3"]
    """Size of the part of both surfaces that is near the other, and size of both surfaces: mm, for volumes mm²."""
    hausdorff95_mm: Float64[np.ndarray, "subjects 2 3"]
    """Sum of the finite distances, mm, and their number."""


@dataclass(frozen=True, kw_only=True)
class SubjectCounts(EvaluationRecord):
    """The content of `subjects.json`: counts, enough to compute any pooled score and to compare two evaluations."""

    subjects: tuple[str, ...]
    """Names, sorted."""
    spacing: dict[str, Spacing | None]
    """mm, by the name of the case."""
    confusion: Int64[np.ndarray, "subjects 4 4"]
    """Pixels by true class (row) and predicted class (column)."""
    surfaces: SurfaceSums | None
    """None if the pixel size is unknown."""
    baselines: dict[Baseline, Int64[np.ndarray, "subjects 4 4"]]
    """The confusion of each baseline."""


File = TypeVar("File", Metrics, SubjectCounts)


def read_record(kind: type[File], path: Path) -> File:
    """Read a `metrics.json` or a `subjects.json`.

    Raises:
        UserError: the file is damaged, or another version of the program wrote it.
        OSError: the file cannot be read.
    """
    try:
        return records.from_json(kind, json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        fault = f"{path} is damaged, or another version of the program wrote it ({error})"
        raise UserError(f"{fault}: evaluate {path.parent.name} again, or remove it.") from error


def read_metrics(run: Run, splits: Sequence[str], averaging: str = "") -> dict[str, Metrics]:
    """The `metrics.json` of a run by split, for the splits that it was evaluated on; `averaging` as `ensemble.suffix`.

    Raises:
        UserError: as `read_record`.
    """
    files = {split: run.evaluation(split + averaging) / METRICS for split in splits}
    return {split: read_record(Metrics, path) for split, path in files.items() if path.is_file()}


def text(content: Metrics | SubjectCounts, indent: int | None = None) -> str:
    """The text of a file that `read_record` can read."""
    return json.dumps(records.to_json(content), indent=indent, allow_nan=False) + "\n"
