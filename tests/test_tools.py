"""The table of tools. Stand-ins label made-up scans, and every figure is worked out by hand."""

import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tool_scans
import tools
from helpers import save
from scipy import io
from tool_tables import UNCOUNTED, Labelled, paired_row
from tools import LABELS, Tool

from oasis_jax.system.errors import UserError

FAST = [0, 0, 1, 1, 2, 2, 3, 3]
EXPERTS = [0, 0, 1, 2, 2, 2, 3, 1]
ANSWERS = ([0, 1, 1, 1, 2, 3, 3, 3], FAST)
"""What the stand-in says of the two scans of a person."""

Printed = Callable[..., tuple[list[list[str]], str]]
"""Runs the command with options; returns the rows of its tables, and all that it prints."""

COPY = "import shutil, sys; shutil.copy(*sys.argv[1:])"
OURS = Tool("ours", "", ("numpy",), ("-c", COPY, "{mask}", LABELS))
OTHER = Tool("other", "", ("numpy",), ("-c", COPY, "{image}.answer.nii.gz", LABELS), ": a note")
MASKER = Tool("masker", "", ("numpy",), ("-c", COPY, "{image}.brain.nii.gz", LABELS))


def write(path: Path, voxels: list[int], shape: tuple[int, int, int] = (2, 2, 2)) -> Path:
    """A file of voxels of 1 ml."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, np.array(voxels, np.uint8).reshape(shape), (10, 10, 10))


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two scans of a person. Stand-ins take the place of all tools: ours says what FAST says, one is not installed."""
    for case, answer in zip(("1", "2"), ANSWERS, strict=True):
        image = write(tmp_path / "scans/person" / case / "SS.nii.gz", [0] * 8)
        write(image.with_name("tissues.nii.gz"), FAST)
        write(image.with_name("classified.nii.gz"), EXPERTS)
        write(image.with_name("SS.nii.gz.answer.nii.gz"), answer)
    monkeypatch.setattr(tools, "OURS", OURS)
    monkeypatch.setattr(tools, "OTHERS", (OTHER, OTHER._replace(name="absent", environment="absent")))
    monkeypatch.setattr(tools, "MASKER", MASKER._replace(environment="absent"))
    return tmp_path / "scans"


@pytest.fixture
def printed(scans: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Printed:
    def run(*options: str) -> tuple[list[list[str]], str]:
        folders = [str(scans.parent / name) for name in ("environments", "scans", "output")]
        monkeypatch.setattr(sys, "argv", ["tools.py", *folders[:2], "--output", folders[2], *options])
        tools.main()
        text = capsys.readouterr().out
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
        return lines, text

    return run


def test_the_scores_of_each_tool_are_pooled_over_scans_and_compared_with_ours(printed: Printed) -> None:
    rows, text = printed()
    other = next(row for row in rows if row[0].startswith("other"))
    assert other[0] == f"other (numpy {np.__version__}): a note"
    assert other[1] == "-"
    assert other[2:5] == ["0.889", "0.857", "0.889"]  # 2*4/(5+4), 2*3/(3+4), 2*4/(5+4)
    assert other[5:7] == ["0.667", "0.571"]  # 2*3/(3+6), 2*2/(5+2)
    assert other[7] == "0.500"  # of the ventricles, 2 of 4 voxels
    assert other[8] == "0.077"  # 1 voxel of 13
    assert other[9] == "CSF 1.0 (40.0)<br>GM 1.0 (66.7)<br>WM 1.0 (40.0)"  # 3 and 2, 1 and 2, 3 and 2 ml
    assert int(other[10]) < 60
    assert 1 < int(other[11]) < 100  # that of a small Python, not of this one
    fast = next(row for row in rows if row[0].startswith("FSL FAST"))
    assert fast[2:9] == ["1.000", "1.000", "1.000", "0.800", "0.667", "0.500", "0.000"]
    assert fast[9:] == ["CSF 0.0 (0.0)<br>GM 0.0 (0.0)<br>WM 0.0 (0.0)", "-", "-"]
    ours = next(row for row in rows if row[0].startswith("ours (pretrained"))
    assert ours[1:9] == ["brain mask", *fast[2:9]]
    assert "left out: absent, masker." in text
    assert rows[-8:-4] == [
        ["---"] * 5,
        ["other", "FAST", "+0.111", "+0.143", "+0.111"],
        ["other", "experts", "-", "+0.133", "+0.095"],
        ["FAST", "experts", "-", "+0.000", "+0.000"],
    ]
    same = "0.800, 0.667"  # 2*2/(2+3), 2*1/(2+1)
    assert rows[-2:] == [["person 1", same, "0.500, 0.500", same], ["person 2", same, same, same]]


def test_a_fifth_is_that_of_the_heights_that_fast_labels(tmp_path: Path) -> None:
    labels = np.zeros((1, 12, 2), np.uint8)
    labels[0, 1:11] = np.arange(20).reshape(10, 2) % 3 + 1
    downward = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(labels, downward), tmp_path / "tissues.nii.gz")  # type: ignore[attr-defined]
    parts = tool_scans.fifths(tmp_path / "tissues.nii.gz")
    for k, part in enumerate(parts.values()):
        (planes,) = np.nonzero((part != UNCOUNTED).any((0, 2)))
        assert planes.tolist() == [9 - 2 * k, 10 - 2 * k]
        assert np.array_equal(part[:, planes], labels[:, planes])


def test_eight_people_get_an_interval_and_a_test() -> None:
    def run(person: int, wrong: int) -> Labelled:
        counts = np.diag([0, 10, 10, 10])
        counts[2, 2:] = 10 - wrong, wrong  # gray matter that is called white
        return Labelled(str(person), "", 1.0, {"FAST": counts, "experts": counts}, {})

    ours, theirs = ([run(person, wrong * (person + 1)) for person in range(8)] for wrong in (0, 1))
    csf, gray, _ = paired_row("other", "FAST", ours, theirs)[2:]
    assert csf == "+0.000<br>+0.000 to +0.000<br>p 1"
    assert gray.startswith("+0.290<br>+0.")  # 1 - 2*44/(44+80)
    assert gray.endswith("<br>p 0.023")  # 2/2^8, times 3
    assert paired_row("other", "experts", ours, theirs)[3].endswith("<br>p 0.016")  # times 2


def test_a_table_that_was_stopped_goes_on(printed: Printed, scans: Path) -> None:
    answer = scans / "person/2/SS.nii.gz.answer.nii.gz"
    held = answer.read_bytes()
    answer.unlink()
    with pytest.raises(UserError, match=r"other could not label .*person/2/SS.nii.gz: .*No such file"):
        printed()
    answer.write_bytes(held)
    (scans / "person/1/SS.nii.gz.answer.nii.gz").unlink()  # it was copied before
    rows, _ = printed()
    assert rows[3][2:5] == ["0.889", "0.857", "0.889"]


def test_colin27_is_scored_in_the_whole_and_above_the_brain_stem(
    printed: Printed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def volume(lowest: list[int], upper: list[int]) -> np.ndarray:
        return np.stack([np.array(lowest)] + 44 * [np.zeros(4, int)] + [np.array(upper)], -1)[None]

    image, labels = tmp_path / "ch2.nii.gz", tmp_path / "colin.mat"
    io.savemat(labels, {"colin27": volume([4, 5, 0, 1], [3, 6, 4, 5])})
    for name, values in {
        "": volume([0] * 4, [0] * 4),
        ".answer.nii.gz": volume([2, 2, 0, 0], [1, 1, 2, 3]),
        ".brain.nii.gz": volume([1, 1, 0, 0], [1] * 4),
    }.items():
        write(image.with_name(image.name + name), values.ravel().tolist(), (1, 4, 46))
    monkeypatch.setattr(tools, "MASKER", MASKER)
    rows, text = printed("--colin", str(image), str(labels))
    ours, other, masked = rows[-3:]
    assert other[1:5] == ["-", "0.667", "0.800", "0.667"]  # 2*1/(2+1), 2*2/(3+2), 2*1/(1+2)
    assert other[5:9] == ["0.667", "1.000", "1.000", "0.167"]  # outside the brain: 1 voxel of 6
    assert ours[1:4] == ["true", "0.333", "0.000"]  # the mask has the value of CSF: 2*1/(5+1)
    assert masked[1:3] == ["masker", "0.286"]  # 2*1/(6+1)
    assert "has Dice 0.909 with the true one" in text  # 2*5/(6+5)
