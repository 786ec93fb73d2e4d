"""`report.html` of an evaluation: one file that holds all it shows, and opens in any browser without a network."""

import base64
import html
import io
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from oasis_jax import charts, labels, pictures, scores, tables
from oasis_jax.data.slices import Slice
from oasis_jax.scores import SliceTable

_QUALITY = 60
"""Of the lossy WebP images: about 6 kB a slice of 256x256, with no difference that an eye sees at this size."""


def report(
    metrics: dict[str, Any],
    pairs: Sequence[Slice],
    subjects: dict[str, str],
    table: SliceTable,
    slices: Sequence[tuple[np.ndarray, np.ndarray]],
    predictions: np.ndarray,
    curves: Path,
) -> str:
    """The report as HTML.

    Args:
        metrics: the content of `metrics.json`.
        pairs: the slices of the split.
        subjects: the person of each case.
        table: the scores of each slice.
        slices: grey levels and true classes of each slice, uint8 `(H, W)`.
        predictions: predicted classes, uint8 `(N, H, W)`.
        curves: the picture of the training curves; left out where there is none.
    """
    summary = metrics["scores"]
    drawn = [
        (
            "Hard Dice of each subject; the line is the median, the lowest is named",
            charts.subjects(summary["hard_dice_per_subject"]),
        ),
        ("Where the pixels of each true class went", charts.confusion(table.confusion.sum(0))),
    ]
    figures = "".join(f"<h3>{title}</h3><figure>{svg}</figure>" for title, svg in drawn)
    if curves.is_file():
        inside = base64.b64encode(curves.read_bytes()).decode()
        image = f'<img alt="Loss and Dice by step" width="100%" src="data:image/png;base64,{inside}">'
        figures += f"<h3>Training</h3><figure>{image}</figure>"
    title = f"{metrics['data']}, {metrics['split']}: {summary['slices']} slices of {summary['subjects']} subjects"
    facts = f"Checkpoint of step {metrics['step']}; data fingerprint {metrics['data_fingerprint'][:16]}."
    template = Template((resources.files("oasis_jax") / "report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(title),
        facts=html.escape(facts),
        table=_table(summary),
        notes="".join(f"<p class=note>{html.escape(text)}</p>" for text in tables.notes(summary)),
        charts=figures,
        definitions=_DEFINITIONS,
        data=json.dumps(_data(pairs, subjects, table, slices, predictions)).replace("<", "\\u003c"),
    )


def _data(
    pairs: Sequence[Slice],
    subjects: dict[str, str],
    table: SliceTable,
    slices: Sequence[tuple[np.ndarray, np.ndarray]],
    predictions: np.ndarray,
) -> dict[str, Any]:
    """What the page's script reads."""
    dice, rank = scores.hard_dice(table.confusion), scores.slice_ranking(table)
    names = zip(labels.NAMES, labels.COLOURS.tolist(), strict=True)
    rows = []
    for i, pair in enumerate(pairs):
        image, truth = slices[i]
        rows.append(
            {
                "subject": subjects[pair.case],
                "case": pair.case,
                "number": pair.number,
                "foreground": _number(rank[i]),
                "dice": [_number(x) for x in dice[i]],
                "wrong": int((truth != predictions[i]).sum()),
                **_pictures(image, truth, predictions[i]),
            }
        )
    classes = [{"name": name, "colour": colour} for name, colour in names]
    return {"classes": classes, "error": pictures.ERROR, "slices": rows}


def _pictures(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> dict[str, str]:
    """Grey levels as lossy WebP, classes as one PNG of 16 greys, `4 truth + prediction`; both cut to the head."""
    box = pictures.shown_box(image, truth, prediction)
    grey, coded = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image[box])).save(grey, "WEBP", quality=_QUALITY)
    both = Image.fromarray(np.ascontiguousarray(labels.COUNT * truth[box] + prediction[box]))
    both.putpalette([level for k in range(16) for level in (17 * k,) * 3])
    both.save(coded, "PNG", bits=4)
    return {
        "image": "data:image/webp;base64," + base64.b64encode(grey.getvalue()).decode(),
        "labels": "data:image/png;base64," + base64.b64encode(coded.getvalue()).decode(),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def _table(summary: dict[str, Any]) -> str:
    head = "".join(f"<th scope=col>{name}</th>" for name in ("", *summary["hard_dice_pooled"]))
    body = "".join(
        f"<tr><th scope=row>{html.escape(name)}</th>" + "".join(f"<td>{text}</td>" for text in texts)
        for name, texts in tables.rows(summary)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


_DEFINITIONS = """<ul>
<li><b>Hard Dice, pooled</b>: every pixel gets its most probable class; 2 I / (P + T) from pixel counts added over the
split.</li>
<li><b>Hard Dice per subject</b>: the same from the counts of each person's slices. A class that is absent from truth
and prediction of a person is left out.</li>
<li><b>Soft Dice</b>: 2 I / (P + T + 1e-6) from probabilities for each slice, then the mean over slices; a class absent
from a slice's truth counts as 0 there.</li>
<li><b>Interval</b>: 95 % of 10,000 bootstrap draws of whole subjects (percentiles); not given below 8 subjects.</li>
<li><b>Jaccard, precision, recall</b>: I / (P + T - I), I / P and I / T from the pooled counts.</li>
<li><b>Surface Dice</b> and <b>HD95</b>: of the contours in each slice, as surface-distance 0.1 defines them: the share
of both contours that lies within 1 mm of the other, from lengths added over the split; and the larger of the two
directed 95th percentiles of distances, mean over the slices in which truth and prediction have the class.</li>
<li><b>Foreground</b>: the mean of CSF, gray matter and white matter.</li></ul>"""
