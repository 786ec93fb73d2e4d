import dataclasses
import json
from pathlib import Path

import pytest
from helpers import REPOSITORY

from oasis_jax import config
from oasis_jax.config import Config
from oasis_jax.system.errors import UserError
from oasis_jax.train import load_experiment

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


def test_the_seed_experiment_has_the_seeds_settings() -> None:
    settings = load_experiment(REPOSITORY / "experiments/seed.py")
    assert (settings.train.epochs, settings.train.batch) == (80, 8)
    assert (settings.optim.learning_rate, settings.optim.schedule) == (1e-4, "constant")
    assert (settings.optim.weight_decay, settings.optim.cross_entropy) == (0, 0)
    assert (settings.model.stem, settings.model.norm, settings.model.dropout) == (16, "none", 0.3)
    assert settings.model.crop is None
    assert settings.augment == config.Augment()


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
        ("augment", "scale", 1.0),
        ("augment", "gamma", float("inf")),
        ("data", "threads", 0),
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


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.pop("train"),
        lambda v: v.update(more=1),
        lambda v: v["train"].update(epochs="ten"),
        lambda v: v["train"].update(epochs=True),
        lambda v: v["model"].update(norm="batch"),
        lambda v: v["model"].update(crop=[16]),
        lambda v: v.update(data=[]),
    ],
)
def test_a_damaged_config_is_refused(change: object) -> None:
    values = config.to_json(Config())
    change(values)  # type: ignore[operator]
    with pytest.raises(UserError):
        config.from_json(values)
