"""The curves of a training run as a picture."""

from pathlib import Path
from typing import Any

from oasis_jax import classes
from oasis_jax.report import charts


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
    for k, name in enumerate(classes.NAMES):
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
