"""A run that an earlier version wrote is restored, evaluated and resumed as that version would have done it.

`run_of_version_0.1.0.tar.gz` was stopped after step 4 of 6; its `metrics.jsonl` also holds what that version found
afterwards: it was trained on `write_tree(..., slices=4)` with Python 3.11 and jax 0.10.2.
"""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from helpers import command, write_tree

from oasis_jax import __version__
from oasis_jax.runs.folder import Run
from oasis_jax.system.errors import UserError

ARCHIVE = Path(__file__).parent / "run_of_version_0.1.0.tar.gz"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    write_tree(tmp_path / "tree", slices=4)
    return tmp_path / "run"


def rows(run: Path, kind: str) -> dict[int, dict[str, Any]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line for line in lines if line["kind"] == kind}


def test_a_setting_of_another_version_is_no_damage(old: Path) -> None:
    file = old / "config.json"
    content = json.loads(file.read_text())
    content["config"]["data"]["sharpness"] = 1
    content["provenance"]["versions"]["oasis_jax"] = "99.0"
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"written by oasis_jax 99\.0 .*no setting data\.sharpness.*use that version"):
        Run.load(old)
    content["provenance"]["versions"]["oasis_jax"] = __version__
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"damaged .*no setting data\.sharpness"):
        Run.load(old)


def test_it_evaluates_to_the_same_numbers(old: Path) -> None:
    done = command("evaluate", old, "--data-root", old.parent / "tree", "--split", "validate")
    assert done.returncode == 0, done.stderr
    scores = json.loads((old / "evaluation/validate/metrics.json").read_text())["scores"]
    wanted = rows(old, "validate")[4]
    assert list(scores["hard_dice_pooled"].values())[:4] == pytest.approx(wanted["hard_dice"], abs=1e-3)
    assert list(scores["soft_dice_per_slice"].values())[:4] == pytest.approx(wanted["soft_dice"], abs=1e-5)


def test_it_goes_on_where_it_stood(old: Path) -> None:
    before = {kind: rows(old, kind) for kind in ("train", "validate")}
    words = ("--model.stem", "1", "--model.crop", "None", "--train.batch", "4", "--train.epochs", "3")
    words += ("--augment.mirror", "--augment.gamma", "0.2", "--model.dropout", "0.3", "--train.evaluate", "validate")
    done = command("train", "--data.root", old.parent / "tree", "--run", old, *words)
    assert done.returncode == 0, done.stderr
    assert "after step 4 of 6" in done.stderr
    for kind, wanted in before.items():
        for step, row in rows(old, kind).items():
            assert row["loss"] == pytest.approx(wanted[step]["loss"], abs=1e-4)
    assert set(rows(old, "train")) == set(range(1, 7))
