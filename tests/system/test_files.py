"""What is written appears whole under its own name, whatever the name, and leaves nothing behind."""

import csv
import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checked import present
from helpers import assert_mistake, blob, command, environ, write_tree

from oasis_jax import train
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.slices import write_png
from oasis_jax.evaluation.record import Metrics, read_record
from oasis_jax.prediction import images
from oasis_jax.report import tables
from oasis_jax.system import files
from oasis_jax.system.errors import explain

BAD = os.fsdecode(b"caf\xe9")
"""A name from an old zip file: Latin-1, so no UTF-8."""


def test_a_folder_that_is_not_replaced_after_all_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rename = tmp_path / "old one", Path.rename
    folder.mkdir()
    (folder / "scores").write_text("old")

    def interrupted(path: Path, target: Path) -> Path:
        if path.suffix == ".part":
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            files.atomic_folder(folder, lambda part: (part / "scores").write_text("new"), replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old one"]
    assert (folder / "scores").read_text() == "old"
    files.atomic_folder(folder, lambda part: (part / "scores").write_text("new"), replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old one"]
    assert (folder / "scores").read_text() == "new"


def test_a_file_that_is_not_complete_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Two containers may number their processes and threads alike."""
    parts: list[Path] = []

    def write(part: Path) -> None:
        parts.append(part)
        part.touch()

    for _ in range(2):
        files.atomic_write(tmp_path / "tissue.csv", write)
    assert parts[0] != parts[1]
    assert {part.suffix for part in parts} == {".csv"}
    assert [path.name for path in tmp_path.iterdir()] == ["tissue.csv"]


def test_errors_name_what_was_to_be_written_and_with_what_option_to_choose_another_place(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        (part / "deep" / "er").write_text("")

    for made, write in {
        tmp_path / "new" / "deep" / "er": lambda: files.atomic_folder(tmp_path / "new", fail),
        tmp_path / "nowhere" / "new.csv": lambda: files.write_text(tmp_path / "nowhere" / "new.csv", ""),
    }.items():
        with pytest.raises(OSError) as caught:  # noqa: PT011
            write()
        sentence, status = present(explain(caught.value))
        assert sentence.startswith(f"error: No such file or directory ({made}). Correct this or choose another place")
        assert status == 2


def test_names_that_are_no_utf_8_are_evaluated(finished: Path, tmp_path: Path) -> None:
    latin = tmp_path / f"tree {BAD}"
    try:
        latin.mkdir()
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    write_tree(latin, slices=8, cases={"train": ("1", "2"), "validate": ("3",), "test": (BAD, "9")})
    content = b"case,oasis_subject\n1,A\n2,B\n3,C\n9,D\ncaf\xe9,Ren\xe9 $x$\n"
    (latin / "subjects.csv").write_bytes(content)
    assert load_dataset(latin).subjects[BAD] == os.fsdecode(b"Ren\xe9 $x$")
    shutil.copytree(finished, run := tmp_path / "run")
    done = command("evaluate", run, "--data.root", latin)
    assert done.returncode == 0, done.stderr
    rows = (run / "evaluation/test/per_subject.csv").read_text(encoding="utf-8")
    assert r"Ren\xe9 $x$,8," in rows
    assert json.dumps(r"Ren\xe9 $x$") in (run / "evaluation/test/report.html").read_text(encoding="utf-8")


def test_names_that_are_no_utf_8_are_labelled(finished: Path, tmp_path: Path) -> None:
    image, _ = blob(np.random.default_rng(0))
    (tmp_path / "in").mkdir()
    for name in (f"{BAD}.png", "é.png"):
        write_png(tmp_path / "in" / name, image)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    line = [sys.executable, "-m", "oasis_jax.predict", finished, tmp_path / "in", "--output", tmp_path / "out"]
    done = subprocess.run(line, env=environ() | ascii_only, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / f"{BAD}_labels.png").is_file()
    with (tmp_path / "out" / "tissue.csv").open(encoding="utf-8", newline="") as file:
        assert sorted(row["file"] for row in csv.DictReader(file)) == [r"caf\xe9.png", "é.png"]


def test_names_in_tables_are_taken_literally(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = read_record(Metrics, finished / "evaluation/test/metrics.json")
    tables.console().print(tables.score_table(replace(metrics, data="a[bold]b[/x] :brain:")))
    assert "a[bold]b[/x] :brain:, test" in capsys.readouterr().out


def test_an_array_on_a_full_disk_says_so(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk; what fits is written first."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
        with pytest.raises(OSError, match="File too large") as caught:
            images._save_array(tmp_path / "a.npy", np.zeros(1 << 16, np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert explain(caught.value) is not None


def test_an_evaluation_that_cannot_be_written_is_shown(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, run := tmp_path / "run")
    shutil.rmtree(run / "evaluation")
    (run / "evaluation").touch()
    done = command("evaluate", run)
    assert_mistake(done, "error: Not a directory", str(run / "evaluation"))
    assert "hard, pooled over the split" in done.stdout
    assert "Tables and report" not in done.stdout


def test_the_place_of_data_has_one_word_with_two_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for word in ("--data-root=~/x", "--data.root=~/x"):
        assert train.parse([word]).config.data.root == tmp_path / "x"


def test_the_home_of_an_unknown_user_has_a_sentence_wherever_a_run_is_named(tmp_path: Path) -> None:
    for words in (("evaluate", "~nobody-x/run"), ("train", "--init", "~nobody-x/run"), ("data", "check", "~nobody-x")):
        assert_mistake(command(*words, cwd=tmp_path), "~nobody-x", "is in the home of an unknown user")
