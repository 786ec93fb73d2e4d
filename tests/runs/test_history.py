"""Lines of `metrics.jsonl` come back as they were; those that a crash or an older version left are borne."""

import json
from pathlib import Path

from oasis_jax.runs import history
from oasis_jax.runs.history import Row, Training, Validation

FOUR = (0.5, None, 0.25, 0.125)
ROWS = [
    Row(1, Training(gradient_norm=2.0, loss=1.5, learning_rate=1e-4)),
    Row(4, Validation(loss=1.25, soft_dice=(0.5,) * 4, hard_dice=FOUR, jaccard=FOUR, precision=FOUR, recall=FOUR)),
    Row(5, Training(gradient_norm=1.0, loss=1.0, learning_rate=1e-5)),
]


def test_rows_come_back_up_to_a_step(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    assert history.read(file) == []
    file.write_text("".join(row.line() + "\n" for row in ROWS))
    assert history.read(file) == ROWS
    assert history.read(file, 4) == ROWS[:2]
    assert list(json.loads(ROWS[0].line())) == ["step", "kind", "gradient_norm", "loss", "learning_rate"]


def test_damaged_lines_are_left_out_and_older_ones_are_read(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    damaged = [ROWS[0].line()[:20], "[]", "3", "{}", '{"kind": "train"}', ROWS[0].line().replace("1.5", "NaN")]
    damaged += [ROWS[0].line().replace("train", "test"), "\ufffd", '{"step": 1, "kind": [], "loss": 1}']
    older = {"step": 2, "kind": "validate", "loss": 1.0, "soft_dice": [0.5] * 4, "hard_dice": [0.5] * 4}
    file.write_text("\n".join([*damaged, json.dumps(older)]))
    assert history.read(file) == [Row(2, Validation(loss=1.0, soft_dice=(0.5,) * 4, hard_dice=(0.5,) * 4))]
