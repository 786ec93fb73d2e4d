"""Write the files of an evaluation, scores, tables and the report, and print its table."""

from pathlib import Path

import jax

from oasis_jax.evaluation import record
from oasis_jax.evaluation.record import Metrics
from oasis_jax.evaluation.result import Result
from oasis_jax.report import csv_files, tables
from oasis_jax.report.page import report
from oasis_jax.system.files import atomic_folder, printable


def write_evaluation(result: Result, folder: Path, curves: Path) -> None:
    """Write all files of an evaluation to a folder, which is replaced if it exists, and `show` it. Process 0 only.

    Args:
        result: the evaluation.
        folder: the folder to write.
        curves: picture of the training curves; left out of the report if the file does not exist.

    Raises:
        OSError: the files cannot be written; the scores are printed nevertheless.
    """

    def fill(part: Path) -> None:
        texts = {
            record.METRICS: record.text(result.metrics, indent=2),
            record.SUBJECTS: record.text(result.counts),
            "per_slice.csv": csv_files.per_slice_csv(result),
            "per_subject.csv": csv_files.per_subject_csv(result),
            "tissue.csv": csv_files.tissue_csv(result.metrics.scores.tissue),
            "report.html": report(result, curves),
        }
        for name, text in texts.items():
            (part / name).write_text(printable(text), encoding="utf-8")

    if jax.process_index() == 0:
        written = None
        try:
            atomic_folder(folder, fill, replace=True)
            written = folder
        finally:  # the scores took long to compute
            show(result.metrics, written)


def show(metrics: Metrics, folder: Path | None = None) -> None:
    """Print the table of an evaluation, and its folder, on standard output. Process 0 only."""
    if jax.process_index() == 0:
        tables.console().print(tables.score_table(metrics))
        if folder is not None:
            print(f"Tables and report: {folder}; look at {folder / 'report.html'}")
