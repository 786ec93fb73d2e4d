"""An evaluation as people read it: the table on screen, and `per_slice.csv`."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from oasis_jax import dice, labels, scores
from oasis_jax.data.slices import Slice
from oasis_jax.scores import SliceTable


def score_table(metrics: dict[str, Any]) -> Table:
    """The table of an evaluation, from the content of its `metrics.json`."""
    summary = metrics["scores"]
    subject = summary["hard_dice_per_subject"]
    table = Table(
        title=(
            f"{metrics['data']}, {metrics['split']}: {summary['slices']} slices of {summary['subjects']} subjects; "
            f"checkpoint of step {metrics['step']}, loss {summary['loss']:.4f}"
        ),
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("Dice")
    for name in (*labels.NAMES, "foreground mean"):
        table.add_column(name, justify="right")
    rows = [
        ("hard, pooled over the split", summary["hard_dice_pooled"]),
        ("hard, per subject: mean", subject["mean"]),
        ("hard, per subject: standard deviation", subject["standard_deviation"]),
        ("hard, per subject: worst", subject["worst"]),
        ("soft, per slice: mean (the seed's)", summary["soft_dice_per_slice"]),
    ]
    for name, values in rows:
        table.add_row(name, *("-" if value is None else f"{value:.4f}" for value in values.values()))
    notes = [
        f"{name} is absent from {count} slices, which count as soft Dice 0."
        for name, count in summary["slices_without_class"].items()
        if count
    ] + [
        f"{name} is absent from {count} subjects, which the hard scores per subject leave out."
        for name, count in subject["subjects_left_out"].items()
        if count
    ]
    if notes:
        table.caption, table.caption_justify = "\n".join(notes), "left"
    return table


def per_slice_csv(pairs: Sequence[Slice], subjects: dict[str, str], table: SliceTable) -> str:
    """One line a slice: its index in the split, case, subject, number, loss, and Dice of each class.

    A hard Dice of a class absent from truth and prediction is left empty.
    """
    hard, soft, rank = scores.hard_dice(table.confusion), dice.dice(table.soft), scores.slice_ranking(table)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    kinds = [f"{kind}_dice_{name.replace(' ', '_')}" for kind in ("hard", "soft") for name in labels.NAMES]
    writer.writerow(["index", "case", "subject", "slice", "loss", "hard_dice_foreground", *kinds])
    for i, pair in enumerate(pairs):
        numbers = [table.loss[i], rank[i], *hard[i], *soft[i]]
        written = ["" if np.isnan(x) else f"{x:.6f}" for x in numbers]
        writer.writerow([i, pair.case, subjects[pair.case], pair.number, *written])
    return text.getvalue()
