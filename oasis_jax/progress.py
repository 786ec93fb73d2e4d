"""What a run tells people: progress bars, `metrics.jsonl`, TensorBoard, curves. Process 0 only.

A line of `metrics.jsonl` is a JSON object with `step`, `kind` ("train" or "validate") and its numbers.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.summary import image, scalar

from oasis_jax import charts, hosts, labels
from oasis_jax.errors import UserError
from oasis_jax.run import Run
from oasis_jax.storage import write_text, write_whole

console = Console(stderr=True, emoji=False)  # ":brain:" in a name stays as it is


def say(sentence: str) -> None:
    """Tell the person at the terminal."""
    if hosts.rank() == 0:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def bar(*texts: str) -> Progress:
    """A progress bar; `texts` are further columns as rich format strings."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        *(TextColumn(text) for text in texts),
        console=console,
        redirect_stdout=sys.stdout.isatty(),  # results that go to a file must not end up on the screen
        disable=hosts.rank() != 0,
    )


def track(items: Iterable, total: int, description: str) -> Iterator:
    """Pass items on with a progress bar."""
    with bar() as progress:
        yield from progress.track(items, total=total, description=description)


class Log:
    """Writes a run's metrics to `metrics.jsonl`, TensorBoard and `curves.png`, and shows a progress bar.

    What an interrupted process wrote after step `first` is cut off, so that a resumed run reads like an undisturbed
    one. Use it in a `with` statement.
    """

    def __init__(self, run: Run, first: int, total_steps: int, rate: Callable[[int], Any]):
        self._run, self._rate = run, rate
        self._main = jax.process_index() == 0
        self._rows = hosts.share(read_metrics(run.metrics, first))  # patience must end everywhere at once
        self._validations = [row for row in self._rows if row["kind"] == "validate"]
        self._pending: tuple[int, dict[str, jax.Array]] | None = None
        self._bar = bar("{task.fields[note]}")
        self._task = self._bar.add_task("Training", total=total_steps, completed=first, note="compiling")
        if self._main:
            text = "".join(json.dumps(row) + "\n" for row in self._rows)
            write_text(run.metrics, text)
            self._file = run.metrics.open("a", encoding="utf-8")
            # The writer without a thread of its own, which would hang for ever on a full disk.
            (run.folder / "tensorboard").mkdir(exist_ok=True)
            self._events = EventsWriter(str(run.folder / "tensorboard" / "events"))
            restart = SessionLog(status=SessionLog.START)  # TensorBoard drops older events from this step on
            self._events.write_event(Event(wall_time=time.time(), step=first + 1, session_log=restart))

    def __enter__(self) -> "Log":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        if self._main:
            self._file.close()
            self._events.close()

    def step(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Take the metrics of a training step, still being computed, and write those of the step before."""
        self.settle()
        self._pending = step, metrics

    def settle(self) -> None:
        """Wait for the last step's metrics and write them.

        Raises:
            UserError: its loss is not finite.
        """
        if self._pending is None:
            return
        step, metrics = self._pending
        self._pending = None
        numbers = {name: float(value) for name, value in jax.device_get(metrics).items()}
        self._check(step, {"training loss": numbers["loss"], "gradient norm": numbers["gradient_norm"]})
        self._write(step, "train", numbers | {"learning_rate": float(self._rate(step - 1))})
        self._bar.update(self._task, completed=step, note=self._note(numbers["loss"]))

    def validation(self, step: int, numbers: dict[str, Any], panel: np.ndarray) -> None:
        """Write the scores of a validation, a picture of some of its slices (RGB uint8), and the curves anew.

        Raises:
            UserError: its loss is not finite.
        """
        self._check(step, {"validation loss": numbers["loss"]})
        self._validations.append(self._write(step, "validate", numbers))
        self._bar.update(self._task, note=self._note())
        if not console.is_terminal:  # a log file shows no bar
            say(f"Step {step}: {self._note()}")
        if self._main:
            picture = image("validate/image_truth_prediction", panel, dataformats="HWC")
            self._events.write_event(Event(wall_time=time.time(), step=step, summary=picture))
            self._events.flush()
            write_whole(self._run.folder / "curves.png", lambda part: draw_curves(self._rows, part))

    def out_of_patience(self, patience: int | None) -> bool:
        """Whether the last `patience` validations all had a higher loss than the best before them."""
        losses = [row["loss"] for row in self._validations]
        return patience is not None and bool(losses) and len(losses) - 1 - losses.index(min(losses)) >= patience

    def _check(self, step: int, numbers: dict[str, float]) -> None:
        if wild := [name for name, value in numbers.items() if not math.isfinite(value)]:
            raise UserError(
                f"The {wild[0]} is {numbers[wild[0]]} at step {step}. The checkpoints in {self._run.folder} are kept; "
                "lower --optim.learning-rate and name another --run."
            )

    def _write(self, step: int, kind: str, numbers: dict[str, Any]) -> dict[str, Any]:
        row = {"step": step, "kind": kind, **numbers}
        self._rows.append(row)
        if self._main:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
            for name, value in _scalars(numbers):
                event = Event(wall_time=time.time(), step=step, summary=scalar(f"{kind}/{name}", value))
                self._events.write_event(event)
        return row

    def _note(self, loss: float | None = None) -> str:
        parts = [] if loss is None else [f"loss {loss:.3f}"]
        if self._validations:
            last = self._validations[-1]
            dice = "/".join("-" if x is None else f"{x:.3f}".lstrip("0") for x in last["hard_dice"][1:])
            parts.append(f"validate {last['loss']:.3f}, Dice {'/'.join(labels.SHORT[1:])} {dice}")
        return "  ".join(parts)


def read_metrics(path: Path, last_step: int | None = None) -> list[dict[str, Any]]:
    """Lines of a `metrics.jsonl` up to a step; a line that a crash cut short, or that is damaged, is left out."""
    rows = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
                if (last_step is None or row["step"] <= last_step) and math.isfinite(row["loss"]) and row["kind"]:
                    rows.append(row)
            except (ValueError, KeyError, TypeError):
                continue
    return rows


def _scalars(numbers: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in numbers.items():
        if isinstance(value, list):
            pairs = zip((f"{name}/{label}" for label in labels.NAMES), value, strict=True)
            yield from ((key, number) for key, number in pairs if number is not None)
        elif value is not None:
            yield name, value


def draw_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Loss and hard validation Dice by step, as a PNG."""
    from matplotlib.figure import Figure

    train = [row for row in rows if row["kind"] == "train"]
    checked = [row for row in rows if row["kind"] == "validate"]
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([r["step"] for r in train], [r["loss"] for r in train], color="0.7", label="train, each step")
    left.plot([r["step"] for r in checked], [r["loss"] for r in checked], "o-", color="C0", label="validate")
    left.set(xlabel="step", ylabel="loss", yscale="log")
    left.legend()
    for k, name in enumerate(labels.NAMES):
        right.plot(
            [r["step"] for r in checked],
            [float("nan") if r["hard_dice"][k] is None else r["hard_dice"][k] for r in checked],
            f"{charts.MARKS[k]}-",
            color=charts.COLOURS[k],
            label=name,
        )
    right.set(xlabel="step", ylabel="hard Dice, pooled over validate")
    right.legend()
    figure.savefig(path, format="png", dpi=100)
