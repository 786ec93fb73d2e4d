"""What an evaluation writes: scores, tables, the report, TensorBoard events and pictures."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from oasis_jax.data.dataset import Dataset
from oasis_jax.evaluation import record, summary
from oasis_jax.evaluation.record import EvaluationRecord, Metrics, SubjectCounts
from oasis_jax.evaluation.result import Evaluated
from oasis_jax.inference import ensemble, score
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.report import csv_files, events, pictures, tables
from oasis_jax.report.page import report
from oasis_jax.runs import checkpoint
from oasis_jax.runs.folder import Run
from oasis_jax.system.files import atomic_folder, printable


def write_evaluation(
    networks: Ensemble,
    found: Evaluated,
    *,
    data: str,
    split: str,
    fingerprint: str,
    folder: Path,
    asked: Sequence[int] = (),
    caveats: Sequence[str] = (),
) -> Metrics:
    """Score what was found and write a folder anew; return the content of its `metrics.json`."""
    trained, averaged = networks.runs[0], networks.averaged
    caveats = [*caveats, *([] if averaged is None else [ensemble.sentence(averaged)])]
    scores, counts = summary.measure(found, caveats)
    spacings = set(found.spacing.values())
    about = EvaluationRecord(
        run=trained.name,
        data=data,
        split=split,
        step=networks.checkpoints[0].step,
        averaged=averaged,
        data_fingerprint=fingerprint,
        spacing_mm=spacings.pop() if len(spacings) == 1 else None,
    )
    metrics, subjects = Metrics(**vars(about), scores=scores), SubjectCounts(**vars(about), **vars(counts))
    if jax.process_index() == 0:
        try:
            atomic_folder(
                folder,
                lambda part: write_files(part, metrics, subjects, found, trained.folder / "curves.png", asked),
                replace=True,
            )
        except OSError:  # what took so long to find is not lost with the place to keep it
            show(metrics)
            raise
    return metrics


def write_split(
    networks: Ensemble,
    tree: Dataset,
    split: str,
    found: Evaluated,
    *,
    output: Path | None = None,
    asked: Sequence[int] = (),
) -> tuple[Metrics, Path]:
    """Write the evaluation of a split of a tree, as `write_evaluation` does; return the folder too.

    Where no `output` is named, it is one in the folder of the first run.
    """
    trained = networks.runs[0]
    name = "phantoms" if trained.config.data.root is None else tree.root.name
    folder = output or trained.evaluation(split + networks.name)
    cautions = summary.CAUTIONS.get(split, ())
    metrics = write_evaluation(
        networks,
        found,
        data=name,
        split=split,
        fingerprint=tree.fingerprints[split],
        folder=folder,
        asked=asked,
        caveats=cautions,
    )
    return metrics, folder


def is_current(metrics: Metrics, trained: Run, tree: Dataset) -> bool:
    """Whether an evaluation is of the best checkpoint, of this data, and in these millimetres."""
    best = checkpoint.best(checkpoint.list_checkpoints(trained.checkpoints)[0])
    return (
        best is not None
        and metrics.step == best.step
        and metrics.averaged is None
        and metrics.data_fingerprint == tree.fingerprints.get(metrics.split)
        and metrics.spacing_mm == tree.spacing
    )


def show(metrics: Metrics, folder: Path | None = None) -> None:
    """Print an evaluation's table on the standard output, and the folder that holds it."""
    if jax.process_index() == 0:
        tables.console().print(tables.score_table(metrics))
        if folder is not None:
            print(f"Tables and pictures: {folder}")


def write_files(
    part: Path,
    metrics: Metrics,
    counts: SubjectCounts,
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
        "metrics.json": record.text(metrics, indent=2),
        "subjects.json": record.text(counts),
        "per_slice.csv": csv_files.per_slice_csv(found.pairs, found.subjects, found.table, surfaces),
        "per_subject.csv": csv_files.per_subject_csv(counts, found.people),
        "tissue.csv": csv_files.tissue_csv(metrics.scores.tissue),
        "report.html": report(metrics, found, curves),
    }
    for name, text in texts.items():
        (part / name).write_text(printable(text), encoding="utf-8")
    events.write_events(part / "events", metrics)
    _draw(part / "slices", metrics, found, asked)


def _draw(folder: Path, metrics: Metrics, found: Evaluated, asked: Sequence[int]) -> None:
    """Pictures of the worst, the median and the best slice, and of those asked for."""
    folder.mkdir()
    ranking = score.slice_ranking(found.table)
    order = [int(i) for i in np.argsort(ranking, kind="stable") if not np.isnan(ranking[i])]
    wanted = [(f"index{i}", i) for i in asked]
    if order:
        wanted += [("worst", order[0]), ("median", order[len(order) // 2]), ("best", order[-1])]
    for name, i in wanted:
        image, truth = found.slices[i]
        pair = found.pairs[i]
        title = (
            f"{metrics.data}, {metrics.split}, index {i}: case {pair.case}, slice {pair.number}; "
            f"foreground Dice {ranking[i]:.4f}"
        )
        file = folder / f"{name}_case_{pair.case}_slice_{pair.number}.png"
        pictures.draw_slice(file, title, image, truth, found.predictions[i])
