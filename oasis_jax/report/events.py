"""Event files of TensorBoard: the only file that knows tensorboardX."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]

from oasis_jax.runs.history import Row


class EventFile:
    """A file of events that TensorBoard reads. Its path starts with `prefix`."""

    def __init__(self, prefix: Path) -> None:
        # This writer has no thread. The usual writer has one, which would hang for ever on a full disk.
        self._writer = EventsWriter(str(prefix))

    def row(self, row: Row) -> None:
        """Add the numbers of a line of the history."""
        for name, value in row.scalars():
            self._write(row.step, summary=summary.scalar(f"{row.numbers.kind}/{name}", value))

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
