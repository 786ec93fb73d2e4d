"""The log of a run: `metrics.jsonl`, TensorBoard events, `curves.png` and a progress bar. Process 0 only."""

import math

import jax
import numpy as np
from jaxtyping import UInt8

from oasis_jax import classes
from oasis_jax.report.charts import draw_curves
from oasis_jax.report.events import EventFile
from oasis_jax.runs import history
from oasis_jax.runs.folder import Run
from oasis_jax.runs.history import Row, Training, Validation
from oasis_jax.system.console import bar, console, say
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import atomic_write, write_text


class Log:
    """Write the metrics of a run to `metrics.jsonl`, TensorBoard and `curves.png`, and show a progress bar.

    Use it in a `with` statement. A run is started or resumed after step `first`. An interrupted process may have
    written metrics of later steps. They are removed, so that the log of a resumed run equals that of an uninterrupted
    run.
    """

    def __init__(self, run: Run, first: int, total_steps: int):
        self._run = run
        self._main = jax.process_index() == 0
        self._rows = history.read(run.metrics, first)
        self._pending: tuple[int, dict[str, jax.Array]] | None = None
        self._validated = ""
        """The last validation in words."""
        self._bar = bar("{task.fields[note]}")
        self._task = self._bar.add_task("Training", total=total_steps, completed=first, note="compiling")
        if self._main:
            write_text(run.metrics, "".join(row.line() + "\n" for row in self._rows))
            self._file = run.metrics.open("a", encoding="utf-8")
            (run.folder / "tensorboard").mkdir(exist_ok=True)
            self._events = EventFile(run.folder / "tensorboard" / "events")
            self._events.restart(first + 1)

    def __enter__(self) -> "Log":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        if self._main:
            self._file.close()
            self._events.close()

    def step(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Write the metrics of the step before, and keep those of this step, which devices may still compute."""
        self.settle()
        self._pending = step, metrics

    def settle(self) -> None:
        """Wait for the metrics of the last step and write them.

        Raises:
            UserError: its loss or gradient norm is not finite.
        """
        if self._pending is None:
            return
        step, metrics = self._pending
        self._pending = None
        numbers = Training(**{name: float(value) for name, value in jax.device_get(metrics).items()})
        self._write(Row(step, numbers), {"training loss": numbers.loss, "gradient norm": numbers.gradient_norm})
        self._bar.update(self._task, completed=step, note=f"loss {numbers.loss:.3f}  {self._validated}")

    def validation(self, step: int, numbers: Validation, panel: UInt8[np.ndarray, "rows columns 3"]) -> None:
        """Write the scores of a validation and a picture of some of its slices (RGB), and draw the curves again.

        Raises:
            UserError: its loss is not finite.
        """
        self._write(Row(step, numbers), {"validation loss": numbers.loss})
        dice = "/".join("-" if x is None else f"{x:.3f}".lstrip("0") for x in numbers.hard_dice[1:])
        self._validated = f"validate {numbers.loss:.3f}, Dice {'/'.join(classes.SHORT[1:])} {dice}"
        self._bar.update(self._task, note=self._validated)
        if not console.is_terminal:  # a log file shows no bar
            say(f"Step {step}: {self._validated}")
        if self._main:
            self._events.image(step, "validate/image_truth_prediction", panel)
            self._events.flush()
            atomic_write(self._run.curves, lambda part: draw_curves(self._rows, part))

    def _write(self, row: Row, finite: dict[str, float]) -> None:
        """Write a row, or raise `UserError` if one of these numbers, by name, is not finite."""
        for name, value in finite.items():
            if not math.isfinite(value):
                raise UserError(
                    f"The {name} is {value} at step {row.step}. The checkpoints in {self._run.folder} are kept; "
                    "lower --optim.learning-rate and name another --run."
                )
        self._rows.append(row)
        if self._main:
            self._events.row(row)
            self._file.write(row.line() + "\n")
            self._file.flush()
