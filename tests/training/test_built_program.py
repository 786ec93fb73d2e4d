"""Training builds each part once and uses it to the end."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jax
import pytest

from oasis_jax.config import Config, Data, Model, Optim, Train
from oasis_jax.data import batches
from oasis_jax.data.open import open_data
from oasis_jax.network import unet
from oasis_jax.runs.checkpoints import CheckpointInfo
from oasis_jax.system import sharding
from oasis_jax.training import program
from oasis_jax.training.setup import show_scores, train

SMALL = Model(stem=2, levels=3, crop=None)


def build(root: Path, train: Train, **optim: Any) -> Any:
    settings = Config(data=Data(root=root, threads=1), model=SMALL, optim=Optim(**optim), train=replace(train, batch=4))
    tree = open_data(settings.data, ("train", "validate"))
    return program.build(settings, tree, unet.network(SMALL), sharding.make_mesh(4))


def test_another_learning_rate_length_or_seed_needs_no_other_compiled_program(tree: Path) -> None:
    def lowered(train: Train, **optim: Any) -> list[str]:
        built = build(tree, train, **optim)
        state = jax.eval_shape(built.begin, built.init_key)
        step = built.train_step.lower(state, next(built.batches(0)), built.step_key, built.rate(0))
        return [built.begin.lower(built.init_key).as_text(), step.as_text()]

    first = lowered(Train())
    assert lowered(Train(steps=99, seed=7), learning_rate=1e-5, schedule="exponential") == first
    assert lowered(Train(), weight_decay=0.5) != first


def test_a_run_can_be_counted_in_steps(tree: Path) -> None:
    built = build(tree, Train(steps=6, validate_every=4))
    assert [step for step in range(8) if built.is_due(step)] == [4, 6]
    rates = [float(built.rate(step)) for step in range(6)]
    assert max(rates) > 10 * rates[-1]  # the cycle ends with the steps


@pytest.mark.parametrize(("patience", "over"), [(None, [20]), (1, [*range(12, 21)]), (2, [*range(16, 21)])])
def test_patience_counts_the_validations_without_a_lower_loss(
    patience: int | None, over: list[int], tree: Path
) -> None:
    built = build(tree, Train(steps=20, validate_every=4, patience=patience))
    assert [step for step in range(8, 21) if built.is_over(step, CheckpointInfo(8, 0.3, {}))] == over
    assert not built.is_over(8, None)


def test_the_evaluation_reads_no_slice_that_validation_read(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Mock(wraps=batches.read_pair)
    monkeypatch.setattr(batches, "read_pair", read)
    last = Train(steps=1, batch=4, evaluate="validate")
    show_scores(train(Config(run=tmp_path / "run", data=Data(root=tree, threads=1), model=SMALL, train=last)))
    validated = [pair for (pair,), _ in read.call_args_list if "validate" in str(pair.image)]
    assert len(validated) == len(set(validated)) > 1
