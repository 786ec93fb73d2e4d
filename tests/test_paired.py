"""The paired comparison with the published table has the values that were worked out by hand."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import paired
import pytest
from helpers import REPOSITORY

from oasis_jax.system.errors import UserError

NAMES = ("background", "CSF", "gray matter", "white matter")
CASES = [str(case) for case in range(441, 449)]
THEIRS = np.tile([0.99, 0.80, 0.90, 0.70], (8, 1))
STEPS = np.arange(1, 9) / 100  # 0.01 to 0.08: their mean is 0.045
SIGNS = np.tile([1, -1], 4)
OURS = THEIRS + np.column_stack([np.zeros(8), STEPS, -STEPS, STEPS * SIGNS])


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    """The folder of an evaluation, with the published table beside it."""
    published = [",".join([case, *map(str, row)]) for case, row in zip(CASES, THEIRS, strict=True)]
    (tmp_path / "published.csv").write_text("\n".join([",".join(["case", *NAMES]), *published]) + "\n")
    folder = tmp_path / "test"
    folder.mkdir()
    ours = [
        f"{case},32,{name},{score:.6f},0.5"
        for case, row in zip(CASES, OURS, strict=True)
        for name, score in zip(NAMES, row, strict=True)
    ]
    (folder / "per_subject.csv").write_text("\n".join(["subject,slices,class,hard_dice,jaccard", *ours]) + "\n")
    return folder


def compared(evaluation: Path) -> list[list[str]]:
    published = paired.read_published(evaluation.parent / "published.csv")
    return paired.rows(*paired.paired(paired.read_ours(evaluation), published))


def test_means_differences_and_p_are_those_worked_out_by_hand(evaluation: Path) -> None:
    rows = compared(evaluation)
    # Differences of one sign have p = 2 / 2^8 = 0.0078. Of white matter, the ranks 1, 3, 5, 7 add up to 16: 216 of the
    # 256 patterns of signs are as far from 18, so p = 0.84; the foreground mean has the same ranks. Holm multiplies the
    # smallest by 5 (0.039), the second is no smaller, and the others reach 1.
    assert [[*row[:4], row[5]] for row in rows] == [
        ["background", "0.9900", "0.9900", "+0.0000", "1"],
        ["CSF", "0.8450", "0.8000", "+0.0450", "0.039"],
        ["gray matter", "0.8550", "0.9000", "-0.0450", "0.039"],
        ["white matter", "0.6950", "0.7000", "-0.0050", "1"],
        ["foreground mean", "0.7983", "0.8000", "-0.0017", "1"],
    ]
    # The mean of 8 draws from 0.01 to 0.08 has the standard error 0.0229 / 8**0.5 = 0.0081, so 1.96 of it is 0.016.
    ends = [float(end) for end in rows[1][4].split(" to ")]
    assert ends == pytest.approx([0.029, 0.061], abs=0.002)


def test_the_same_difference_of_all_subjects_is_both_ends_of_the_interval() -> None:
    theirs = np.random.default_rng(0).random((9, 5))
    assert [row[4] for row in paired.rows(theirs - 0.02, theirs)] == ["-0.0200 to -0.0200"] * 5


def test_few_subjects_have_neither_interval_nor_p() -> None:
    scores = np.ones((7, 5))
    assert paired.rows(scores, scores)[0] == ["background", "1.0000", "1.0000", "+0.0000", "-", "-"]


def test_the_published_table_has_the_test_cases_of_oasis() -> None:
    table = paired.read_published(REPOSITORY / "benchmarks/published_dice.csv")
    assert list(table) == [str(case) for case in range(441, 458)]


def test_the_command_prints_the_table_and_names_mistakes(evaluation: Path) -> None:
    command = [sys.executable, REPOSITORY / "benchmarks/paired.py", evaluation]
    command += ["--published", evaluation.parent / "published.csv"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    right = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert right.returncode == 0, right.stderr
    assert "Mean of hard Dice over 8 subjects." in right.stdout
    assert "| background | 0.9900 | 0.9900 | +0.0000 | +0.0000 to +0.0000 | 1 |" in right.stdout
    with (evaluation.parent / "published.csv").open("a") as file:
        file.write("449,1,1,1,1\n450,1,1,1,1\n")
    wrong = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "error: Subject 449 is in the published table and not in the evaluation (and 1 more): " in wrong.stderr
    assert wrong.stderr.count("\n") == 1


def test_a_table_that_lacks_something_is_named(evaluation: Path) -> None:
    file = evaluation / "per_subject.csv"
    text = file.read_text()
    for wrong, sentence in (
        (text.replace("441,32,CSF,0.810000", "441,32,CSF,"), "no hard Dice of CSF for subject 441"),
        (text.replace("hard_dice", "soft_dice"), "no column hard_dice"),
        (text.splitlines()[0], "no subject"),
    ):
        file.write_text(wrong)
        with pytest.raises(UserError, match=sentence):
            paired.read_ours(evaluation)
    file.unlink()
    with pytest.raises(UserError, match="does not exist"):
        paired.read_ours(evaluation)
