"""Write the files of an evaluation: scores, tables, the report, TensorBoard events and pictures."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from oasis_jax.data.dataset import Dataset
from oasis_jax.data.geometry import common
from oasis_jax.evaluation import record, summary
from oasis_jax.evaluation.record import EvaluationRecord, Metrics, SubjectCounts
from oasis_jax.evaluation.result import Evaluated
from oasis_jax.inference import ensemble, score
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.report import csv_files, events, pictures, tables
from oasis_jax.report.page import report
from oasis_jax.system.files import atomic_folder, plain_name, printable


def write_evaluation(
    networks: Ensemble,
    evaluated: Evaluated,
    *,
    data: str,
    split: str,
    fingerprint: str,
    folder: Path,
    asked: Sequence[int] = (),
    caveats: Sequence[str] = (),
) -> Metrics:
    """Compute the scores of an evaluation and write all its files to a folder, which is replaced if it exists.

    Args:
        networks: the networks that were evaluated.
        evaluated: slices, predictions and their counts.
        data: name of the data, shown in tables.
        split: train, validate, test or volumes.
        fingerprint: SHA-256 of the data.
        folder: the folder to write.
        asked: slices to draw beside the best, the median and the worst.
        caveats: sentences that a reader of the scores must know.

    Returns:
        The content of `metrics.json`.

    Raises:
        OSError: the files cannot be written; the scores are printed first.
    """
    run = networks.runs[0]
    averaging = [] if networks.averaged is None else [ensemble.sentence(networks.averaged)]
    scores, counts = summary.measure(evaluated, [*caveats, *averaging])
    about = _record(networks, evaluated, data, split, fingerprint)
    metrics, subjects = Metrics(**vars(about), scores=scores), SubjectCounts(**vars(about), **vars(counts))
    if jax.process_index() == 0:
        try:
            atomic_folder(
                folder,
                lambda part: write_files(part, metrics, subjects, evaluated, run.curves, asked),
                replace=True,
            )
        except OSError:  # print the scores, which took long to compute, before they are lost
            show(metrics)
            raise
    return metrics


def _record(networks: Ensemble, evaluated: Evaluated, data: str, split: str, fingerprint: str) -> EvaluationRecord:
    return EvaluationRecord(
        run=networks.runs[0].name,
        data=data,
        split=split,
        step=networks.checkpoints[0].step,
        averaged=networks.averaged,
        data_fingerprint=fingerprint,
        spacing_mm=common(evaluated.spacing.values()),
    )


def write_split(
    networks: Ensemble,
    tree: Dataset,
    split: str,
    evaluated: Evaluated,
    folder: Path,
    asked: Sequence[int] = (),
) -> Metrics:
    """Write the evaluation of a split of a tree with `write_evaluation`.

    Args:
        networks: the networks that were evaluated.
        tree: the data.
        split: name of the split.
        evaluated: slices, predictions and their counts.
        folder: the folder to write; it is replaced if it exists.
        asked: slices to draw beside the best, the median and the worst.

    Returns:
        The content of `metrics.json`.
    """
    return write_evaluation(
        networks,
        evaluated,
        data="phantoms" if networks.runs[0].config.data.root is None else plain_name(tree.root),
        split=split,
        fingerprint=tree.fingerprints[split],
        folder=folder,
        asked=asked,
        caveats=summary.CAUTIONS.get(split, ()),
    )


def show(metrics: Metrics, folder: Path | None = None) -> None:
    """Print the table of an evaluation, and its folder, on standard output. Process 0 only."""
    if jax.process_index() == 0:
        tables.console().print(tables.score_table(metrics))
        if folder is not None:
            print(f"Tables and pictures: {folder}; look at {folder / 'report.html'}")


def write_files(
    part: Path,
    metrics: Metrics,
    counts: SubjectCounts,
    evaluated: Evaluated,
    curves: Path,
    asked: Sequence[int] = (),
) -> None:
    """Write all files of an evaluation into a folder.

    Args:
        part: an empty folder.
        metrics: the content of `metrics.json`.
        counts: the content of `subjects.json`.
        evaluated: slices, predictions and their counts.
        curves: picture of the training curves; left out if the file does not exist.
        asked: slices to draw beside the best, the median and the worst.
    """
    surfaces = None if evaluated.whole else evaluated.surfaces
    texts = {
        record.METRICS: record.text(metrics, indent=2),
        record.SUBJECTS: record.text(counts),
        "per_slice.csv": csv_files.per_slice_csv(evaluated.pairs, evaluated.subjects, evaluated.table, surfaces),
        "per_subject.csv": csv_files.per_subject_csv(counts, evaluated.slice_subjects),
        "tissue.csv": csv_files.tissue_csv(metrics.scores.tissue),
        "report.html": report(metrics, evaluated, curves),
    }
    for name, text in texts.items():
        (part / name).write_text(printable(text), encoding="utf-8")
    events.write_events(part / "events", metrics)
    _draw(part / "slices", metrics, evaluated, asked)


def _draw(folder: Path, metrics: Metrics, evaluated: Evaluated, asked: Sequence[int]) -> None:
    """Draw the slices in `asked`, and the worst, the median and the best slice."""
    folder.mkdir()
    dice = score.slice_ranking(evaluated.table)
    order = [int(i) for i in np.argsort(dice, kind="stable") if not np.isnan(dice[i])]
    chosen = [(f"index{i}", i) for i in asked]
    if order:
        chosen += [("worst", order[0]), ("median", order[len(order) // 2]), ("best", order[-1])]
    for name, i in chosen:
        image, truth = evaluated.slices[i]
        pair = evaluated.pairs[i]
        title = (
            f"{metrics.data}, {metrics.split}, index {i}: case {pair.case}, slice {pair.number}; "
            f"foreground Dice {dice[i]:.4f}"
        )
        file = folder / f"{name}_case_{pair.case}_slice_{pair.number}.png"
        pictures.draw_slice(file, title, image, truth, evaluated.predictions[i])
