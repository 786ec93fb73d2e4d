"""An evaluation, or a comparison of two, as people read it: tables for the screen and the report."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from oasis_jax import classes
from oasis_jax.evaluation.comparison import SCORES
from oasis_jax.metrics import baselines
from oasis_jax.metrics.bootstrap import FEWEST_SUBJECTS

Row = tuple[str, list[str]]
"""A name, and a text for each class and the foreground mean."""


def rows(found: dict[str, Any]) -> list[Row]:
    """The scores of an evaluation as people read them.

    Args:
        found: `scores` of a `metrics.json`.
    """
    subject, surfaces = found["hard_dice_per_subject"], found["surfaces"]
    return [
        *_with_interval("Dice, hard, pooled over the split", found, "hard_dice_pooled"),
        ("Dice, hard, per subject: mean", texts(subject["mean"])),
        ("Dice, hard, per subject: standard deviation", texts(subject["standard_deviation"])),
        ("Dice, hard, per subject: worst", texts(subject["worst"])),
        ("Dice, soft, per slice: mean (the seed's)", texts(found["soft_dice_per_slice"])),
        *_with_interval("Jaccard, pooled", found, "jaccard_pooled"),
        *_with_interval("precision, pooled", found, "precision_pooled"),
        *_with_interval("recall, pooled", found, "recall_pooled"),
        *([] if surfaces is None else _surface_rows(surfaces)),
        *_tissue_rows(found["tissue"]),
        *(
            line
            for name, (title, _) in baselines.METHODS.items()
            for line in _with_interval(f"Dice, hard, pooled: {title}", found["baselines"][name], "hard_dice_pooled")
        ),
    ]


def _surface_rows(surfaces: dict[str, Any]) -> list[Row]:
    where = "2D" if surfaces["each"] == "slice" else "3D"
    title = f"surface Dice at {surfaces['tolerance_mm']:g} mm in {where}, pooled"
    return [
        *_with_interval(title, surfaces, "surface_dice_pooled"),
        *_with_interval(f"HD95 in {where}, mm: mean over {surfaces['each']}s", surfaces, "hausdorff95_mm", digits=2),
    ]


def _tissue_rows(tissue: dict[str, Any]) -> list[Row]:
    unit, ends = tissue["unit"], (texts(tissue["low"], 2), texts(tissue["high"], 2))
    found = [
        (f"{unit} a scan, predicted - true: mean", texts(tissue["bias"], 2)),
        ("  its 95 % limits of agreement", ranges(*ends)),
        (f"{unit} a scan, agreement: ICC(A,1)", texts(tissue["icc"])),
    ]
    if retest := tissue["retest"]:
        found += [
            (f"{unit}, scan and rescan, {side}: mean |difference|", texts(retest[side]["mean_difference"], 2))
            for side in ("predicted", "true")
        ]
    return found


def _with_interval(title: str, found: dict[str, Any], name: str, digits: int = 4) -> list[Row]:
    spread = found["intervals"][name]
    value = (title, texts(found[name], digits))
    if spread is None:
        return [value]
    return [value, ("  95 % interval", ranges(texts(spread["low"], digits), texts(spread["high"], digits)))]


def texts(values: dict[str, float | None], digits: int = 4, signed: bool = False) -> list[str]:
    """A text for each of `classes.CLASSES`."""
    found = [values.get(name) for name in classes.CLASSES]
    return ["-" if value is None else f"{value:{'+' if signed else ''}.{digits}f}" for value in found]


def ranges(low: list[str], high: list[str]) -> list[str]:
    """A text for each interval, from those of its ends."""
    return ["-" if "-" in ends else " to ".join(ends) for ends in zip(low, high, strict=True)]


def notes(found: dict[str, Any]) -> list[str]:
    """What was left out or counted as 0, and what the table has no column for: a sentence each."""
    told = list(found["caveats"])
    told += [
        f"{name} is absent from {_count(count, 'slice')}, counted as soft Dice 0."
        for name, count in found["slices_without_class"].items()
        if count
    ]
    left_out = found["hard_dice_per_subject"]["subjects_left_out"]
    told += [
        f"{name} is absent from {_count(count, 'subject')}, left out of the hard scores per subject."
        for name, count in left_out.items()
        if count
    ]
    if (surfaces := found["surfaces"]) is None:
        told.append("Surfaces were not compared: the spacing of the pixels is unknown.")
    else:
        told += [
            f"{name} is only true or only predicted in {_count(count, surfaces['each'])}, left out of HD95."
            for name, count in surfaces["infinite"].items()
            if count
        ]
    if found["subjects"] < FEWEST_SUBJECTS:
        told.append(
            "There are too few subjects for intervals, limits of agreement and ICC "
            f"({found['subjects']}; {FEWEST_SUBJECTS} are needed)."
        )
    tissue, error = found["tissue"], found["calibration"]["expected_error"]
    told.append(f"Tissue is that of {tissue['of']}; scans: {tissue['scans']}.")
    if retest := tissue["retest"]:
        told.append(f"Subjects scanned again, whose first two scans are compared: {retest['subjects']}.")
    if error is not None:
        spread = found["calibration"]["interval"]
        ends = "" if spread is None else f" (95 % interval {spread['low']:.4f} to {spread['high']:.4f})"
        told.append(f"Expected calibration error inside the brains: {error:.4f}{ends}.")
    return told


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


def size(found: dict[str, Any]) -> str:
    """How many slices and subjects the scores are of, for people."""
    return f"{_count(found['slices'], 'slice')} of {_count(found['subjects'], 'subject')}"


def pixels(spacing: Sequence[float | None] | None) -> str:
    """The spacing of the pixels for people; None is said to be unknown."""
    if spacing is None:
        return "spacing of the pixels unknown, or each volume's own"
    row, column, gap = spacing
    return f"pixels of {row:g} x {column:g} mm, " + (
        "slices apart unknown" if gap is None else f"slices {gap:g} mm apart"
    )


def console() -> Console:
    """The standard output for tables. Names stay as they are, whatever stands in brackets or between colons in them.

    It is wide enough for a whole table where it is no terminal.
    """
    width = None if sys.stdout.isatty() else 150
    return Console(width=width, markup=False, emoji=False, highlight=False)


def score_table(metrics: dict[str, Any]) -> Table:
    """The content of a `metrics.json` as a table."""
    found = metrics["scores"]
    title = f"{metrics['data']}, {metrics['split']}: {size(found)}; checkpoint of step {metrics['step']}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in classes.CLASSES:
        table.add_column(name, justify="right")
    for name, values in rows(found):
        table.add_row(name, *values)
    table.caption, table.caption_justify = "\n".join(notes(found)), "left"
    return table


def scalars(found: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Every score of an evaluation that is one number, by name and class, as TensorBoard shows them."""
    groups = {name: found[name] for name in ("soft_dice_per_slice", *found["intervals"])}
    groups |= {f"hard_dice_per_subject_{name}": found["hard_dice_per_subject"][name] for name in ("mean", "worst")}
    if found["surfaces"] is not None:
        groups |= {name: found["surfaces"][name] for name in found["surfaces"]["intervals"]}
    groups |= {f"tissue_{name}": found["tissue"][name] for name in ("bias", "icc")}
    single = {"loss": found["loss"], "expected_calibration_error": found["calibration"]["expected_error"]}
    yield from ((name, value) for name, value in single.items() if value is not None)
    for group, values in groups.items():
        yield from ((f"{group}/{name}", value) for name, value in values.items() if value is not None)


def result_tables(compared: dict[str, Any]) -> list[Table]:
    """One comparison as people read it: a table for each score."""
    few = compared["subjects"] < FEWEST_SUBJECTS
    made = []
    for name, found in compared["scores"].items():
        title = f"{SCORES[name][0]}: {compared['ours']} - {compared['theirs']}"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("")
        for column in classes.CLASSES:
            table.add_column(column, justify="right")
        table.add_row(compared["ours"], *texts(found["ours"]))
        table.add_row(compared["theirs"], *texts(found["theirs"]))
        table.add_row("difference", *texts(found["difference"], signed=True))
        if few:
            for person, values in found["each"].items():
                table.add_row(f"  of subject {person}", *texts(values, signed=True))
        else:
            ends = (texts(found["interval"][end], signed=True) for end in ("low", "high"))
            table.add_row("  95 % interval", *ranges(*ends))
            table.add_row("  p, Wilcoxon", *_p_texts(found["p"]))
            table.add_row("  p, Holm over the classes", *_p_texts(found["p_holm"]))
        made.append(table)
    return made


def _p_texts(values: dict[str, float | None]) -> list[str]:
    shown = texts(values)
    small = [(values.get(name) or 1) < 1e-4 for name in classes.CLASSES]
    return ["< 0.0001" if tiny else text for tiny, text in zip(small, shown, strict=True)]
