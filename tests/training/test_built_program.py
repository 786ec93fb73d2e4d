"""Training builds each part once and uses it to the end."""

import inspect
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import pytest
from helpers import create_run

from oasis_jax.config import Config, Data, Model, Optim, Train
from oasis_jax.data import batches
from oasis_jax.data.open import open_data
from oasis_jax.data.slices import Slice
from oasis_jax.network import unet
from oasis_jax.runs.history import Row, Validation
from oasis_jax.training import program
from oasis_jax.training.log import Log
from oasis_jax.training.result import show_scores
from oasis_jax.training.setup import train

SMALL = Model(stem=2, levels=3, crop=None)


def test_another_learning_rate_length_or_seed_needs_no_other_compiled_program(tree: Path) -> None:
    def lowered(optim: Optim, train: Train) -> list[str]:
        settings = Config(data=Data(root=tree, threads=1), model=SMALL, optim=optim, train=train)
        built: Any = program.build(settings, open_data(settings, ("train", "validate")), unet.network(SMALL))
        state = jax.eval_shape(built.begin, built.init_key)
        step = built.train_step.lower(state, next(built.batches(0)), built.step_key, built.rate(0))
        return [built.begin.lower(built.init_key).as_text(), step.as_text()]

    first = lowered(Optim(), Train(batch=4))
    assert lowered(Optim(learning_rate=1e-5, schedule="exponential"), Train(batch=4, steps=99, seed=7)) == first
    assert lowered(Optim(weight_decay=0.5), Train(batch=4)) != first


def test_a_run_can_be_counted_in_steps(tree: Path) -> None:
    settings = Config(data=Data(root=tree), model=SMALL, train=Train(batch=4, steps=6, validate_every=4))
    built = program.build(settings, open_data(settings, ("train", "validate")), unet.network(SMALL))
    assert [step for step in range(8) if built.is_due(step)] == [4, 6]
    rates = [float(built.rate(step)) for step in range(6)]
    assert max(rates) > 10 * rates[-1]  # the cycle ends with the steps


def test_patience_counts_the_validations_without_a_lower_loss(tmp_path: Path) -> None:
    run = create_run(Config(run=tmp_path / "run"), {})
    losses = [0.5, 0.3, 0.4, 0.3]
    rows = [Row(step, Validation(loss=loss, soft_dice=(), hard_dice=())) for step, loss in enumerate(losses, 1)]
    run.metrics.write_text("".join(row.line() + "\n" for row in rows))
    with Log(run, 4, 9) as log:
        assert [log.out_of_patience(patience) for patience in (1, 2, 3, None)] == [True, True, False, False]


def test_the_evaluation_reads_no_slice_that_validation_read(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = batches.read_pair, Counter[Slice]()

    def counted(pair: Slice) -> batches.Pair:
        reads[pair] += 1
        return read(pair)

    monkeypatch.setattr(inspect.unwrap(batches.Source.__init__), "__defaults__", (counted, None))
    settings = Config(run=tmp_path / "run", data=Data(root=tree, threads=1), model=SMALL)
    show_scores(train(replace(settings, train=Train(steps=1, batch=4, evaluate="validate"))))
    validated = [count for pair, count in reads.items() if "validate" in str(pair.image)]
    assert len(validated) > 1
    assert set(validated) == {1}
