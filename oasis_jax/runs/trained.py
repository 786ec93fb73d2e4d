"""What a run remembers of the slices it was trained and validated on, so that prediction notices other ones."""

from typing import NamedTuple

from oasis_jax.data import appearance
from oasis_jax.data.appearance import Ranges
from oasis_jax.geometry import Cut, parse_cut
from oasis_jax.runs import history
from oasis_jax.runs.folder import Run
from oasis_jax.runs.history import Validation
from oasis_jax.runs.weights import FILE
from oasis_jax.system.errors import UserError


class Trained(NamedTuple):
    """What a run remembers."""

    cut: Cut
    """How the slices were cut from heads."""
    ranges: Ranges
    """Their range of intensities."""
    confidence: float | None = None
    """Mean confidence that all but 1 % of the slices of validation reach, of this run's network alone, over the pixels
    of the true and of the predicted brain; None if the run does not say."""


def trained_on(run: Run, step: int) -> Trained:
    """What a run remembers; its confidence is that of the checkpoint of a step.

    Raises:
        UserError: its file does not say how its slices were cut.
    """
    try:
        recorded = run.provenance["slice_looks"]
        ranges = {name: (float(recorded[name][0]), float(recorded[name][1])) for name in appearance.MEASURES}
        return Trained(parse_cut(run.provenance["slice_cut"]), ranges, lowest_confidence(run, step))
    except (KeyError, TypeError, ValueError) as error:
        name, mend = ("config.json", "train anew") if run.weights is None else (FILE, "get another model")
        raise UserError(f"{run.folder / name} does not say how its slices were cut: {mend}.") from error


def lowest_confidence(run: Run, step: int) -> float | None:
    """Mean confidence that all but 1 % of the slices of validation reach, at a step; None if the run does not say."""
    if run.weights is not None:
        return run.weights.confidence
    validations = {row.step: row.numbers for row in history.read(run.metrics) if isinstance(row.numbers, Validation)}
    return validations[step].lowest_confidence if step in validations else None
