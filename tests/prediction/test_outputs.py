"""Predictions that write to one folder, one after the other or together, lose nothing of each other."""

import csv
import errno
import fcntl
import os
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_mistake, blob, command, finish, stand_in, start

from oasis_jax import predict
from oasis_jax.data.slices import write_png
from oasis_jax.prediction import pages
from oasis_jax.prediction.destination import Destination, Result
from oasis_jax.prediction.outputs import LABELS, TABLES
from oasis_jax.prediction.summary import FileSummary, SliceSummary
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.png import read_grey

TOGETHER = """
import sys, time
from pathlib import Path
from oasis_jax.volumes.finding import InputFile
from oasis_jax.prediction.summary import FileSummary, SliceSummary
from oasis_jax.prediction.destination import Destination, Result

folder, meeting, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
(meeting / name).touch()
while len(list(meeting.iterdir())) < 6:
    time.sleep(0.001)
for k in range(5):
    rows = [SliceSummary(0, None, None, False, 0.9, (1.0, 2.0, 3.0))]
    summary = FileSummary(f"{name}-{k}.png", rows, None, True, ())
    Destination(folder).write_tables([Result(InputFile(Path(summary.file), name), summary)])
"""


def files_in(table: Path) -> list[str]:
    with table.open(newline="", encoding="utf-8") as file:
        return [row["file"] for row in csv.DictReader(file)]


def test_predictions_that_end_together_lose_no_line(tmp_path: Path) -> None:
    folder, meeting = tmp_path / "out", tmp_path / "meeting"
    folder.mkdir()
    meeting.mkdir()
    for process in [start(folder, meeting, name, code=TOGETHER) for name in "abcdef"]:
        done = finish(process)
        assert done.returncode == 0, done.stderr
    expected = [f"{name}-{k}.png" for name in "abcdef" for k in range(5)]
    for table in TABLES:
        assert sorted(files_in(folder / table)) == expected
    index = (folder / pages.INDEX).read_text(encoding="utf-8")
    assert all(name in index for name in expected)
    assert sorted(path.name for path in folder.iterdir()) == sorted((*TABLES, LABELS, pages.INDEX))


def test_a_disk_without_locks_has_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    summary = FileSummary("a.png", [SliceSummary(0, None, None, False, 0.9, (1.0, 2.0, 3.0))], None, True, ())
    (note,) = Destination(tmp_path).write_tables([Result(InputFile(Path("a.png"), "a"), summary)])
    assert files_in(tmp_path / TABLES[0]) == ["a.png"]
    assert "lies on a disk without locks (No locks available)" in note


def test_predictions_add_to_the_tables_and_pages_of_others(finished: Path, tmp_path: Path) -> None:
    for k, name in enumerate("ab"):
        write_png(tmp_path / f"{name}.png", blob(np.random.default_rng(k))[0])
        done = command("predict", finished, tmp_path / f"{name}.png", "--output", tmp_path / "out")
        assert done.returncode == 0, done.stderr
    assert files_in(tmp_path / "out" / TABLES[0]) == ["a.png", "b.png"]
    first, second = ((tmp_path / "out" / name).read_text() for name in ("slices.html", "slices-2.html"))
    assert "a.png" in first
    assert "b.png" in second
    assert 'href="slices-2.html">page 2</a>' in (tmp_path / "out" / "index.html").read_text()
    (tmp_path / "out/b_record.json").unlink()
    again = command("predict", finished, tmp_path / "b.png", "--output", tmp_path / "out")
    assert_mistake(again, "b_labels.png already and 1 more", "--overwrite")


@pytest.mark.parametrize("name", [*TABLES, LABELS, pages.INDEX, pages.SLICES])
def test_a_file_that_no_prediction_wrote_is_not_replaced(finished: Path, tmp_path: Path, name: str) -> None:
    write_png(tmp_path / "a.png", blob(np.random.default_rng(0))[0])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    done = command("predict", finished, tmp_path / "a.png", "--output", tmp_path / "out")
    assert_mistake(done, f"{name} already", "--overwrite")
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_labels_that_another_prediction_wrote_meanwhile_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k, name in enumerate("ab"):
        write_png(tmp_path / f"{name}.png", blob(np.random.default_rng(k))[0])
    segmenter, theirs = stand_in(), tmp_path / "out" / "a_labels.png"

    def load(*runs: object, **options: object) -> object:
        theirs.parent.mkdir()
        write_png(theirs, np.zeros((3, 3), np.uint8))
        return segmenter

    monkeypatch.setattr(predict.Segmenter, "load", load)
    arguments = predict.Arguments(Path("run"), (tmp_path / "a.png", tmp_path / "b.png"), tmp_path / "out")
    done, problems = predict.predict(segmenter.ensemble.runs[0], arguments)
    assert done == 1
    assert "a_labels.png already" in problems[0]
    assert read_grey(theirs).shape == (3, 3)
    assert files_in(tmp_path / "out" / TABLES[0]) == ["b.png"]
