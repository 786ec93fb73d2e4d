"""Opening the data of a config, which decides on the spacing."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers import write_tree

from oasis_jax.config import Config, Data
from oasis_jax.data.open import open_data
from oasis_jax.geometry import Cut, Spacing, write_cut


def spacing(settings: Config) -> Spacing | None:
    (mm,) = set(open_data(settings, ("test",)).spacing.values())
    return mm


def test_the_spacing_in_a_tree_takes_precedence_over_the_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Config(data=Data(root=write_tree(tmp_path / "tree"), spacing_mm=(2.0, 2.0, None)))
    assert spacing(settings) == (2.0, 2.0, None)
    assert spacing(replace(settings, data=replace(settings.data, spacing_mm=None))) is None
    write_cut(tmp_path / "tree", Cut(spacing=(0.9, 0.9, 3.0)))
    usual = replace(settings, data=replace(settings.data, spacing_mm=Data().spacing_mm))
    assert spacing(usual) == (0.9, 0.9, 3.0)
    assert "Note" not in capsys.readouterr().err  # nobody asked for another one
    assert spacing(settings) == (0.9, 0.9, 3.0)
    note = " ".join(capsys.readouterr().err.split())
    assert "its pixels are 0.9 0.9 3.0 mm" in note
    assert "data.spacing_mm is not used" in note
