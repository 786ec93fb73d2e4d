"""A model file gives back what was written, as float16, or one sentence."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oasis_jax.runs import weights
from oasis_jax.runs.weights import FILE, read_weights, write_weights
from oasis_jax.system.errors import UserError

ABOUT = {"config": {"name": "é <b>"}, "checkpoint": {"step": 7, "loss": 0.25}}

EXACT = np.arange(60, dtype=np.float32).reshape(3, 4, 5) / 7

ARRAYS = hnp.arrays(np.float32, hnp.array_shapes(max_dims=4, max_side=4), elements=st.floats(-65504, 65504, width=16))
TREES = st.recursive(
    ARRAYS, lambda inner: st.dictionaries(st.text("abc_0.", min_size=1, max_size=4), inner, min_size=1, max_size=3)
).filter(lambda tree: isinstance(tree, dict))


@given(TREES)
def test_numbers_of_float16_come_back_exactly(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("model") / FILE
    write_weights(path, ABOUT, tree)
    about, params = read_weights(path)
    assert about == ABOUT
    jax.tree.map(partial(np.testing.assert_array_equal, strict=True), params, tree)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_weights(tmp_path / FILE, ABOUT, {"conv": {"kernel": EXACT}})
    return tmp_path / FILE


def test_other_numbers_are_rounded_to_float16_and_those_beyond_it_refused(model: Path, tmp_path: Path) -> None:
    (kernel,) = read_weights(model)[1]["conv"].values()
    assert np.array_equal(kernel, EXACT.astype(np.float16))
    assert not np.array_equal(kernel, EXACT)
    with pytest.raises(UserError, match="conv/bias holds numbers beyond the range of float16"):
        write_weights(tmp_path / "new" / FILE, ABOUT, {"conv": {"bias": np.array([1, 7e4], np.float32)}})
    assert not (tmp_path / "new").exists()


def test_every_changed_byte_is_noticed(model: Path) -> None:
    sound = model.read_bytes()
    for at in range(len(sound)):
        changed = bytearray(sound)
        changed[at] ^= 1
        model.write_bytes(changed)
        with pytest.raises(UserError, match=r"is damaged .* get it again"):
            read_weights(model)
    for length in (0, 4, 20, len(sound) - 1):
        model.write_bytes(sound[:length])
        with pytest.raises(UserError, match="is damaged"):
            read_weights(model)


def test_a_file_of_another_format_names_both(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "SCHEMA", 2)
    with pytest.raises(UserError, match="has format 1, and this program reads 2"):
        read_weights(model)


def test_a_safetensors_file_of_others_is_no_model(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"a": np.zeros(1, np.float32)}, tmp_path / FILE)
    with pytest.raises(UserError, match="is damaged"):
        read_weights(tmp_path / FILE)
