"""A folder of results: what is labelled again, what is never replaced, and tables that many calls write."""

import errno
import fcntl
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from checked import present, rows
from helpers import blob, brain, by_grey, command, predict_with, save, stand_in

from oasis_jax.data.slices import write_png
from oasis_jax.inference.segment import Labels, Segmenter
from oasis_jax.prediction import record, tables
from oasis_jax.prediction.record import Settings
from oasis_jax.prediction.results import Destination
from oasis_jax.prediction.summary import FileSummary, SliceSummary
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.png import read_grey

Start = Callable[..., tuple[list[str], list[str]]]


def with_weights(value: float) -> Segmenter:
    segmenter = stand_in()
    return replace(segmenter, ensemble=replace(segmenter.ensemble, params=({"w": np.full(1, value)},)))


@pytest.fixture
def start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Start:
    """Label three volumes, `a`, `b` and `c`; returns the names of those that were labelled, and the problems."""
    paths = [save(tmp_path / f"{name}.nii", brain((37, 50, k + 4))[0]) for k, name in enumerate("abc")]

    def label(weights: float = 0.0, **options: Any) -> tuple[list[str], list[str]]:
        capsys.readouterr()
        _, problems = predict_with(with_weights(weights), paths, tmp_path / "out", json=True, **options)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return sorted(line["file"][0] for line in lines if line["state"] == "labelled"), problems

    assert label() == (["a", "b", "c"], [])
    return label


def write_slices(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for k in range(count):
        write_png(folder / f"{k}.png", blob(np.random.default_rng(k))[0])
    return [folder / f"{k}.png" for k in range(count)]


def test_what_was_made_from_the_same_bytes_weights_and_options_is_not_made_again(start: Start, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("?_*")}
    assert start() == ([], [])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    save(tmp_path / "b.nii", brain((37, 50, 9))[0])
    assert start() == (["b"], [])
    (tmp_path / "out/c_overlay.png").unlink()
    assert start() == (["c"], [])
    options: dict[str, Any] = {}
    made = [rows(tmp_path / "out/tissue.csv")[0]["made_with"]]
    for more in ({"weights": 1.0}, {"mirror": True}, {"orientation": "RAS"}):
        options |= more
        assert start(**options) == (["a", "b", "c"], [])
        made.append(rows(tmp_path / "out/tissue.csv")[0]["made_with"])
    known = present(record.read(tmp_path / "out", InputFile(tmp_path / "a.nii", "a")))
    weights = f"weights {known.settings.weights[0][:12]}"
    assert made[0] != weights
    assert made[1:] == [weights, f"{weights}, mirror", f"{weights}, mirror, orientation RAS"]
    assert start(**options) == ([], [])
    assert start(**options, overwrite=True)[0] == ["a", "b", "c"]
    assert [row["slices"] for row in rows(tmp_path / "out/tissue.csv")] == ["4", "9", "6"]


def test_probabilities_are_added_and_do_not_outlive_their_labels(start: Start, tmp_path: Path) -> None:
    assert start(probabilities=True) == (["a", "b", "c"], [])
    assert start() == ([], [])
    save(tmp_path / "b.nii", brain((37, 50, 9))[0])
    assert start() == (["b"], [])
    assert sorted(path.name[0] for path in (tmp_path / "out").glob("*_probabilities.nii.gz")) == ["a", "c"]


def test_labels_that_somebody_corrected_stay(start: Start, tmp_path: Path) -> None:
    (tmp_path / "out/b_labels.nii.gz").write_bytes(b"by hand")
    nothing, (named,) = start()
    labelled, (problem,) = start(weights=1.0)
    assert (nothing, labelled) == ([], ["a", "c"])
    assert named == problem
    assert "out/b_labels.nii.gz is not as the program wrote it, so it stays" in problem
    assert (tmp_path / "out/b_labels.nii.gz").read_bytes() == b"by hand"


@pytest.mark.parametrize("content", ["", "[]", '{"input": "0"}', "\0"])
def test_results_without_a_record_are_refused(content: str, start: Start, tmp_path: Path) -> None:
    (tmp_path / "out/b_record.json").write_text(content)
    with pytest.raises(UserError, match=r"out holds b_labels\.nii\.gz already and 2 more: .*--overwrite"):
        start()


def test_a_killed_call_is_continued_and_the_tables_have_all_rows(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = (tmp_path / "out/slices.csv").read_text()
    write = record.write

    def killed(folder: Path, file: Any, made: record.Record) -> None:
        write(folder, file, made)
        if file.name == "b" and made.summary is None:
            raise SystemError

    monkeypatch.setattr(record, "write", killed)
    assert len(start(weights=1.0)[1]) == 1  # the old labels of b are there, and a record that says it is not finished
    monkeypatch.undo()
    for name in ("tissue.csv", "slices.csv", "labels.tsv", "index.html"):
        (tmp_path / "out" / name).unlink()
    assert start(weights=1.0) == (["b"], [])
    assert [row["file"] for row in rows(tmp_path / "out/tissue.csv")] == ["a.nii", "b.nii", "c.nii"]
    assert (tmp_path / "out/slices.csv").read_text() == slices


@pytest.mark.parametrize(("header", "voxels"), [("a.hdr", "a.img"), ("A.HDR", "A.IMG")])
def test_all_that_a_network_sees_counts(header: str, voxels: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"case_1_slice_{k}.png" for k in range(3)]
    for path in (*paths, tmp_path / header, tmp_path / voxels):
        path.write_bytes(b"0")
    slice_, pair = InputFile(paths[1], "x"), InputFile(tmp_path / header, "a")
    alone, with_neighbours, volume = record.seen(slice_, 0), record.seen(slice_, 1), record.seen(pair, 0)
    paths[2].write_bytes(b"1")
    (tmp_path / voxels).write_bytes(b"1")
    assert record.seen(slice_, 0) == alone
    assert record.seen(slice_, 1) != with_neighbours
    assert record.seen(pair, 0) != volume


@pytest.mark.parametrize("parts", [1, 3, 9])
def test_parts_label_each_file_once(parts: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_slices(tmp_path / "in", 5)
    gone, sizes = tmp_path / "gone.png", []
    for number in range(1, parts + 1):
        done, problems = predict_with(stand_in(), [tmp_path / "in", gone], tmp_path / "out", part=f"{number}/{parts}")
        assert problems == ([f"{gone} does not exist"] if number == 1 else [])  # the first part tells for all
        sizes.append(done)
    assert sum(sizes) == 5
    assert max(sizes) - min(sizes) <= 1
    assert [row["file"] for row in sorted(rows(tmp_path / "out/tissue.csv"), key=str)] == [f"{k}.png" for k in range(5)]
    assert ("part 9/9 has none" in capsys.readouterr().err) == (parts == 9)


@pytest.mark.parametrize("part", ["0/3", "4/3", "1", "-1/2", "1/2/3", "1.5/3", "²/3"])
def test_a_part_that_is_none_is_refused(part: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--part is .* and must be i/n with i from 1 to n"):
        predict_with(stand_in(), write_slices(tmp_path / "in", 1), tmp_path / "out", part=part)
    assert not (tmp_path / "out").exists()


def test_json_has_a_line_for_each_input_and_nothing_else(finished: Path, tmp_path: Path) -> None:
    (slice_,) = write_slices(tmp_path / "in", 1)
    (broken := tmp_path / "broken.png").write_bytes(b"no image")
    gone = tmp_path / "gone.png"
    words = ("predict", finished, slice_, broken, gone, "--output", tmp_path / "out", "--json")
    for state in ("labelled", "labelled before"):
        done = command(*words)
        assert done.returncode == 1
        assert "error: 2 input(s) could not be labelled, the others are done:" in done.stderr
        line, *errors = map(json.loads, done.stdout.splitlines())
        assert (line["file"], line["state"], line["slices"]) == ("0.png", state, 1)
        assert Path(line["labels"]).is_file()
        (row,) = rows(tmp_path / "out/tissue.csv")
        columns = {"CSF": "CSF", "GM": "gray_matter", "WM": "white_matter"}
        assert line["cm2"] == {name: float(row[f"{column}_cm2"]) for name, column in columns.items()}
        assert {error["input"] for error in errors} == {str(broken), str(gone)}
        assert all(error["error"].startswith(error["input"]) for error in errors)


def summary(file: str, area: float = 1.0) -> FileSummary:
    return FileSummary(file, (SliceSummary(0, False, 0.9, (area, area, area)),), None, ())


SETTINGS = Settings(("0" * 64,), 0, mirror=False, orientation=None, values="own")


def test_tables_keep_the_lines_of_files_labelled_before_also_those_of_older_versions(tmp_path: Path) -> None:
    (tmp_path / "tissue.csv").write_text(
        "file,slices,slices_outside_trained_heights,heights_added_up,CSF_ml,gray_matter_ml,white_matter_ml,notes\n"
        "a.nii,7,4,trained,1.00,2.00,3.00,odd\n"
        "b.nii,9,0,all,4.00,5.00,6.00,\n"
    )
    (tmp_path / "slices.csv").write_text("file,slice,height,in_trained_heights,CSF_mm2\na.nii,0,0.5,True,8.0\n")
    bad = os.fsdecode(b"caf\xe9")
    tables.write(tmp_path, [summary("b.nii", 100.0), summary(f"{bad}.png", 200.0)], SETTINGS)
    tables.write(tmp_path, [summary("c.png", 300.0)], SETTINGS)
    names = ["a.nii", "b.nii", r"caf\xe9.png", "c.png"]
    columns = [[row[name] for row in rows(tmp_path / "tissue.csv")] for name in ("file", "CSF_ml", "CSF_cm2", "notes")]
    assert columns == [names, ["1.00", "", "", ""], ["", "1.00", "2.00", "3.00"], ["odd", "", "", ""]]
    header, *lines = (line.split(",") for line in (tmp_path / "slices.csv").read_text().splitlines())
    assert header == tables.SLICES_COLUMNS
    assert [line[0] for line in lines] == names
    assert [line[4] for line in lines] == ["8.0", "100.0", "200.0", "300.0"]


@pytest.mark.parametrize("content", [b"mine,too\n1,2\n", b"\xff\xfe\x00", b"", b'file,slice\n"a'])
@pytest.mark.parametrize("name", ["tissue.csv", "slices.csv"])
def test_a_table_of_somebody_else_is_not_continued(content: bytes, name: str, tmp_path: Path) -> None:
    tables.write(tmp_path, [summary("b.png")], SETTINGS)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"holds {name} already"):
        predict_with(stand_in(), write_slices(tmp_path / "in", 1), tmp_path)
    assert (tmp_path / name).read_bytes() == content


def test_predictions_that_end_together_lose_no_line(tmp_path: Path) -> None:
    together = Barrier(6)

    def write(name: str) -> None:
        together.wait(60)
        for k in range(5):
            file = InputFile(Path(f"{name}-{k}.png"), f"{name}-{k}")
            record.write(tmp_path, file, record.Record("", SETTINGS, {}, summary(file.path.name)))
            assert Destination(tmp_path).write_tables([file], SETTINGS) == (1, None)

    with ThreadPoolExecutor(6) as pool:  # a lock is of an open file, so threads wait for each other as processes do
        list(pool.map(write, "abcdef"))
    expected = [f"{name}-{k}.png" for name in "abcdef" for k in range(5)]
    assert sorted(row["file"] for row in rows(tmp_path / "tissue.csv")) == expected
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert all(name in index for name in expected)
    written = {"tissue.csv", "slices.csv", "labels.tsv", "index.html"}
    assert {path.name for path in tmp_path.iterdir() if not path.name.endswith("_record.json")} == written


def test_a_disk_without_locks_has_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert predict_with(stand_in(), write_slices(tmp_path / "in", 1), tmp_path / "out") == (1, [])
    assert [row["file"] for row in rows(tmp_path / "out/tissue.csv")] == ["0.png"]
    assert "lies on a disk without locks (No locks available)" in capsys.readouterr().err


def test_labels_that_another_prediction_wrote_meanwhile_stay(tmp_path: Path) -> None:
    paths, theirs = write_slices(tmp_path / "in", 2), tmp_path / "out/0_labels.png"

    def meanwhile(frames: np.ndarray) -> Labels:
        write_png(theirs, np.zeros((3, 3), np.uint8))
        return by_grey(frames)

    done, problems = predict_with(stand_in(meanwhile), paths, tmp_path / "out")
    assert done == 1
    assert "0_labels.png already" in problems[0]
    assert read_grey(theirs).shape == (3, 3)
    assert [row["file"] for row in rows(tmp_path / "out/tissue.csv")] == ["1.png"]
