"""All scores of an evaluation, in the form of `scores` in `metrics.json`.

`metrics/README.md` defines them, `result` computes them. Overlap scores and shares have no unit and are between 0 and
1. None means undefined. Intervals are None below 8 subjects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Num

from oasis_jax.classes import Column, Name, Tissue
from oasis_jax.metrics.baselines import Baseline

ByClass = dict[Column, float | None]
"""A score of each class, and the mean over the foreground classes; None if undefined."""

ByTissue = dict[Tissue, float | None]
"""A value of each tissue; None if undefined."""

Ends = dict[Literal["low", "high"], ByClass]
"""The ends of the 95 % interval of a score."""

Unit = Literal["pixels", "cm²", "ml"]
"""The unit of amounts of tissue."""


@dataclass(frozen=True)
class SubjectDice:
    """Hard Dice of each subject, from the counts of all its slices, and statistics over subjects."""

    mean: ByClass
    standard_deviation: ByClass
    """Sample standard deviation; None below two subjects."""
    worst: ByClass
    """Minimum."""
    subjects_left_out: dict[Name, int]
    """Number of subjects left out because truth and prediction lack the class."""
    each: dict[str, ByClass]
    """By the name of the subject."""


@dataclass(frozen=True)
class Calibration:
    """Confidence and accuracy of the pixels inside the true or the predicted brain."""

    expected_error: float | None
    """Expected calibration error, range 0 to 1."""
    interval: dict[Literal["low", "high"], float | None] | None
    """95 % interval of the error."""
    pixels: tuple[int, ...]
    """Number of pixels in each of the 15 bins of `metrics.calibration`."""
    confidence: tuple[float | None, ...]
    """Mean probability of the predicted class in each bin."""
    accuracy: tuple[float | None, ...]
    """Share of the pixels of each bin whose predicted class is correct."""


@dataclass(frozen=True)
class SurfaceScores:
    """Surface scores; None for the background."""

    each: Literal["slice", "volume"]
    """Whether slices were compared in 2D, or volumes in 3D."""
    tolerance_mm: float
    """mm; the surface Dice counts distances up to this as near."""
    surface_dice_pooled: ByClass
    """Share of both surfaces that is near the other, from sizes summed over the split."""
    hausdorff95_mm: ByClass
    """mm; mean over the slices (volumes) with a finite distance."""
    intervals: dict[Literal["surface_dice_pooled", "hausdorff95_mm"], Ends | None]
    without_class: dict[Tissue, int]
    """Number of slices (volumes) without the class in truth and prediction."""
    infinite: dict[Tissue, int]
    """Number of slices (volumes) with the class in only one of truth and prediction."""


@dataclass(frozen=True)
class ScanTissue:
    """The amount of each tissue in a scan, in the unit of `TissueScores`."""

    subject: str
    true: ByTissue
    predicted: ByTissue


@dataclass(frozen=True)
class RetestDifference:
    """The difference between the first two scans of a subject, mean over subjects."""

    mean_difference: ByTissue
    """Mean absolute difference, in the unit of `TissueScores`."""
    percent: ByTissue
    """Mean absolute difference in % of the mean of the two scans."""


@dataclass(frozen=True)
class Retest:
    """How many subjects were scanned more than once, and how their scans differ."""

    subjects: int
    true: RetestDifference
    predicted: RetestDifference


@dataclass(frozen=True)
class TissueScores:
    """Agreement between predicted and true amounts of tissue over so many scans; all amounts are in `unit`."""

    unit: Unit
    of: str
    """The part of a scan that was measured, in words."""
    scans: int
    bias: ByTissue
    """Mean of predicted minus true."""
    low: ByTissue
    high: ByTissue
    """Limits of agreement, 95 %; None below 8 subjects."""
    icc: ByTissue
    """ICC(A,1), at most 1; None below 8 subjects."""
    retest: Retest | None
    """None if no subject was scanned twice."""
    each: dict[str, ScanTissue]
    """By the name of the case."""


@dataclass(frozen=True)
class BaselineScores:
    """Hard Dice of a baseline."""

    hard_dice_pooled: ByClass
    intervals: dict[Literal["hard_dice_pooled"], Ends | None]


@dataclass(frozen=True)
class Scores:
    """All scores of an evaluation of so many slices of so many subjects."""

    slices: int
    subjects: int
    loss: float
    """The loss of training, mean over slices."""
    soft_dice_per_slice: ByClass
    """Mean over slices."""
    slices_without_class: dict[Name, int]
    """Number of slices whose truth lacks the class; their soft Dice counts as 0."""
    hard_dice_pooled: ByClass
    jaccard_pooled: ByClass
    precision_pooled: ByClass
    recall_pooled: ByClass
    intervals: dict[Literal["hard_dice_pooled", "jaccard_pooled", "precision_pooled", "recall_pooled"], Ends | None]
    hard_dice_per_subject: SubjectDice
    calibration: Calibration
    surfaces: SurfaceScores | None
    """None if the pixel size is unknown."""
    tissue: TissueScores
    baselines: dict[Baseline, BaselineScores]
    caveats: tuple[str, ...]
    """Sentences about scores that are too good, or about how the scores were made."""


Key = TypeVar("Key", bound=str)


def plain(value: Any) -> Any:
    """A number of numpy as one of Python; NaN (undefined) becomes None."""
    return None if np.isnan(value) else value.item()


def named(names: Sequence[Key], values: Num[np.ndarray, " names"]) -> dict[Key, Any]:
    """Numbers by their names, in the same order; NaN (undefined) becomes None."""
    return {name: plain(value) for name, value in zip(names, values, strict=True)}
