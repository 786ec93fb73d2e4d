"""An evaluation as people read it: the table on screen, and `per_slice.csv`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from oasis_jax import dice, labels, scores
from oasis_jax.data.slices import Slice
from oasis_jax.scores import SliceTable
from oasis_jax.storage import csv_text


def rows(summary: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The scores of an evaluation as people read them: a name, and a text for each class and the foreground mean.

    Args:
        summary: what `scores.summarise` gives.
    """

    def texts(values: dict[str, float | None], digits: int = 4) -> list[str]:
        found = [values.get(name) for name in summary["hard_dice_pooled"]]
        return ["-" if value is None else f"{value:.{digits}f}" for value in found]

    subject, spread, surfaces = (
        summary["hard_dice_per_subject"],
        summary["hard_dice_pooled_interval"],
        summary["surfaces"],
    )
    pooled = [("Dice, hard, pooled over the split", texts(summary["hard_dice_pooled"]))]
    if spread is not None:
        ends = zip(texts(spread["low"]), texts(spread["high"]), strict=True)
        pooled.append(("  its 95 % interval over subjects", [f"{low} to {high}" for low, high in ends]))
    found = [
        *pooled,
        ("Dice, hard, per subject: mean", texts(subject["mean"])),
        ("Dice, hard, per subject: standard deviation", texts(subject["standard_deviation"])),
        ("Dice, hard, per subject: worst", texts(subject["worst"])),
        ("Dice, soft, per slice: mean (the seed's)", texts(summary["soft_dice_per_slice"])),
        ("Jaccard, pooled", texts(summary["jaccard_pooled"])),
        ("precision, pooled", texts(summary["precision_pooled"])),
        ("recall, pooled", texts(summary["recall_pooled"])),
    ]
    if surfaces is not None:
        found += [
            (f"surface Dice at {surfaces['tolerance_mm']:g} mm, pooled", texts(surfaces["surface_dice_pooled"])),
            ("HD95 per slice: mean, mm", texts(surfaces["hausdorff95_mm_per_slice"], digits=2)),
        ]
    return found


def notes(summary: dict[str, Any]) -> list[str]:
    """What was left out or counted as 0, a sentence each."""
    found = [
        f"{name} is absent from {count} slices, which count as soft Dice 0."
        for name, count in summary["slices_without_class"].items()
        if count
    ]
    left_out = summary["hard_dice_per_subject"]["subjects_left_out"]
    found += [
        f"{name} is absent from {count} subjects, which the hard scores per subject leave out."
        for name, count in left_out.items()
        if count
    ]
    if summary["surfaces"] is not None:
        found += [
            f"{name} is found or true in {count} slices where the other side has none; HD95 leaves them out."
            for name, count in summary["surfaces"]["slices_infinite"].items()
            if count
        ]
    if summary["hard_dice_pooled_interval"] is None:
        found.append(f"{summary['subjects']} subjects are too few for an interval; 8 are needed.")
    return found


def score_table(metrics: dict[str, Any]) -> Table:
    """The table of an evaluation, from the content of its `metrics.json`."""
    summary = metrics["scores"]
    table = Table(
        title=(
            f"{metrics['data']}, {metrics['split']}: {summary['slices']} slices of {summary['subjects']} subjects; "
            f"checkpoint of step {metrics['step']}, loss {summary['loss']:.4f}"
        ),
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("")
    for name in (*labels.NAMES, "foreground mean"):
        table.add_column(name, justify="right")
    for name, values in rows(summary):
        table.add_row(name, *values)
    if told := notes(summary):
        table.caption, table.caption_justify = "\n".join(told), "left"
    return table


def per_slice_csv(pairs: Sequence[Slice], subjects: dict[str, str], table: SliceTable) -> str:
    """One line a slice: its index in the split, case, subject, number, loss, and Dice of each class.

    A hard Dice of a class absent from truth and prediction is left empty.
    """
    hard, soft, rank = scores.hard_dice(table.confusion), dice.dice(table.soft), scores.slice_ranking(table)
    kinds = [f"{kind}_dice_{name.replace(' ', '_')}" for kind in ("hard", "soft") for name in labels.NAMES]
    lines = []
    for i, pair in enumerate(pairs):
        numbers = [table.loss[i], rank[i], *hard[i], *soft[i]]
        written = ["" if np.isnan(x) else f"{x:.6f}" for x in numbers]
        lines.append([i, pair.case, subjects[pair.case], pair.number, *written])
    return csv_text(["index", "case", "subject", "slice", "loss", "hard_dice_foreground", *kinds], lines)
