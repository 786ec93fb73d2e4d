"""The paired comparison with the published table has the values that were worked out by hand."""

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


def write(path: Path, scores: np.ndarray) -> Path:
    lines = [
        f"{case},{name},{score:.6f},0.5"
        for case, row in zip(CASES, scores, strict=True)
        for name, score in zip(NAMES, row, strict=True)
    ]
    path.write_text("\n".join(["subject,class,hard_dice,jaccard", *lines]) + "\n")
    return path


def test_the_command_prints_what_was_worked_out_by_hand_and_names_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "per_subject.csv", OURS)
    published = write(tmp_path / "published.csv", THEIRS)
    monkeypatch.setattr(sys, "argv", ["paired.py", str(tmp_path), "--published", str(published)])
    paired.main()
    text = capsys.readouterr().out
    assert "Mean of hard Dice over 8 subjects." in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()[-5:]]
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
    right = published.read_text()
    for wrong, sentence in (
        (f"{right}449,CSF,1\n", "CSF of subject 449 is in the published table and not in the evaluation"),
        (right.replace("0.800000", "", 1), "published.csv is not a table"),
        (right.replace("hard_dice", "soft_dice"), "published.csv is not a table"),
    ):
        published.write_text(wrong)
        with pytest.raises(UserError, match=sentence):
            paired.main()
    published.unlink()
    with pytest.raises(UserError, match="is not a table"):
        paired.main()


def test_few_subjects_have_neither_interval_nor_p() -> None:
    scores = np.ones((7, 5))
    assert paired.rows(scores, scores)[0] == ["background", "1.0000", "1.0000", "+0.0000", "-", "-"]


def test_the_published_table_has_the_test_cases_of_oasis() -> None:
    table = paired.read(REPOSITORY / "benchmarks/published_dice.csv")
    assert set(table) == {(str(case), name) for case in range(441, 458) for name in NAMES}
