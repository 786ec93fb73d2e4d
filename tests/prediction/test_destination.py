"""A second start labels only what is missing or changed, and never replaces what somebody made by hand."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_mistake, blob, brain, by_grey, command, finish, save, stand_in
from helpers import start as begin

from oasis_jax import predict
from oasis_jax.data.slices import write_png
from oasis_jax.inference.segment import Labels
from oasis_jax.prediction import record
from oasis_jax.system.errors import UserError

Start = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Start:
    """Label three volumes, `a`, `b` and `c`; returns the names of those that were labelled, and the problems."""
    paths = [save(tmp_path / f"{name}.nii", brain((37, 50, k + 4))[0]) for k, name in enumerate("abc")]

    def label(weights: float = 0.0, **options: Any) -> tuple[list[str], list[str]]:
        segmenter = stand_in()
        segmenter = replace(segmenter, ensemble=replace(segmenter.ensemble, params=({"w": np.full(1, weights)},)))
        monkeypatch.setattr(predict.Segmenter, "load", lambda *runs, **rest: segmenter)
        arguments = predict.Arguments(Path("run"), tuple(paths), tmp_path / "out", json=True, **options)
        capsys.readouterr()
        _, problems = predict.predict(segmenter.ensemble.runs[0], arguments)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return sorted(line["file"][0] for line in lines if line["state"] == "labelled"), problems

    assert label() == (["a", "b", "c"], [])
    return label


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "tissue.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_was_made_from_the_same_bytes_weights_and_options_is_not_made_again(start: Start, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("?_*")}
    assert start() == ([], [])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    save(tmp_path / "b.nii", brain((37, 50, 9))[0])
    assert start() == (["b"], [])
    (tmp_path / "out/c_overlay.png").unlink()
    assert start() == (["c"], [])
    assert start(all_heights=True) == (["a", "b", "c"], [])
    assert start(all_heights=True, weights=1.0) == (["a", "b", "c"], [])
    assert start(all_heights=True, weights=1.0, orientation="RAS") == (["a", "b", "c"], [])
    assert start(all_heights=True, weights=1.0, orientation="RAS", mirror=True) == (["a", "b", "c"], [])
    assert start(all_heights=True, weights=1.0, orientation="RAS", mirror=True) == ([], [])
    assert start(all_heights=True, weights=1.0, orientation="RAS", mirror=True, overwrite=True)[0] == ["a", "b", "c"]
    assert [row["slices"] for row in rows(tmp_path / "out")] == ["4", "9", "6"]


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
    assert "out/b_labels.nii.gz is not as the program wrote it: keep it elsewhere, or add --overwrite" in problem
    assert (tmp_path / "out/b_labels.nii.gz").read_bytes() == b"by hand"
    (tmp_path / "out/a_probabilities.nii.gz").write_bytes(b"mine")
    assert "a_probabilities.nii.gz is not as the program wrote it" in start(all_heights=True)[1][0]


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"input": "0"}', "\0"])
def test_results_without_a_record_are_refused(content: str | None, start: Start, tmp_path: Path) -> None:
    path = tmp_path / "out/b_record.json"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(UserError, match=r"out holds b_labels\.nii\.gz already and 2 more: .*--overwrite"):
        start()


def test_a_killed_call_is_continued_and_the_tables_have_all_rows(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, slices = rows(tmp_path / "out"), (tmp_path / "out/slices.csv").read_text()
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
    assert rows(tmp_path / "out") == before
    assert (tmp_path / "out/slices.csv").read_text() == slices


def test_a_png_slice_is_made_again_when_its_neighbour_changed(tmp_path: Path) -> None:
    paths = [tmp_path / f"case_1_slice_{k}.png" for k in range(3)]
    for k, path in enumerate(paths):
        write_png(path, blob(np.random.default_rng(k))[0])
    found = record.InputFile(paths[1], "x")
    assert record.seen(found, 0) == [paths[1]]
    alone, all_three = record.digest(record.seen(found, 0)), record.digest(record.seen(found, 1))
    write_png(paths[2], blob(np.random.default_rng(5))[0])
    assert record.digest(record.seen(found, 0)) == alone
    assert record.digest(record.seen(found, 1)) != all_three


def test_both_files_of_an_analyze_pair_count(tmp_path: Path) -> None:
    for name in ("a.hdr", "a.img"):
        (tmp_path / name).write_bytes(b"0")
    pair = record.InputFile(tmp_path / "a.hdr", "a")
    before = record.digest(record.seen(pair, 0))
    (tmp_path / "a.img").write_bytes(b"1")
    assert record.digest(record.seen(pair, 0)) != before


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 9])
def test_parts_label_each_file_once(
    parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(5):
        (tmp_path / "in").mkdir(exist_ok=True)
        write_png(tmp_path / f"in/{k}.png", blob(np.random.default_rng(k))[0])
    seen: list[int] = []

    def counting(frames: np.ndarray) -> Labels:
        seen.append(int(np.count_nonzero(frames.any((1, 2, 3)))))
        return by_grey(frames)

    segmenter = stand_in(counting)
    monkeypatch.setattr(predict.Segmenter, "load", lambda *runs, **rest: segmenter)
    sizes = []
    for number in range(1, parts + 1):
        words = predict.Arguments(Path("run"), (tmp_path / "in",), tmp_path / "out", part=f"{number}/{parts}")
        done, problems = predict.predict(segmenter.ensemble.runs[0], words)
        assert not problems
        sizes.append(done)
    assert sum(seen) == sum(sizes) == 5
    assert max(sizes) - min(sizes) <= 1
    assert [row["file"] for row in sorted(rows(tmp_path / "out"), key=str)] == [f"{k}.png" for k in range(5)]
    assert ("part 9/9 has none" in capsys.readouterr().err) == (parts == 9)


def test_only_the_first_part_tells_of_a_path_that_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(2):
        write_png(tmp_path / f"{k}.png", blob(np.random.default_rng(k))[0])
    segmenter, inputs = stand_in(), tuple(tmp_path / name for name in ("0.png", "1.png", "gone.png"))
    monkeypatch.setattr(predict.Segmenter, "load", lambda *runs, **rest: segmenter)
    told = []
    for part in ("1/2", "2/2"):
        words = predict.Arguments(Path("run"), inputs, tmp_path / "out", part=part)
        told.append(predict.predict(segmenter.ensemble.runs[0], words))
    assert told == [(1, [f"{inputs[2]} does not exist"]), (1, [])]


def test_jobs_that_label_parts_side_by_side_lose_no_row(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for k in range(4):
        write_png(tmp_path / f"in/{k}.png", blob(np.random.default_rng(k))[0])
    words = ("predict", finished, tmp_path / "in", "--output", tmp_path / "out", "--part")
    for job in [begin(*words, f"{number}/2") for number in (1, 2)]:
        done = finish(job)
        assert done.returncode == 0, done.stderr
    assert sorted(row["file"] for row in rows(tmp_path / "out")) == [f"{k}.png" for k in range(4)]
    assert len(list(tmp_path.glob("out/?_labels.png"))) == 4


@pytest.mark.parametrize("part", ["0/3", "4/3", "1", "1/0", "-1/2", "a/b", "1/2/3", "", "1.5/3", "²/3"])
def test_a_part_that_is_none_is_refused(part: str, finished: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", blob(np.random.default_rng(0))[0])
    done = command("predict", finished, tmp_path / "a.png", "--output", tmp_path / "out", f"--part={part}")
    assert_mistake(done, f"--part is {part} and must be i/n with i from 1 to n")
    assert not (tmp_path / "out").exists()


def test_json_has_a_line_for_each_input_and_nothing_else(finished: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", blob(np.random.default_rng(0))[0])
    (tmp_path / "broken.png").write_bytes(b"no image")
    words = ("predict", finished, tmp_path / "a.png", tmp_path / "broken.png", "--output", tmp_path / "out", "--json")
    for state in ("labelled", "labelled before"):
        done = command(*words)
        assert done.returncode == 1
        line, problem = map(json.loads, done.stdout.splitlines())
        assert (line["file"], line["state"], line["slices"]) == ("a.png", state, 1)
        assert Path(line["labels"]).is_file()
        (row,) = rows(tmp_path / "out")
        assert line["cm2"] == {
            name: float(row[f"{column}_cm2"])
            for name, column in (("CSF", "CSF"), ("GM", "gray_matter"), ("WM", "white_matter"))
        }
        assert "broken.png" in problem["error"]
