import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import REPOSITORY

from oasis_jax import config
from oasis_jax.config import Config
from oasis_jax.system.errors import UserError
from oasis_jax.train import load_experiment
from oasis_jax.training.optimizer import optimizer, schedule

EXPERIMENTS = sorted((REPOSITORY / "experiments").glob("*.py"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_is_valid_documented_and_survives_json(path: Path) -> None:
    settings = load_experiment(path)
    assert config.validate(settings) is settings
    assert config.from_json(json.loads(json.dumps(config.to_json(settings)))) == settings
    text = path.read_text()
    for heading in ("Claim:", "Command:", "Score:", "Cost:"):
        assert heading in text


def test_the_quickstart_is_the_default() -> None:
    assert load_experiment(REPOSITORY / "experiments/quickstart.py") == Config()


def test_the_original_experiment_has_its_settings() -> None:
    settings = load_experiment(REPOSITORY / "experiments/original.py")
    assert (settings.train.epochs, settings.train.batch) == (80, 8)
    assert (settings.optim.learning_rate, settings.optim.schedule) == (1e-4, "constant")
    assert (settings.optim.weight_decay, settings.optim.cross_entropy) == (0, 0)
    assert (settings.model.stem, settings.model.norm, settings.model.dropout) == (16, "none", 0.3)
    assert settings.model.crop is None
    assert settings.augment == config.Augment()


def test_the_paper_experiment_has_the_papers_settings() -> None:
    settings = load_experiment(REPOSITORY / "experiments/paper.py")
    model, optim, augment = settings.model, settings.optim, settings.augment
    assert (model.norm, model.pre_activation, model.segmentation, model.dropout) == ("instance", True, "1x1", 0.3)
    assert (optim.l2, optim.weight_decay, optim.cross_entropy) == (1e-5, 0, 0)
    assert settings.train.steps == 300 * 100
    rate = schedule(optim, settings.train.steps)
    assert [float(np.asarray(rate(step))) for step in (0, 99, 100, 29_999)] == pytest.approx(
        [5e-4, 5e-4, 5e-4 * 0.985, 5e-4 * 0.985**299], rel=1e-4
    )
    assert augment.mirror
    assert all((augment.rotate, augment.scale, augment.elastic, augment.gamma))
    # L2 joins the gradient before Adam scales it: without a gradient, each step is one learning rate toward 0.
    transform = optimizer(optim)
    params = {"w": jnp.array([3.0, -2.0])}
    updates, _ = transform.update({"w": jnp.zeros(2)}, transform.init(params), params)
    (change,) = jax.tree.leaves(updates)
    np.testing.assert_allclose(change, [-1, 1], rtol=1e-2)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("train", "epochs", 0),
        ("train", "batch", -1),
        ("train", "seed", -1),
        ("train", "patience", 0),
        ("optim", "learning_rate", 0.0),
        ("optim", "learning_rate", float("nan")),
        ("optim", "cross_entropy", -1.0),
        ("model", "dropout", 1.0),
        ("model", "crop", (100, 208)),
        ("model", "stem", 0),
        ("model", "levels", 2),
        ("model", "levels", 6),
        ("augment", "scale", 1.0),
        ("augment", "gamma", float("inf")),
        ("data", "threads", 0),
        ("data", "neighbours", -1),
        ("augment", "mirror_axis", 129.3),
        ("augment", "bias_field", -0.1),
        ("augment", "strip", 1.1),
        ("optim", "l2", -1e-5),
        ("train", "steps", 0),
        ("train", "validate_every", 0),
    ],
)
def test_each_value_out_of_range_is_named(part: str, name: str, value: object) -> None:
    settings = dataclasses.replace(Config(), **{part: dataclasses.replace(getattr(Config(), part), **{name: value})})
    with pytest.raises(UserError, match=f"{part}.{name} is "):
        config.validate(settings)


def test_all_wrong_values_are_named_at_once() -> None:
    settings = dataclasses.replace(Config(), train=dataclasses.replace(Config().train, epochs=0, batch=0))
    with pytest.raises(UserError, match=r"train\.epochs .*; train\.batch "):
        config.validate(settings)


def test_differences_name_what_changes_a_result_and_nothing_else() -> None:
    first = Config()
    moved = dataclasses.replace(
        first, run=Path("elsewhere"), data=dataclasses.replace(first.data, root=Path("d"), cache=False, threads=5)
    )
    assert config.differences(first, moved) == []
    other = dataclasses.replace(first, optim=dataclasses.replace(first.optim, learning_rate=0.5))
    assert config.differences(first, other) == [f"optim.learning_rate: {first.optim.learning_rate} -> 0.5"]


def test_a_setting_that_did_not_exist_yet_takes_the_value_of_before() -> None:
    values = config.to_json(Config())
    for part, new in {"data": ("neighbours",), "augment": ("mirror_axis", "bias_field", "strip")}.items():
        for name in new:
            del values[part][name]
    del values["train"]["steps"], values["train"]["validate_every"], values["optim"]["l2"]
    older = config.from_json(values)
    assert older == Config()
    assert (older.data.channels, older.augment.strip, older.augment.bias_field) == (1, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.pop("train"),
        lambda v: v["data"].update(neighbour=1),
        lambda v: v.update(more=1),
        lambda v: v["train"].update(epochs="ten"),
        lambda v: v["train"].update(epochs=True),
        lambda v: v["model"].update(norm="batch"),
        lambda v: v["model"].update(crop=[16]),
        lambda v: v.update(data=[]),
    ],
)
def test_a_damaged_config_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    values = config.to_json(Config())
    change(values)
    with pytest.raises(UserError):
        config.from_json(values)
