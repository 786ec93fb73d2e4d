"""Tables of an evaluation, or of a comparison of two evaluations, for the screen and the report."""

import sys
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Column, Table

from oasis_jax import classes
from oasis_jax.evaluation.comparison import SCORES, Comparison
from oasis_jax.evaluation.record import Metrics
from oasis_jax.evaluation.scores import Ends, Scores
from oasis_jax.metrics.baselines import METHODS
from oasis_jax.metrics.bootstrap import FEWEST_SUBJECTS
from oasis_jax.report.template import TableRow


def rows(scores: Scores) -> list[TableRow]:
    """The table of an evaluation, row by row: a text for each class and the foreground mean."""
    found: list[TableRow] = []

    def add(title: str, values: Mapping[Any, float | None], ends: Ends | None = None, digits: int = 4) -> None:
        found.append((title, texts(values, digits)))
        if ends is not None:
            found.append(("  95 % interval", ranges(ends, digits)))

    subject, intervals, tissue = scores.hard_dice_per_subject, scores.intervals, scores.tissue
    add("Dice, hard, pooled over the split", scores.hard_dice_pooled, intervals["hard_dice_pooled"])
    add("Dice, hard, per subject: mean", subject.mean)
    add("Dice, hard, per subject: standard deviation", subject.standard_deviation)
    add("Dice, hard, per subject: worst", subject.worst)
    add("Dice, soft, per slice: mean (as in the original)", scores.soft_dice_per_slice)
    add("Jaccard, pooled", scores.jaccard_pooled, intervals["jaccard_pooled"])
    add("precision, pooled", scores.precision_pooled, intervals["precision_pooled"])
    add("recall, pooled", scores.recall_pooled, intervals["recall_pooled"])
    if (surfaces := scores.surfaces) is not None:
        dimensions, intervals = "2D" if surfaces.each == "slice" else "3D", surfaces.intervals
        title = f"surface Dice at {surfaces.tolerance_mm:g} mm in {dimensions}, pooled"
        add(title, surfaces.surface_dice_pooled, intervals["surface_dice_pooled"])
        title = f"HD95 in {dimensions}, mm: mean over {surfaces.each}s"
        add(title, surfaces.hausdorff95_mm, intervals["hausdorff95_mm"], digits=2)
    add(f"{tissue.unit} a scan, predicted - true: mean", tissue.bias, digits=2)
    found.append(("  its 95 % limits of agreement", ranges({"low": tissue.low, "high": tissue.high}, 2)))
    add(f"{tissue.unit} a scan, agreement: ICC(A,1)", tissue.icc)
    if retest := tissue.retest:
        for side, difference in (("predicted", retest.predicted), ("true", retest.true)):
            title = f"{tissue.unit}, scan and rescan, {side}: mean |difference|"
            add(title, difference.mean_difference, digits=2)
    for name, (title, _) in METHODS.items():
        baseline = scores.baselines[name]
        add(f"Dice, hard, pooled: {title}", baseline.hard_dice_pooled, baseline.intervals["hard_dice_pooled"])
    return found


def texts(values: Mapping[Any, float | None], digits: int = 4, signed: bool = False) -> list[str]:
    """A text for each of `classes.CLASSES`; "-" where there is no value."""
    in_order = [values.get(name) for name in classes.CLASSES]
    return ["-" if value is None else f"{value:{'+' if signed else ''}.{digits}f}" for value in in_order]


def ranges(ends: Mapping[Any, Mapping[Any, float | None]], digits: int = 4, signed: bool = False) -> list[str]:
    """A text for each interval, from its ends, `low` and `high`."""
    both = zip(*(texts(ends[name], digits, signed) for name in ("low", "high")), strict=True)
    return ["-" if "-" in pair else " to ".join(pair) for pair in both]


def notes(scores: Scores) -> list[str]:
    """Sentences about left-out scores, scores counted as 0, and scores that the table has no row for."""
    sentences = list(scores.caveats)
    left_out = scores.hard_dice_per_subject.subjects_left_out
    counted: list[tuple[Mapping[Any, int], str, str]] = [
        (scores.slices_without_class, "slice", "absent from {}, counted as soft Dice 0"),
        (left_out, "subject", "absent from {}, left out of the hard scores per subject"),
    ]
    if (surfaces := scores.surfaces) is not None:
        infinite = "only in truth or only in prediction of {}, left out of HD95"
        counted.append((surfaces.infinite, surfaces.each, infinite))
    for counts, what, text in counted:
        sentences += [f"{name} is {text.format(_count(count, what))}." for name, count in counts.items() if count]
    if surfaces is None:
        sentences.append("Surfaces were not compared: the spacing of the pixels is unknown.")
    if scores.subjects < FEWEST_SUBJECTS:
        sentences.append(
            "There are too few subjects for intervals, limits of agreement and ICC "
            f"({scores.subjects}; {FEWEST_SUBJECTS} are needed)."
        )
    sentences.append(f"Tissue is measured in {scores.tissue.of}; scans: {scores.tissue.scans}.")
    if retest := scores.tissue.retest:
        sentences.append(f"Subjects scanned again, whose first two scans are compared: {retest.subjects}.")
    error, interval = scores.calibration.expected_error, scores.calibration.interval
    if error is not None:
        ends = "" if interval is None else f" (95 % interval {interval['low']:.4f} to {interval['high']:.4f})"
        sentences.append(f"Expected calibration error inside the brains: {error:.4f}{ends}.")
    return sentences


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


def size(scores: Scores) -> str:
    """The number of slices and subjects, as a text."""
    return f"{_count(scores.slices, 'slice')} of {_count(scores.subjects, 'subject')}"


def console() -> Console:
    """The console for tables on standard output.

    It prints names unchanged, although they may hold brackets or colons. If it is not a terminal, it is wide enough for
    any table.
    """
    width = None if sys.stdout.isatty() else 150
    return Console(width=width, markup=False, emoji=False, highlight=False)


def score_table(metrics: Metrics) -> Table:
    """An evaluation as a table."""
    title = f"{metrics.data}, {metrics.split}: {size(metrics.scores)}; checkpoint of step {metrics.step}"
    table = _table(title, rows(metrics.scores))
    table.caption, table.caption_justify = "\n".join(notes(metrics.scores)), "left"
    return table


def comparison_tables(comparison: Comparison) -> list[Table]:
    """The tables of a comparison, one for each score."""
    score_tables: list[Table] = []
    for name, score in comparison.scores.items():
        lines = [
            (comparison.ours, texts(score.ours)),
            (comparison.theirs, texts(score.theirs)),
            ("difference", texts(score.difference, signed=True)),
        ]
        if score.interval is None or score.p is None or score.p_holm is None:  # too few subjects
            lines += [(f"  of subject {subject}", texts(own, signed=True)) for subject, own in score.each.items()]
        else:
            lines.append(("  95 % interval", ranges(score.interval, signed=True)))
            lines.append(("  p, Wilcoxon", _p_texts(score.p)))
            lines.append(("  p, Holm over the classes", _p_texts(score.p_holm)))
        score_tables.append(_table(f"{SCORES[name][0]}: {comparison.ours} - {comparison.theirs}", lines))
    return score_tables


def _table(title: str, lines: list[TableRow]) -> Table:
    """A table with a column of names and a column for each of `classes.CLASSES`."""
    columns = [Column(name, justify="right") for name in classes.CLASSES]
    table = Table("", *columns, title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name, cells in lines:
        table.add_row(name, *cells)
    return table


def _p_texts(values: Mapping[Any, float | None]) -> list[str]:
    small = [(values.get(name) or 1) < 1e-4 for name in classes.CLASSES]
    return ["< 0.0001" if tiny else text for tiny, text in zip(small, texts(values), strict=True)]
