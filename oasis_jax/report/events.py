"""Event files of TensorBoard: the only file that knows tensorboardX."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]

from oasis_jax.evaluation.record import Metrics
from oasis_jax.evaluation.scores import Scores


class EventFile:
    """A file of events that TensorBoard reads. Its path starts with `prefix`."""

    def __init__(self, prefix: Path) -> None:
        # This writer has no thread. The usual writer has one, which would hang for ever on a full disk.
        self._writer = EventsWriter(str(prefix))

    def scalar(self, step: int, name: str, value: float) -> None:
        self._write(step, summary=summary.scalar(name, value))

    def image(self, step: int, name: str, pixels: UInt8[np.ndarray, "rows columns 3"]) -> None:
        """Add an RGB image."""
        self._write(step, summary=summary.image(name, pixels, dataformats="HWC"))

    def restart(self, step: int) -> None:
        """Make TensorBoard drop older events from `step` on."""
        self._write(step, session_log=SessionLog(status=SessionLog.START))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _write(self, step: int, **content: Any) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=step, **content))


def write_events(prefix: Path, metrics: Metrics) -> None:
    """Write an event file whose path starts with `prefix`: every score, at the step of the checkpoint."""
    events = EventFile(prefix)
    for name, value in scalars(metrics.scores):
        events.scalar(metrics.step, name, value)
    events.close()


def scalars(scores: Scores) -> Iterator[tuple[str, float]]:
    """Every score that is a single number, with its name; scores of a class are named `score/class`."""
    groups = {"soft_dice_per_slice": scores.soft_dice_per_slice}
    groups |= {name: getattr(scores, name) for name in scores.intervals}
    groups |= {
        "hard_dice_per_subject_mean": scores.hard_dice_per_subject.mean,
        "hard_dice_per_subject_worst": scores.hard_dice_per_subject.worst,
    }
    if scores.surfaces is not None:
        surfaces = scores.surfaces
        groups |= {name: getattr(surfaces, name) for name in surfaces.intervals}
    groups |= {"tissue_bias": scores.tissue.bias, "tissue_icc": scores.tissue.icc}
    single = {"loss": scores.loss, "expected_calibration_error": scores.calibration.expected_error}
    yield from ((name, value) for name, value in single.items() if value is not None)
    for group, values in groups.items():
        yield from ((f"{group}/{name}", value) for name, value in values.items() if value is not None)
