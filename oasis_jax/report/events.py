"""The scores of an evaluation as TensorBoard reads them."""

import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.summary import scalar

from oasis_jax.evaluation.record import Metrics
from oasis_jax.evaluation.scores import Scores


def write_events(prefix: Path, metrics: Metrics) -> None:
    """Write a file of events whose path starts with `prefix`: every score, at the step of the checkpoint."""
    events = EventsWriter(str(prefix))
    for name, value in scalars(metrics.scores):
        events.write_event(Event(wall_time=time.time(), step=metrics.step, summary=scalar(name, value)))
    events.close()


def scalars(scores: Scores) -> Iterator[tuple[str, float]]:
    """Every score that is one number, by name and class."""
    groups = {"soft_dice_per_slice": scores.soft_dice_per_slice}
    groups |= {one.name: getattr(scores, one.name) for one in fields(scores.intervals)}
    groups |= {
        "hard_dice_per_subject_mean": scores.hard_dice_per_subject.mean,
        "hard_dice_per_subject_worst": scores.hard_dice_per_subject.worst,
    }
    if scores.surfaces is not None:
        groups |= {one.name: getattr(scores.surfaces, one.name) for one in fields(scores.surfaces.intervals)}
    groups |= {"tissue_bias": scores.tissue.bias, "tissue_icc": scores.tissue.icc}
    single = {"loss": scores.loss, "expected_calibration_error": scores.calibration.expected_error}
    yield from ((name, value) for name, value in single.items() if value is not None)
    for group, values in groups.items():
        yield from ((f"{group}/{name}", value) for name, value in values.named().items() if value is not None)
