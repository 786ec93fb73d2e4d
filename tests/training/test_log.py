"""The log of a run where a class is absent from all slices of a validation."""

from pathlib import Path

import numpy as np
import pytest
from helpers import create_run

from oasis_jax.config import Config
from oasis_jax.runs import history
from oasis_jax.runs.history import Validation
from oasis_jax.training.log import Log


def test_a_validation_without_a_class_is_written_drawn_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create_run(Config(run=tmp_path / "run"), {})
    overlap = dict.fromkeys(("hard_dice", "jaccard", "precision", "recall"), (0.99, 0.5, 0.25, None))
    absent = Validation(loss=0.5, soft_dice=(0.9, 0.5, 0.25, 0.0), **overlap)
    with Log(run, 0, 4) as log:
        log.validation(4, absent, np.zeros((8, 24, 3), np.uint8))
    assert "Step 4: validate 0.500, Dice CSF/GM/WM .500/.250/-" in capsys.readouterr().err
    assert [row.numbers for row in history.read(run.metrics)] == [absent]
    assert run.curves.is_file()
