"""All scores of an evaluation. Field by field they are `scores` of a `metrics.json`; `summary` defines and makes them.

Overlap scores and shares have no unit and lie between 0 and 1. None stands for what is undefined, and for an interval
of fewer than 8 subjects.
"""

from dataclasses import dataclass
from typing import Literal

from oasis_jax.evaluation.by_class import ByClass, ByTissue, CountByClass, CountByTissue, IntervalByClass
from oasis_jax.metrics.baselines import METHODS


@dataclass(frozen=True)
class OverlapIntervals:
    """95 % intervals of the pooled overlap scores."""

    hard_dice_pooled: IntervalByClass | None
    jaccard_pooled: IntervalByClass | None
    precision_pooled: IntervalByClass | None
    recall_pooled: IntervalByClass | None


@dataclass(frozen=True)
class SubjectDice:
    """Hard Dice of each subject, from the counts of all its slices, and what it is over subjects."""

    mean: ByClass
    standard_deviation: ByClass
    """Of the sample; None below two subjects."""
    worst: ByClass
    subjects_left_out: CountByClass
    """Those that have the class neither in truth nor in prediction."""
    each: dict[str, ByClass]
    """By the name of the subject."""


@dataclass(frozen=True)
class Interval:
    """The ends of a 95 % interval of one number."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Calibration:
    """How sure and how right the pixels inside the true or the predicted brain are."""

    expected_error: float | None
    """Expected calibration error."""
    interval: Interval | None
    """Of the error."""
    pixels: tuple[int, ...]
    """In each of the 15 bins of `metrics.calibration`."""
    confidence: tuple[float | None, ...]
    """Mean probability of the predicted class in each bin."""
    accuracy: tuple[float | None, ...]
    """Share of pixels in each bin whose class is right."""


@dataclass(frozen=True)
class SurfaceIntervals:
    """95 % intervals of the scores of surfaces."""

    surface_dice_pooled: IntervalByClass | None
    hausdorff95_mm: IntervalByClass | None


@dataclass(frozen=True)
class SurfaceScores:
    """Distances between true and predicted surfaces; of the background there are none."""

    each: Literal["slice", "volume"]
    """What was compared: slices in 2D, or volumes in 3D."""
    tolerance_mm: float
    """mm: how near the surface Dice calls near."""
    surface_dice_pooled: ByClass
    """Share of both surfaces, added up, that is near."""
    hausdorff95_mm: ByClass
    """mm: mean over the slices (volumes) where it is finite."""
    intervals: SurfaceIntervals
    without_class: CountByTissue
    """Slices (volumes) that have the class neither in truth nor in prediction."""
    infinite: CountByTissue
    """Slices (volumes) that have it in one of them only."""


@dataclass(frozen=True)
class ScanTissue:
    """How much of each tissue one scan shows, in the unit of `TissueScores`."""

    subject: str
    true: ByTissue
    predicted: ByTissue


@dataclass(frozen=True)
class RetestDifference:
    """How far the first two scans of a subject differ, mean over subjects."""

    mean_difference: ByTissue
    """Without its sign, in the unit of `TissueScores`."""
    percent: ByTissue
    """% of the mean of both scans."""


@dataclass(frozen=True)
class Retest:
    """Subjects that were scanned more than once."""

    subjects: int
    true: RetestDifference
    predicted: RetestDifference


@dataclass(frozen=True)
class TissueScores:
    """How well the amounts of tissue agree, a scan each; all amounts are in `unit`."""

    unit: Literal["pixels", "cm²", "ml"]
    of: str
    """What part of a scan was measured, for people."""
    scans: int
    bias: ByTissue
    """Mean of predicted minus true."""
    low: ByTissue
    """Lower 95 % limit of agreement; None below 8 subjects."""
    high: ByTissue
    """Upper 95 % limit of agreement; None below 8 subjects."""
    icc: ByTissue
    """ICC(A,1), at most 1; None below 8 subjects."""
    retest: Retest | None
    """None where nobody was scanned twice."""
    each: dict[str, ScanTissue]
    """By the name of the case."""


@dataclass(frozen=True)
class BaselineIntervals:
    """95 % interval of a baseline."""

    hard_dice_pooled: IntervalByClass | None


@dataclass(frozen=True)
class BaselineScores:
    """Hard Dice of a baseline."""

    hard_dice_pooled: ByClass
    intervals: BaselineIntervals


@dataclass(frozen=True)
class Scores:
    """All scores of an evaluation."""

    slices: int
    subjects: int
    loss: float
    """Mean over slices of the loss of training."""
    soft_dice_per_slice: ByClass
    """Mean over slices."""
    slices_without_class: CountByClass
    """Slices whose truth lacks the class; they count as soft Dice 0."""
    hard_dice_pooled: ByClass
    jaccard_pooled: ByClass
    precision_pooled: ByClass
    recall_pooled: ByClass
    intervals: OverlapIntervals
    hard_dice_per_subject: SubjectDice
    calibration: Calibration
    surfaces: SurfaceScores | None
    """None where the size of the pixels is unknown."""
    tissue: TissueScores
    baselines: dict[str, BaselineScores]
    """By the names of `metrics.baselines.METHODS`."""
    caveats: tuple[str, ...]
    """Sentences on what the scores flatter, or on how they were made."""

    def __post_init__(self) -> None:
        if set(self.baselines) != set(METHODS):
            raise ValueError(f"the baselines are {sorted(self.baselines)} and must be {sorted(METHODS)}")
