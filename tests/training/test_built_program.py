"""Training builds each part once and uses it to the end."""

import inspect
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from oasis_jax.config import Config, Data, Model, Train
from oasis_jax.data import batches
from oasis_jax.data.slices import Slice
from oasis_jax.training.setup import train


def test_the_evaluation_reads_no_slice_that_validation_read(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = batches.read_pair, Counter[Slice]()

    def counted(pair: Slice) -> batches.Pair:
        reads[pair] += 1
        return read(pair)

    monkeypatch.setattr(inspect.unwrap(batches.Source.__init__), "__defaults__", (counted,))
    settings = Config(run=tmp_path / "run", data=Data(root=tree, threads=1), model=Model(stem=1, crop=None))
    train(replace(settings, train=Train(steps=1, batch=4, evaluate="validate")))
    validated = [count for pair, count in reads.items() if "validate" in str(pair.image)]
    assert len(validated) > 1
    assert set(validated) == {1}
