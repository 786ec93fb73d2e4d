"""Charts of an evaluation as SVG, and the curves of a training as PNG, on white.

Colour-blind readers can distinguish their colours and marks.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from oasis_jax import classes
from oasis_jax.evaluation.scores import ByClass, Calibration, TissueScores
from oasis_jax.runs.history import Row, Training, Validation
from oasis_jax.system.files import printable

COLOURS, MARKS = ("#666666", "#0072B2", "#E69F00", "#009E73"), "ovs^"
"""Of each class, on a white background. The colours are from the Okabe-Ito palette."""


def subjects(dice: dict[str, ByClass]) -> str:
    """Hard Dice of each subject: a column of points for each foreground class, with the name of the worst subject."""
    figure, axes = _subplots(7.0, 3.6)
    for column, (k, name) in enumerate(zip(classes.FOREGROUND, classes.TISSUES, strict=True)):
        of_subject = {subject: value for subject, scores in dice.items() if (value := scores[name]) is not None}
        values = np.array(list(of_subject.values()))
        # Multiples of the golden ratio, modulo 1, by rank: offsets of -0.2 to 0.2 that separate equal values.
        offsets = 0.4 * ((values.argsort().argsort() * 0.618034) % 1 - 0.5)
        axes.plot(column + offsets, values, MARKS[k], color=COLOURS[k], alpha=0.75, markersize=6)
        if values.size:
            middle = np.median(values)
            axes.plot([column - 0.3, column + 0.3], [middle, middle], color="black", linewidth=1.5)
            worst = min(of_subject, key=of_subject.__getitem__)
            side, way = (-9, "right") if k == classes.FOREGROUND[-1] else (9, "left")  # long names need the room
            axes.annotate(printable(worst), (column + offsets[values.argmin()], values.min()), xytext=(side, -3),
                          ha=way, textcoords="offset points", fontsize=8, parse_math=False)  # fmt: skip
    axes.set_xticks(range(len(classes.FOREGROUND)), classes.TISSUES)
    axes.set(ylabel="hard Dice of a subject", xlim=(-0.6, len(classes.FOREGROUND) - 0.4))
    axes.grid(axis="y", alpha=0.3)
    return _svg(figure)


def confusion(counts: Int[np.ndarray, "4 4"]) -> str:
    """Shares of the pixels of each true class (row) by predicted class (column), from their counts."""
    figure, axes = _subplots(4.6, 3.6)
    total = counts.sum(1, keepdims=True)
    shares = counts / np.maximum(total, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        dark = shares[row, column] > 0.5
        text = f"{100 * shares[row, column]:.2f} %" if total[row, 0] else "-"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axes.set_xticks(range(classes.COUNT), classes.SHORT)
    axes.set_yticks(range(classes.COUNT), classes.SHORT)
    axes.set(xlabel="predicted", ylabel="true")
    return _svg(figure)


def agreement(tissue: TissueScores) -> str:
    """A Bland-Altman plot for each tissue: the difference of each scan against the mean of predicted and true."""
    figure, columns = _subplots(8.4, 3.2, 1, len(classes.TISSUES))
    for axes, k, name in zip(columns, classes.FOREGROUND, classes.TISSUES, strict=True):
        true = np.array([scan.true[name] for scan in tissue.each.values()], float)
        predicted = np.array([scan.predicted[name] for scan in tissue.each.values()], float)
        axes.plot((true + predicted) / 2, predicted - true, MARKS[k], color=COLOURS[k], alpha=0.75, markersize=5)
        axes.axhline(0, color="0.7", linewidth=0.8)
        for line, style in ((tissue.bias, "-"), (tissue.low, "--"), (tissue.high, "--")):
            if (value := line[name]) is not None:
                axes.axhline(value, color="black", linewidth=1.2, linestyle=style)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(f"mean of both, {tissue.unit}", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.margins(y=0.25)
    columns[0].set_ylabel(f"predicted - true, {tissue.unit}", fontsize=9)
    return _svg(figure)


def reliability(calibration: Calibration) -> str:
    """The reliability diagram: accuracy against confidence, and below it the share of pixels in each bin."""
    figure, (curve, share) = _subplots(4.6, 4.4, 2, sharex=True, height_ratios=[3, 1])
    used = [k for k, count in enumerate(calibration.pixels) if count]
    confidence, accuracy = ([side[k] for k in used] for side in (calibration.confidence, calibration.accuracy))
    curve.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="accuracy = confidence")
    curve.plot(confidence, accuracy, "o-", color=COLOURS[1], markersize=4, label="this network")
    curve.set(ylabel="accuracy", xlim=(0.2, 1.01), ylim=(0, 1.02))
    curve.legend(fontsize=8, loc="upper left")
    curve.grid(alpha=0.3)
    pixels = np.array([calibration.pixels[k] for k in used], float)
    share.bar(confidence, 100 * pixels / max(pixels.sum(), 1), width=0.04, color=COLOURS[1], alpha=0.7)
    share.set(xlabel="confidence: probability of the predicted class", ylabel="% of pixels")
    _log_scale(share, 1)
    return _svg(figure)


def draw_curves(rows: Sequence[Row], path: Path) -> None:
    """Draw loss and hard Dice of validation against the step, as a PNG."""
    train = [(row.step, row.numbers.loss) for row in rows if isinstance(row.numbers, Training)]
    validations = [(row.step, row.numbers) for row in rows if isinstance(row.numbers, Validation)]
    steps = [step for step, _ in validations]
    figure, (left, right) = _subplots(10.0, 4.0, 1, 2)
    left.plot([step for step, _ in train], [loss for _, loss in train], color="0.7", label="train, each step")
    left.plot(steps, [numbers.loss for _, numbers in validations], "o-", color="C0", label="validate")
    left.set(xlabel="step", ylabel="loss")
    _log_scale(left, 1, 2, 5)
    left.legend()
    dice = np.array([numbers.hard_dice for _, numbers in validations], float)  # NaN where undefined
    for k, name in enumerate(classes.NAMES):
        right.plot(steps, dice[:, k], f"{MARKS[k]}-", color=COLOURS[k], label=name)
    right.set(xlabel="step", ylabel="hard Dice, pooled over validate")
    right.legend()
    figure.savefig(path, format="png", dpi=100)


def _log_scale(axes: Any, *digits: int) -> None:
    """Make the vertical axis logarithmic, with plain numbers: 0.01, not a power of 10.

    They begin with these digits; if only one such number is in view, others stand beside it.
    """
    from matplotlib.ticker import AutoLocator, LogLocator

    axes.set_yscale("log")
    marks, (low, high) = LogLocator(subs=digits), axes.get_ylim()
    seen = [mark for mark in marks.tick_values(low, high) if low <= mark <= high]
    axes.yaxis.set_major_locator(marks if len(seen) > 1 else AutoLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()


def _subplots(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A figure of so many inches, and its axes: one, or an array.

    Its margins are fixed, because to measure all texts, as layout engines do, takes longer than to draw the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.subplots(rows, columns, **options)
    left, right, bottom, top, gap = 0.8, 0.25, 0.55, 0.3, 0.75  # inches
    side = (width - left - right - gap * (columns - 1)) / columns
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, gap / side, 0.12)
    return figure, axes


def _svg(figure: Any) -> str:
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "oasis_jax"}):  # fixed identifiers make the file reproducible
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]  # a page must not repeat the XML declaration before it
