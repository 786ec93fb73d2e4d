"""`report.html` of an evaluation: one file that holds all it shows, and opens in any browser without a network."""

import base64
import html
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from oasis_jax.classes import CLASSES, NAMES
from oasis_jax.data.slices import Slice
from oasis_jax.evaluation.record import Metrics
from oasis_jax.evaluation.result import Evaluated
from oasis_jax.evaluation.scores import Scores
from oasis_jax.inference import score
from oasis_jax.metrics import overlap
from oasis_jax.report import charts, pictures, tables, template
from oasis_jax.system.files import printable


def report(metrics: Metrics, found: Evaluated, curves: Path) -> str:
    """The report as HTML.

    Args:
        metrics: the scores.
        found: the slices, their predictions and their counts.
        curves: the picture of the training curves; left out where there is none.
    """
    scores = metrics.scores
    drawn = [
        (
            "Hard Dice of each subject; the line is the median, the lowest is named",
            charts.subjects(scores.hard_dice_per_subject),
        ),
        ("Where the pixels of each true class went", charts.confusion(found.table.confusion.sum(0))),
        (
            f"Tissue of each scan, predicted against true ({scores.tissue.of}); lines: bias, limits of agreement",
            charts.agreement(scores.tissue),
        ),
        ("How sure and how right: pixels inside the true or predicted brain", charts.reliability(scores.calibration)),
    ]
    figures = "".join(f"<h3>{title}</h3><figure>{svg}</figure>" for title, svg in drawn)
    if curves.is_file():
        inside = base64.b64encode(curves.read_bytes()).decode()
        image = f'<img alt="Loss and Dice by step" width="100%" src="data:image/png;base64,{inside}">'
        figures += f"<h3>Training</h3><figure>{image}</figure>"
    title = f"{metrics.data}, {metrics.split}: {tables.size(scores)}"
    facts = (
        f"Run {metrics.run}, checkpoint of step {metrics.step}; {tables.pixels(metrics.spacing_mm)}; "
        f"data fingerprint {metrics.data_fingerprint[:16]}."
    )
    return template.fill(
        "report.html",
        title=html.escape(title),
        facts=html.escape(facts),
        table=_table(scores),
        notes="".join(f"<p class=note>{html.escape(text)}</p>" for text in tables.notes(scores)),
        charts=figures,
        definitions=template.read("definitions.html"),
        data=template.script_data(_data(found)),
    )


def _data(found: Evaluated) -> dict[str, Any]:
    """What the page's script reads."""
    dice, rank = overlap.hard_dice(found.table.confusion), score.slice_ranking(found.table)
    rows = []
    for i, (pair, prediction) in enumerate(zip(found.pairs, found.predictions, strict=True)):
        image, truth = found.slices[i]
        rows.append(
            {
                "subject": printable(found.subjects[pair.case]),
                "case": printable(pair.case),
                "number": pair.number,
                "foreground": _number(rank[i]),
                "text": _sentence(pair, printable(found.subjects[pair.case]), rank[i], dice[i], truth != prediction),
                "mm": (found.spacing[pair.case] or (1, 1))[:2],
                **template.slice_pictures(image, truth, prediction),
            }
        )
    return {"classes": template.CLASSES, "error": pictures.ERROR, "slices": rows}


def _sentence(
    pair: Slice,
    subject: str,
    foreground: float,
    dice: Float[np.ndarray, " classes"],
    wrong: Bool[np.ndarray, "rows columns"],
) -> str:
    """What the page says under a slice."""
    each = ", ".join(f"{name} {_score(value)}" for name, value in zip(NAMES[1:], dice[1:], strict=True))
    return (
        f"subject {subject}, case {printable(pair.case)}, slice {pair.number}. "
        f"Hard Dice {_score(foreground)}, the mean of {each}; {int(wrong.sum())} wrong pixels."
    )


def _score(value: float) -> str:
    return "absent" if np.isnan(value) else f"{value:.4f}"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def _table(scores: Scores) -> str:
    head = "".join(f"<th scope=col>{name}</th>" for name in ("", *CLASSES))
    body = "".join(
        f"<tr{' class=part' * name.startswith(' ')}><th scope=row>{html.escape(name)}</th>"
        + "".join(f"<td>{text}</td>" for text in texts)
        for name, texts in tables.rows(scores)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
