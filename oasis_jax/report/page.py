"""`report.html` of an evaluation: one file that holds all it shows, and opens in any browser without a network."""

import base64
import html
import io
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from oasis_jax.classes import CLASSES, COLOURS, COUNT, NAMES
from oasis_jax.evaluation.record import Metrics
from oasis_jax.evaluation.result import Evaluated
from oasis_jax.evaluation.scores import Scores
from oasis_jax.inference import score
from oasis_jax.metrics import overlap
from oasis_jax.report import charts, pictures, tables
from oasis_jax.system.files import printable

_QUALITY = 60
"""Of the lossy WebP images: about 6 kB a slice of 256x256, with no difference that an eye sees at this size."""


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
    return _assemble(
        title=html.escape(title),
        facts=html.escape(facts),
        table=_table(scores),
        notes="".join(f"<p class=note>{html.escape(text)}</p>" for text in tables.notes(scores)),
        charts=figures,
        data=json.dumps(_data(found)).replace("<", "\\u003c"),
    )


def _assemble(**parts: str) -> str:
    """`report.html` with its style, its script and the definitions inside, and each part in place of its `<!--mark-->`.

    All marks are replaced in one pass, so that a part may hold what looks like a mark.
    """
    folder = resources.files("oasis_jax.report")
    page, style, script, definitions = (
        (folder / name).read_text(encoding="utf-8")
        for name in ("report.html", "report.css", "report.js", "definitions.html")
    )
    marks = {f"<!--{name}-->": text for name, text in parts.items()} | {
        "<!--definitions-->": definitions,
        '<link rel="stylesheet" href="report.css">': f"<style>\n{style}</style>",
        '<script src="report.js"></script>': f"<script>\n{script}</script>",
    }
    return re.sub("|".join(map(re.escape, marks)), lambda mark: marks[mark[0]], page)


def _data(found: Evaluated) -> dict[str, Any]:
    """What the page's script reads."""
    dice, rank = overlap.hard_dice(found.table.confusion), score.slice_ranking(found.table)
    names = zip(NAMES, COLOURS.tolist(), strict=True)
    rows = []
    for i, (pair, prediction) in enumerate(zip(found.pairs, found.predictions, strict=True)):
        image, truth = found.slices[i]
        rows.append(
            {
                "subject": printable(found.subjects[pair.case]),
                "case": printable(pair.case),
                "number": pair.number,
                "foreground": _number(rank[i]),
                "dice": [_number(x) for x in dice[i]],
                "wrong": int((truth != prediction).sum()),
                "mm": (found.spacing[pair.case] or (1, 1))[:2],
                **_pictures(image, truth, prediction),
            }
        )
    classes = [{"name": name, "colour": colour} for name, colour in names]
    return {"classes": classes, "error": pictures.ERROR, "slices": rows}


def _pictures(
    image: UInt8[np.ndarray, "rows columns"],
    truth: UInt8[np.ndarray, "rows columns"],
    prediction: UInt8[np.ndarray, "rows columns"],
) -> dict[str, str]:
    """Grey levels as lossy WebP, classes as one PNG of 16 greys, `4 truth + prediction`; both cut to the head."""
    box = pictures.shown_box(image, truth, prediction)
    grey, coded = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image[box])).save(grey, "WEBP", quality=_QUALITY)
    both = Image.fromarray(np.ascontiguousarray(COUNT * truth[box] + prediction[box]))
    both.putpalette([level for k in range(16) for level in (17 * k,) * 3])
    both.save(coded, "PNG", bits=4)
    return {
        "image": "data:image/webp;base64," + base64.b64encode(grey.getvalue()).decode(),
        "labels": "data:image/png;base64," + base64.b64encode(coded.getvalue()).decode(),
    }


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
