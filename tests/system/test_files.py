"""What is written appears whole under its own name, whatever the name, and leaves nothing behind."""

import csv
import errno
import fcntl
import json
import os
import resource
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_mistake, blob, command, launch, write_tree

from oasis_jax import train
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.slices import folders, write_png
from oasis_jax.evaluation.record import Metrics, read_record
from oasis_jax.prediction import outputs
from oasis_jax.prediction.summary import FileSummary, SliceSummary
from oasis_jax.report import tables
from oasis_jax.runs.checkpoints import Checkpoints
from oasis_jax.system import files
from oasis_jax.system.errors import UserError, explain
from oasis_jax.training.optimizer import TrainState

BAD = os.fsdecode(b"caf\xe9")
"""A name from an old zip file: Latin-1, so no UTF-8."""


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    dead, young, living, stranger = (tmp_path / f".new.{n}.part" for n in range(4))
    for folder in (dead, young, living, stranger):
        folder.mkdir()
        (folder / "slice.png").touch()
    for folder in (dead, young, living):
        (folder / files._LOCK).touch()
    hour_ago = time.time() - 3600
    for folder in (dead, living):
        os.utime(folder / files._LOCK, (hour_ago, hour_ago))
    with (living / files._LOCK).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        files.atomic_folder(tmp_path / "new", lambda part: (part / "a").touch())
    assert sorted(path.name for path in tmp_path.iterdir()) == [*(f.name for f in (young, living, stranger)), "new"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]


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
    # A process that is killed at that moment puts nothing back; the next one does.
    folder.rename(tmp_path / ".old one.0123abcd.old")
    with pytest.raises(ZeroDivisionError):
        files.atomic_folder(folder, lambda part: 1 / 0, replace=True)
    assert (folder / "scores").read_text() == "old"
    files.atomic_folder(folder, lambda part: (part / "scores").write_text("new"), replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old one"]
    assert (folder / "scores").read_text() == "new"


def test_a_folder_is_locked_while_it_is_filled(tmp_path: Path) -> None:
    def fill(part: Path) -> None:
        with (part / files._LOCK).open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    files.atomic_folder(tmp_path / "new", fill)


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


def test_errors_name_what_was_to_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def fail(part: Path) -> None:
        (part / "deep" / "er").write_text("")

    def message(error: OSError) -> str:
        explanation = explain(error)
        assert explanation is not None
        return explanation[0]

    with pytest.raises(OSError) as caught:  # noqa: PT011
        files.atomic_folder(tmp_path / "new", fail)
    assert f"({tmp_path / 'new' / 'deep' / 'er'})" in message(caught.value)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        files.atomic_folder(tmp_path / "file" / "new", fail)
    assert any(f"({path})" in message(caught.value) for path in (tmp_path / "file" / "new", tmp_path / "file"))
    with pytest.raises(OSError) as caught:  # noqa: PT011
        files.write_text(tmp_path / "nowhere" / "new.csv", "")
    assert f"({tmp_path / 'nowhere' / 'new.csv'})" in message(caught.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_who_may_not_write_hears_where_and_with_what_option_to_choose(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where runs go that are not named
    explanation = explain(OSError(number, os.strerror(number), "runs"))
    assert explanation is not None
    assert f"with --run (train) or --output (other commands) ({tmp_path / 'runs'})." in explanation[0]


def test_text_with_any_name_is_utf_8(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a.csv", files.csv_text(["file"], [[f"{BAD}.png"], ["é.png"]]))
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines() == ["file", r"caf\xe9.png", "é.png"]


@pytest.fixture
def latin(tmp_path: Path) -> Path:
    """A tree under a name that is no UTF-8, with a subject of such a name."""
    root = tmp_path / f"tree {BAD}"
    try:
        root.mkdir()
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    write_tree(root, slices=8, cases={"train": ("1", "2"), "validate": ("3",), "test": (BAD, "9")})
    return root


PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A system that knows ASCII only."""


def test_names_that_are_no_utf_8_are_evaluated(latin: Path, finished: Path, tmp_path: Path) -> None:
    content = b"case,oasis_subject\n1,A\n2,B\n3,C\n9,D\ncaf\xe9,Ren\xe9 $x$\n"
    (latin / "subjects.csv").write_bytes(content)
    assert load_dataset(latin).subjects[BAD] == os.fsdecode(b"Ren\xe9 $x$")
    shutil.copytree(finished, run := tmp_path / "run")
    done = command("evaluate", run, "--data.root", latin)
    assert done.returncode == 0, done.stderr
    rows = (run / "evaluation/test/per_subject.csv").read_text(encoding="utf-8")
    assert r"Ren\xe9 $x$,8," in rows
    assert json.dumps(r"Ren\xe9 $x$") in (run / "evaluation/test/report.html").read_text(encoding="utf-8")


def test_a_fingerprint_does_not_depend_on_the_locale(latin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = launch("data", "check", latin)
    assert first.returncode == 0, first.stderr
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    second = launch("data", "check", latin)
    assert second.returncode == 0, second.stderr
    assert first.stdout.splitlines()[:3] == second.stdout.splitlines()[:3]


def test_names_that_are_no_utf_8_are_labelled(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = blob(np.random.default_rng(0))
    (tmp_path / "in").mkdir()
    for name in (f"{BAD}.png", "é.png"):
        write_png(tmp_path / "in" / name, image)
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    done = launch("predict", finished, tmp_path / "in", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / f"{BAD}_labels.png").is_file()
    with (tmp_path / "out" / "tissue.csv").open(encoding="utf-8", newline="") as file:
        assert sorted(row["file"] for row in csv.DictReader(file)) == [r"caf\xe9.png", "é.png"]


def test_names_in_tables_are_taken_literally(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = read_record(Metrics, finished / "evaluation/test/metrics.json")
    tables.console().print(tables.score_table(replace(metrics, data="a[bold]b[/x] :brain:")))
    assert "a[bold]b[/x] :brain:, test" in capsys.readouterr().out


def summary(file: str, area: float) -> FileSummary:
    return FileSummary(file, [SliceSummary(0, None, None, False, 0.9, (area, area, area))], None, True, ())


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row[:2] + row[-2:] for row in list(csv.reader(file))[1:]]


def test_tables_keep_the_lines_of_files_labelled_before(tmp_path: Path) -> None:
    assert outputs.write_tables(tmp_path, [summary(f"{BAD}.png", 100.0), summary("b.png", 200.0)]) == []
    before = rows(tmp_path / "slices.csv")
    assert outputs.write_tables(tmp_path, [summary("b.png", 300.0), summary("c.png", 400.0)]) == []
    assert [row[0] for row in rows(tmp_path / "tissue.csv")] == [r"caf\xe9.png", "b.png", "c.png"]
    after = rows(tmp_path / "slices.csv")
    assert after[0] == before[0]
    assert [row[-1] for row in after] == ["100.0", "300.0", "400.0"]
    outputs.write_tables(tmp_path, [summary(f"{BAD}.png", 500.0)])
    assert [row[0] for row in rows(tmp_path / "slices.csv")] == ["b.png", "c.png", r"caf\xe9.png"]


@pytest.mark.parametrize("content", [b"mine,too\n1,2\n", b"\xff\xfe\x00", b"", b'file,slice\n"a'])
def test_a_table_that_is_another_is_kept_aside(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "tissue.csv").write_bytes(content)
    (sentence,) = outputs.write_tables(tmp_path, [summary("a.png", 1.0)])
    assert "tissue.csv held something else than its table, which is now called old-tissue.csv" in sentence
    assert (tmp_path / "old-tissue.csv").read_bytes() == content
    assert [row[0] for row in rows(tmp_path / "tissue.csv")] == ["a.png"]


def test_an_array_on_a_full_disk_says_so(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk; what fits is written first."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
        with pytest.raises(OSError, match="File too large") as caught:
            outputs._save_array(tmp_path / "a.npy", np.zeros(1 << 16, np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert explain(caught.value) is not None


def test_an_evaluation_that_cannot_be_written_is_shown(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, run := tmp_path / "run")
    shutil.rmtree(run / "evaluation")
    (run / "evaluation").touch()
    done = command("evaluate", run)
    assert_mistake(done, "A file is in the way of a folder", str(run / "evaluation"))
    assert "hard, pooled over the split" in done.stdout
    assert "Tables and report" not in done.stdout


def test_data_that_moved_is_answered_with_the_option(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, run := tmp_path / "run")
    content = json.loads((run / "config.json").read_text())
    content["config"]["data"]["root"] = str(tmp_path / "gone")
    (run / "config.json").write_text(json.dumps(content))
    assert_mistake(command("evaluate", run), f"{tmp_path / 'gone'} is not a folder", "--data-root")


def test_the_place_of_data_has_one_word_with_two_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for word in ("--data-root=~/x", "--data.root=~/x"):
        assert train.parse([word]).config.data.root == tmp_path / "x"


def test_the_home_of_an_unknown_user_has_a_sentence_wherever_a_run_is_named(tmp_path: Path) -> None:
    for words in (("evaluate", "~nobody-x/run"), ("train", "--init", "~nobody-x/run"), ("data", "check", "~nobody-x")):
        assert_mistake(command(*words, cwd=tmp_path), "~nobody-x", "is in the home of an unknown user")


def test_a_check_of_no_split_has_a_sentence(tree: Path) -> None:
    assert_mistake(command("data", "check", tree, "--splits"), "Name at least one split after --splits")


def arrays(dtype: Any, **more: Any) -> TrainState:
    return TrainState(jnp.int32(3), {"a": np.ones((2, 3), dtype), **more}, {"m": np.zeros(2, np.float32)})


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (arrays(np.float16), "params['a'] is float32 (2, 3), not float16 (2, 3)"),
        (arrays(np.float32, b=np.ones(1, np.float32)), "params['b'] is absent, not float32 (1,)"),
    ],
)
def test_a_checkpoint_of_other_arrays_is_not_called_damaged(asked: TrainState, says: str, tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(arrays(np.float32), 1.0)
    sentences: list[str] = []
    with pytest.raises(UserError) as caught:
        Checkpoints(tmp_path).restore_latest(asked, sentences.append)
    assert says in str(caught.value)
    assert "damaged" not in str(caught.value)
    assert not sentences
    assert [info.step for info in Checkpoints(tmp_path).sound] == [3]


def test_a_subject_is_found_in_the_table_by_a_name_that_is_no_utf_8(latin: Path) -> None:
    (latin / "subjects.csv").write_bytes(b"case,oasis_subject\n1,A\n2,A\n3,C\n9,A\ncaf\xe9,E\n")
    with pytest.raises(UserError, match="A: train, test"):
        load_dataset(latin)
    assert [path.name for path in folders(latin, "test")[0].glob(f"case_{BAD}_slice_0*")]
