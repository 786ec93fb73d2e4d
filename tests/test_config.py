import json
import re
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import REPOSITORY

from oasis_jax import config
from oasis_jax.config import Augment, Config, Data, Model, Optim, Train
from oasis_jax.system import records
from oasis_jax.system.errors import UserError
from oasis_jax.train import load_experiment
from oasis_jax.training.optimizer import optimizer, schedule

EXPERIMENTS = sorted((REPOSITORY / "experiments").glob("*.py"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_is_valid_documented_and_survives_json(path: Path) -> None:
    settings = load_experiment(path)
    assert config.validate(settings) is settings
    assert config.from_json(json.loads(json.dumps(records.to_json(settings)))) == settings
    text = path.read_text()
    for heading in ("Claim:", "Command:", "Score:", "Cost:"):
        assert heading in text


def test_the_quickstart_is_the_default() -> None:
    assert load_experiment(REPOSITORY / "experiments/quickstart.py") == Config()


def test_the_paper_experiment_has_the_schedule_and_the_penalty_of_the_paper() -> None:
    settings = load_experiment(REPOSITORY / "experiments/paper.py")
    optim = settings.optim
    assert settings.train.steps == 300 * 100
    rate = schedule(optim, settings.train.steps)
    assert [float(np.asarray(rate(step))) for step in (0, 99, 100, 29_999)] == pytest.approx(
        [5e-4, 5e-4, 5e-4 * 0.985, 5e-4 * 0.985**299], rel=1e-4
    )
    # L2 joins the gradient before Adam scales it: without a gradient, each step is one learning rate toward 0.
    transform = optimizer(optim)
    params = {"w": jnp.array([3.0, -2.0])}
    updates, _ = transform.update({"w": jnp.zeros(2)}, transform.init(params), params)
    (change,) = jax.tree.leaves(updates)
    np.testing.assert_allclose(change, [-1, 1], rtol=1e-2)


def test_all_values_out_of_range_are_named() -> None:
    settings = Config(
        data=Data(neighbours=-1, shares=(0.0, 0.0), spacing_mm=(1.0, 0.0, None)),
        augment=Augment(gamma=float("inf"), mirror_axis=129.3),
        model=Model(crop=(100, 208), levels=6),
        optim=Optim(learning_rate=0.0, weight_decay=float("nan"), l2=-1e-5),
        train=Train(epochs=0, steps=0, batch=0, seed=-1),
    )
    with pytest.raises(UserError, match=r"train\.batch is 0 and must be at least 1;") as caught:
        config.validate(settings)
    assert re.findall(r"(\w+\.\w+) is ", str(caught.value)) == [
        *("data.shares", "data.spacing_mm", "data.neighbours", "augment.mirror_axis", "augment.gamma"),
        *("model.levels", "model.crop", "optim.learning_rate", "optim.weight_decay", "optim.l2"),
        *("train.epochs", "train.steps", "train.batch", "train.seed"),
    ]


def test_differences_name_what_changes_a_result_and_nothing_else() -> None:
    first = Config()
    moved = replace(first, run=Path("elsewhere"), data=replace(first.data, root=Path("d"), cache=False, threads=5))
    assert config.differences(first, moved) == []
    other = replace(first, optim=replace(first.optim, learning_rate=0.5))
    assert config.differences(first, other) == [f"optim.learning_rate: {first.optim.learning_rate} -> 0.5"]


def test_a_damaged_config_is_refused() -> None:
    values = records.to_json(Config())
    for damaged, sentence in (
        ({name: part for name, part in values.items() if name != "train"}, "config has no train."),
        (values | {"more": 1}, "config has no setting more."),
        (values | {"data": values["data"] | {"neighbour": 1}}, "config has no setting data.neighbour."),
        (values | {"train": values["train"] | {"epochs": "ten"}}, "config.train.epochs is 'ten' and must be int."),
    ):
        with pytest.raises(UserError, match=re.escape(sentence)):
            config.from_json(damaged)
