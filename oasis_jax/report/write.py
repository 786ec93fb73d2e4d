"""The files of an evaluation: scores, tables and the report."""

from pathlib import Path

import jax

from oasis_jax.evaluation import record
from oasis_jax.evaluation.result import Result
from oasis_jax.report import csv_files, tables
from oasis_jax.report.page import report
from oasis_jax.system.files import atomic_folder, printable


def write_evaluation(result: Result, folder: Path, curves: Path) -> None:
    """Write all files of an evaluation to a folder, which is replaced if it exists; print its table. Process 0 only.

    The report shows the training curves of the file `curves` if it exists.

    Raises:
        OSError: the files cannot be written; the table is printed already.
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
        tables.console().print(tables.score_table(result.metrics))  # first, because the scores took long to compute
        atomic_folder(folder, fill, replace=True)
        print(f"Tables and report: {folder}; look at {folder / 'report.html'}")
