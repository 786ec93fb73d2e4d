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
from oasis_jax.system import distributed
from oasis_jax.system.console import bar, console, say
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import atomic_write, write_text


class Log:
    """Write the metrics of a run to `metrics.jsonl`, TensorBoard and `curves.png`, and show a progress bar.

    Use it in a `with` statement. An interrupted process may have written metrics after step `first`. They are removed,
    so that the log of a resumed run equals that of an uninterrupted run.

    Args:
        run: the run.
        first: the step to start or resume after.
        total_steps: number of steps of the training.
    """

    def __init__(self, run: Run, first: int, total_steps: int):
        self._run = run
        self._main = jax.process_index() == 0
        lines = [row.line() for row in history.read(run.metrics, first)]
        lines = distributed.broadcast(lines)  # all processes must run out of patience at the same step
        self._rows = [history.parse(line) for line in lines]
        self._pending: tuple[int, dict[str, jax.Array]] | None = None
        self._bar = bar("{task.fields[note]}")
        self._task = self._bar.add_task("Training", total=total_steps, completed=first, note="compiling")
        if self._main:
            write_text(run.metrics, "".join(line + "\n" for line in lines))
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
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        numbers = Training(**values)
        self._check(step, {"training loss": numbers.loss, "gradient norm": numbers.gradient_norm})
        self._write(Row(step, numbers))
        self._bar.update(self._task, completed=step, note=self._note(numbers.loss))

    def validation(self, step: int, numbers: Validation, panel: UInt8[np.ndarray, "rows columns 3"]) -> None:
        """Write the scores of a validation and a picture of some of its slices (RGB), and draw the curves again.

        Raises:
            UserError: its loss is not finite.
        """
        self._check(step, {"validation loss": numbers.loss})
        self._write(Row(step, numbers))
        self._bar.update(self._task, note=self._note())
        if not console.is_terminal:  # a log file shows no bar
            say(f"Step {step}: {self._note()}")
        if self._main:
            self._events.image(step, "validate/image_truth_prediction", panel)
            self._events.flush()
            atomic_write(self._run.curves, lambda part: draw_curves(self._rows, part))

    def out_of_patience(self, patience: int | None) -> bool:
        """Whether the loss of none of the last `patience` validations was lower than the best loss before them."""
        losses = [numbers.loss for numbers in self._validations]
        return patience is not None and bool(losses) and len(losses) - 1 - losses.index(min(losses)) >= patience

    def _check(self, step: int, numbers: dict[str, float]) -> None:
        if nonfinite := [name for name, value in numbers.items() if not math.isfinite(value)]:
            name = nonfinite[0]
            raise UserError(
                f"The {name} is {numbers[name]} at step {step}. The checkpoints in {self._run.folder} are kept; "
                "lower --optim.learning-rate and name another --run."
            )

    @property
    def _validations(self) -> list[Validation]:
        return [row.numbers for row in self._rows if isinstance(row.numbers, Validation)]

    def _write(self, row: Row) -> None:
        self._rows.append(row)
        if self._main:
            for name, value in row.scalars():
                self._events.scalar(row.step, f"{row.numbers.kind}/{name}", value)
            self._file.write(row.line() + "\n")
            self._file.flush()

    def _note(self, loss: float | None = None) -> str:
        parts = [] if loss is None else [f"loss {loss:.3f}"]
        if validations := self._validations:
            last = validations[-1]
            dice = "/".join("-" if x is None else f"{x:.3f}".lstrip("0") for x in last.hard_dice[1:])
            parts.append(f"validate {last.loss:.3f}, Dice {'/'.join(classes.SHORT[1:])} {dice}")
        return "  ".join(parts)
