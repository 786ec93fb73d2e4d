"""`report.html` of an evaluation: one file with all its data that any browser opens, without a network."""

import base64
import html
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from oasis_jax.classes import CLASSES, NAMES
from oasis_jax.evaluation.result import Result
from oasis_jax.metrics import overlap
from oasis_jax.report import charts, tables, template
from oasis_jax.system.files import printable


def report(result: Result, curves: Path) -> str:
    """The report as HTML, with the training curves of the file `curves` if it exists."""
    metrics = result.metrics
    title = f"{metrics.data}, {metrics.split}: {tables.size(metrics.scores)}"
    pixels = "spacing of the pixels unknown, or different in each volume"
    if metrics.spacing_mm is not None:
        row, column, gap = metrics.spacing_mm
        apart = "slices apart unknown" if gap is None else f"slices {gap:g} mm apart"
        pixels = f"pixels of {row:g} x {column:g} mm, {apart}"
    made_of = f"{pixels}; data fingerprint {metrics.data_fingerprint[:16]}"
    scores, dice = metrics.scores, metrics.scores.hard_dice_per_subject.each
    agreement = f"Predicted minus true tissue in {scores.tissue.of} (lines: bias and limits of agreement)"
    pictures = {
        "Hard Dice of each subject (line: median; name: subject with the lowest Dice)": charts.subjects(dice),
        "Predicted class of the pixels of each true class": charts.confusion(result.counts.confusion.sum(0)),
        agreement: charts.agreement(scores.tissue),
        "Calibration of the pixels inside the true or predicted brain": charts.reliability(scores.calibration),
    }
    return template.render(
        "report.html",
        title=title,
        introduction=f"Run {metrics.run}, checkpoint of step {metrics.step}; {made_of}.",
        head=["", *CLASSES],
        rows=tables.rows(scores),
        notes=tables.notes(scores),
        charts=pictures.items(),
        definitions=_definitions(),
        curves=base64.b64encode(curves.read_bytes()).decode() if curves.is_file() else None,
        data=_data(result),
    )


def _definitions() -> list[str]:
    """The definitions of metrics, as HTML: the first list of the page on metrics."""
    text = (resources.files("oasis_jax.metrics") / "README.md").read_text(encoding="utf-8")
    items = re.split(r"^- ", text.split("\n## ")[0], flags=re.MULTILINE)[1:]
    return [re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(item.strip())) for item in items]


def _data(result: Result) -> dict[str, Any]:
    """The data that `report.js` reads."""
    evaluated, foreground = result.evaluated, result.ranking
    dice = overlap.hard_dice(evaluated.table.confusion)
    rows = []
    for i, (pair, prediction) in enumerate(zip(evaluated.pairs, evaluated.predictions, strict=True)):
        image, truth = evaluated.slices[i]
        subject, case = printable(evaluated.subjects[pair.case]), printable(pair.case)
        of_classes = ", ".join(f"{name} {_score(dice[i, k])}" for k, name in enumerate(NAMES) if k)
        rows.append(
            {
                "subject": subject,
                "case": case,
                "number": pair.number,
                "foreground": None if np.isnan(foreground[i]) else round(float(foreground[i]), 6),
                "text": f"subject {subject}, case {case}, slice {pair.number}. Hard Dice {_score(foreground[i])}, "
                f"the mean of {of_classes}; {int((truth != prediction).sum())} wrong pixels.",
                "mm": (evaluated.spacing[pair.case] or (1, 1))[:2],
                **template.slice_pictures(image, truth, prediction),
            }
        )
    return {"classes": template.CLASSES, "error": template.ERROR, "slices": rows}


def _score(value: float) -> str:
    return "absent" if np.isnan(value) else f"{value:.4f}"
