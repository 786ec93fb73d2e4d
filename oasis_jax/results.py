"""What an evaluation writes: scores, tables, the report, TensorBoard events and pictures."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.summary import scalar

from oasis_jax import pictures, report, scores, tables
from oasis_jax.evaluation import Evaluated
from oasis_jax.storage import printable


def write(
    part: Path,
    metrics: dict[str, Any],
    counts: dict[str, Any],
    found: Evaluated,
    curves: Path,
    asked: Sequence[int] = (),
) -> None:
    """Write all files of an evaluation into a folder.

    Args:
        part: the folder, empty.
        metrics: the content of `metrics.json`.
        counts: the content of `subjects.json`.
        found: the evaluation.
        curves: the picture of the training curves, if there is one.
        asked: slices to draw beside the best, the median and the worst.
    """
    surfaces = None if found.whole else found.surfaces
    texts = {
        "metrics.json": json.dumps(metrics, indent=2, allow_nan=False) + "\n",
        "subjects.json": json.dumps(counts, allow_nan=False) + "\n",
        "per_slice.csv": tables.per_slice_csv(found.pairs, found.subjects, found.table, surfaces),
        "per_subject.csv": tables.per_subject_csv(counts, found.people),
        "tissue.csv": tables.tissue_csv(metrics["scores"]["tissue"]),
        "report.html": report.report(metrics, found, curves),
    }
    for name, text in texts.items():
        (part / name).write_text(printable(text), encoding="utf-8")
    _write_events(part, metrics)
    _draw(part / "slices", metrics, found, asked)


def _write_events(part: Path, metrics: dict[str, Any]) -> None:
    """The scores for TensorBoard, at the step of the checkpoint."""
    events = EventsWriter(str(part / "events"))
    for name, value in tables.scalars(metrics["scores"]):
        events.write_event(Event(wall_time=time.time(), step=metrics["step"], summary=scalar(name, value)))
    events.close()


def _draw(folder: Path, metrics: dict[str, Any], found: Evaluated, asked: Sequence[int]) -> None:
    """Pictures of the worst, the median and the best slice, and of those asked for."""
    folder.mkdir()
    ranking = scores.slice_ranking(found.table)
    order = [int(i) for i in np.argsort(ranking, kind="stable") if not np.isnan(ranking[i])]
    wanted = [(f"index{i}", i) for i in asked]
    if order:
        wanted += [("worst", order[0]), ("median", order[len(order) // 2]), ("best", order[-1])]
    for name, i in wanted:
        image, truth = found.slices[i]
        pair = found.pairs[i]
        title = (
            f"{metrics['data']}, {metrics['split']}, index {i}: case {pair.case}, slice {pair.number}; "
            f"foreground Dice {ranking[i]:.4f}"
        )
        file = folder / f"{name}_case_{pair.case}_slice_{pair.number}.png"
        pictures.draw_slice(file, title, image, truth, found.predictions[i])
