"""Charts of an evaluation as SVG on white, in colours and marks that colour-blind readers tell apart."""

import io
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from oasis_jax import classes
from oasis_jax.evaluation.scores import Calibration, SubjectDice, TissueScores
from oasis_jax.system.files import printable

COLOURS, MARKS = ("#666666", "#0072B2", "#E69F00", "#009E73"), "ovs^"
"""Of the classes, on white: from the Okabe-Ito palette."""


def subjects(dice: SubjectDice) -> str:
    """Hard Dice of each subject, a column of points for each class of the foreground, the worst ones named."""
    figure = _figure(7.0, 3.6)
    axes = figure.subplots()
    for column, k in enumerate(classes.FOREGROUND):
        name = classes.NAMES[k]
        each = {person: row.named()[name] for person, row in dice.each.items()}
        each = {person: value for person, value in each.items() if value is not None}
        values = np.array(list(each.values()))
        spread = _spread(values)
        axes.plot(column + spread, values, MARKS[k], color=COLOURS[k], alpha=0.75, markersize=6)
        if values.size:
            middle = np.median(values)
            axes.plot([column - 0.3, column + 0.3], [middle, middle], color="black", linewidth=1.5)
            worst = min(each, key=each.__getitem__)
            axes.annotate(printable(worst), (column + spread[values.argmin()], values.min()), xytext=(9, -3),
                          textcoords="offset points", fontsize=8, parse_math=False)  # fmt: skip
    axes.set_xticks(range(len(classes.FOREGROUND)), [classes.NAMES[k] for k in classes.FOREGROUND])
    axes.set(ylabel="hard Dice of a subject", xlim=(-0.6, len(classes.FOREGROUND) - 0.4))
    axes.grid(axis="y", alpha=0.3)
    return _svg(figure)


def confusion(counts: Int[np.ndarray, "4 4"]) -> str:
    """Pixels by true class (row) and predicted class (column), as shares of each row."""
    figure = _figure(4.6, 3.6)
    axes = figure.subplots()
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
    """Bland-Altman plots: of each scan the difference against the mean of predicted and true, a panel each tissue."""
    figure = _figure(8.4, 3.2)
    for axes, k in zip(figure.subplots(1, len(classes.FOREGROUND)), classes.FOREGROUND, strict=True):
        name = classes.NAMES[k]
        true = np.array([scan.true.named()[name] for scan in tissue.each.values()], float)
        predicted = np.array([scan.predicted.named()[name] for scan in tissue.each.values()], float)
        axes.plot((true + predicted) / 2, predicted - true, MARKS[k], color=COLOURS[k], alpha=0.75, markersize=5)
        axes.axhline(0, color="0.7", linewidth=0.8)
        for line, style in ((tissue.bias, "-"), (tissue.low, "--"), (tissue.high, "--")):
            if (value := line.named()[name]) is not None:
                axes.axhline(value, color="black", linewidth=1.2, linestyle=style)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(f"mean of both, {tissue.unit}", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.margins(y=0.25)
    figure.axes[0].set_ylabel(f"predicted - true, {tissue.unit}", fontsize=9)
    return _svg(figure)


def reliability(calibration: Calibration) -> str:
    """How often pixels are right against how sure they are, above the share of pixels in each bin."""
    figure = _figure(4.6, 4.4)
    curve, share = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    used = [k for k, count in enumerate(calibration.pixels) if count]
    confidence, accuracy = ([side[k] for k in used] for side in (calibration.confidence, calibration.accuracy))
    curve.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="as right as sure")
    curve.plot(confidence, accuracy, "o-", color=COLOURS[1], markersize=4, label="this network")
    curve.set(ylabel="share that is right", xlim=(0.2, 1.01), ylim=(0, 1.02))
    curve.legend(fontsize=8, loc="upper left")
    curve.grid(alpha=0.3)
    pixels = np.array([calibration.pixels[k] for k in used], float)
    share.bar(confidence, 100 * pixels / max(pixels.sum(), 1), width=0.04, color=COLOURS[1], alpha=0.7)
    share.set(xlabel="probability of the predicted class", ylabel="% of pixels", yscale="log")
    return _svg(figure)


def _spread(values: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Sideways offsets, -0.2 to 0.2, that keep equal values apart: by rank, the golden ratio on and on."""
    order = values.argsort().argsort()
    return 0.4 * ((order * 0.618034) % 1 - 0.5)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _svg(figure: Any) -> str:
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "oasis_jax"}):  # the same names, so the same file, each time
        figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]  # without the XML declaration, which a page must not repeat
