"""A model file stands wherever a command takes a run, and training can start from it."""

import json
import shutil
from pathlib import Path

import pytest
from checked import present
from helpers import assert_mistake, command, launch, options

import oasis_jax
from oasis_jax import config
from oasis_jax.runs.folder import Run
from oasis_jax.runs.trained import trained_on
from oasis_jax.runs.weights import FILE, read_weights
from oasis_jax.train import parse


@pytest.fixture(scope="module")
def model(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run as a model; do not change it."""
    folder = tmp_path_factory.mktemp("models") / "mine"
    done = command("export", finished, "--weights", "--output", folder)
    assert done.returncode == 0, done.stderr
    assert f"Name {folder} as RUN." in done.stdout
    return folder


def test_a_model_holds_one_file_that_says_nothing_of_the_machine(model: Path, finished: Path) -> None:
    assert [path.name for path in model.iterdir()] == [FILE]
    about, _ = read_weights(model / FILE)
    assert str(finished.parent) not in json.dumps(about)
    ours, theirs = (trained_on(Run.load(run), about["checkpoint"]["step"]) for run in (model, finished))
    assert ours == theirs
    assert 0.25 < present(ours.confidence) < 1
    assert {"seed", "data_fingerprints", "versions"} <= set(about["provenance"])


def test_a_model_is_evaluated_compared_exported_and_averaged_like_its_run(
    model: Path, finished: Path, data: Path, tmp_path: Path
) -> None:
    done = command("evaluate", model, "--data-root", data, "--split", "test", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folders = tmp_path / "mine-test", finished / "evaluation/test"
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in folders)
    assert (ours["run"], ours["step"], ours["data_fingerprint"]) == ("mine", theirs["step"], theirs["data_fingerprint"])
    for name, value in theirs["scores"]["hard_dice_pooled"].items():
        assert ours["scores"]["hard_dice_pooled"][name] == pytest.approx(value, abs=2e-3)
    done = command("compare", model, finished, "--split", "test", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout
    done = command("export", model, "--output", "exported", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(json.loads((tmp_path / "exported/card.json").read_text())["scores"]) == {"test"}
    assert {path.name for path in tmp_path.iterdir()} == {"mine-test", "exported"}
    averaged = oasis_jax.load(model / FILE, finished, mirror=True).ensemble
    assert ([run.name for run in averaged.runs], averaged.mirror) == (["mine", "finished"], True)
    assert [path.name for path in model.iterdir()] == [FILE]


def losses(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["kind"] == "train"]


def test_training_starts_from_a_model_and_says_so(model: Path, finished: Path, data: Path, tmp_path: Path) -> None:
    words = ["--init", model, "--data.root", data, "--run", tmp_path / "tuned", "--train.steps", "2"]
    done = launch("train", *words)
    assert done.returncode == 0, done.stderr
    tuned = Run.load(tmp_path / "tuned")
    assert tuned.provenance["init"]["run"] == "mine"
    assert tuned.config.model == Run.load(model).config.model
    random, trained, first = losses(finished)[0], losses(finished)[-1], losses(tmp_path / "tuned")[0]
    assert abs(first - trained) < abs(first - random)
    exported = tmp_path / "tuned_model"
    assert command("export", tuned.folder, "--weights", "--output", exported).returncode == 0
    about, _ = read_weights(exported / FILE)
    assert about["config"]["train"]["init"] == "mine"  # no folder of this machine
    shutil.rmtree(tmp_path / "tuned/checkpoints")  # as if it was killed before it saved: it starts from the model again
    done = launch("train", *words)
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "tuned")[0] == first
    assert_mistake(command("train", "--init", tmp_path / "gone", *words[2:]), "gone is not a run")


def test_settings_come_from_the_run_to_start_from_and_options_change_them(model: Path) -> None:
    earlier = Run.load(model).config
    settings = parse(["--init", str(model), "--train.batch", "2"]).config
    assert settings.model == earlier.model
    assert settings.optim.learning_rate == pytest.approx(0.1 * earlier.optim.learning_rate)
    assert settings.train.batch == 2
    assert settings.run == Path("runs/from-mine")
    assert settings.data.root is None
    assert parse(["--train.batch", "2"]).config == config.Config(train=config.Train(batch=2))
    assert parse(["--train.init", "None"]).config == config.Config()


def test_each_mistake_is_a_sentence(model: Path, data: Path, tmp_path: Path) -> None:
    words = ["--init", model, *options(data, tmp_path / "run"), "--model.stem", "3"]
    assert_mistake(command("train", *words), "another network than these settings describe")
    assert_mistake(command("evaluate", model, "--step", "1", "--data-root", data), "no checkpoint of step 1")
    assert_mistake(
        command("export", model, "--weights", "--mirror", "--output", tmp_path / "x"), "leave out --mirror and --with"
    )
    assert not (tmp_path / "x").exists()
