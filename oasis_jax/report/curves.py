"""The curves of a training run as a picture."""

import math
from collections.abc import Sequence
from pathlib import Path

from oasis_jax import classes
from oasis_jax.report import charts
from oasis_jax.runs.history import Row, Training, Validation


def draw_curves(rows: Sequence[Row], path: Path) -> None:
    """Draw loss and hard Dice of validation against the step, as a PNG."""
    from matplotlib.figure import Figure

    train = [(row.step, row.numbers.loss) for row in rows if isinstance(row.numbers, Training)]
    validations = [(row.step, row.numbers) for row in rows if isinstance(row.numbers, Validation)]
    steps = [step for step, _ in validations]
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([step for step, _ in train], [loss for _, loss in train], color="0.7", label="train, each step")
    left.plot(steps, [numbers.loss for _, numbers in validations], "o-", color="C0", label="validate")
    left.set(xlabel="step", ylabel="loss")
    charts.log_scale(left)
    left.legend()
    for k, name in enumerate(classes.NAMES):
        right.plot(
            steps,
            [math.nan if (dice := numbers.hard_dice[k]) is None else dice for _, numbers in validations],
            f"{charts.MARKS[k]}-",
            color=charts.COLOURS[k],
            label=name,
        )
    right.set(xlabel="step", ylabel="hard Dice, pooled over validate")
    right.legend()
    figure.savefig(path, format="png", dpi=100)
