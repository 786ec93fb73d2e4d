"""`info` tells the same of a run, of its weights and of the models that come with the program."""

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from helpers import assert_mistake, command

from oasis_jax import pretrained
from oasis_jax.inference.segment import Segmenter
from oasis_jax.runs.checkpoints import digest
from oasis_jax.runs.folder import Run
from oasis_jax.runs.weights import FILE, read_weights


def told(*words: str | Path, cwd: Path | None = None) -> dict[str, Any]:
    done = command("info", *words, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_run_has_its_network_data_checkpoint_and_scores(finished: Path) -> None:
    about = told(finished)
    assert (about["name"], about["kind"]) == ("finished", "training")
    assert about["purpose"] is about["card"] is about["licence"] is None
    recorded = Run.load(finished).provenance
    assert about["sees"] == {
        "plane": "axial",
        "heights": [0.49, 0.77],
        "slice": [48, 64],
        "window": None,
        "spacing_mm": None,
        "neighbours_on_each_side": 0,
        "looks": recorded["slice_looks"],
    }
    assert about["trained_on"]["data"] == ["tree with spaces é"]
    segmenter = Segmenter.load([Run.load(finished)])
    (params,) = segmenter.ensemble.params
    assert digest(params) == about["checkpoint"]["sha256"]  # what the records of predictions hold
    assert about["checkpoint"]["step"] == segmenter.ensemble.checkpoints[0].step
    metrics = json.loads((finished / "evaluation/test/metrics.json").read_text())
    scores = about["scores"]["test"]
    assert scores["hard_dice_pooled"] == metrics["scores"]["hard_dice_pooled"]
    assert (scores["slices"], scores["subjects"], scores["step"]) == (16, 2, metrics["step"])
    lines = command("info", finished).stdout.splitlines()
    for line in ("kind        training", "            heights: 0.49 to 0.77", "            slice: 48 x 64"):
        assert line in lines
    assert not any(word in line for line in lines for word in ("purpose", "card", "licence", "None", "sha256"))
    (dice,) = (line for line in lines if "test: data tree with spaces é, step " in line)  # tests may have added splits
    assert f"CSF {scores['hard_dice_pooled']['CSF']:.4g}, gray matter" in dice


def test_weights_are_named_by_their_folder_or_their_file(finished: Path, tmp_path: Path) -> None:
    assert command("export", finished, "--weights", "--output", tmp_path / "mine").returncode == 0
    of_folder, of_file = told(tmp_path / "mine"), told(tmp_path / "mine" / FILE)
    assert of_folder == of_file == told(FILE, cwd=tmp_path / "mine") == told(".", cwd=tmp_path / "mine")
    run = told(finished)
    assert (of_file["name"], of_file["kind"], of_file["scores"]) == ("mine", "model file", {})
    for name in ("network", "sees", "classes"):
        assert of_file[name] == run[name]
    assert of_file["checkpoint"]["step"] == run["checkpoint"]["step"]
    assert "none: it was not evaluated" in command("info", tmp_path / "mine").stdout


@pytest.mark.parametrize("name", pretrained.MODELS)
def test_the_shipped_models_are_sound_and_small_and_name_their_card(name: str) -> None:
    about, file = told(name), pretrained.MODELS[name] / FILE
    assert about["name"] == name
    assert about["purpose"]
    assert about["trained_on"]["started_from"] is None
    assert any("OASIS-1" in source for source in about["trained_on"]["data"])  # not the folders of its training
    assert about["network"]["parameters"] == 2_779_600
    assert (about["sees"]["slice"], about["sees"]["neighbours_on_each_side"]) == ([256, 256], 1)
    assert file.stat().st_size < 6e6
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(read_weights(file)[1]))
    assert (about["sees"]["heights"] is None) == (name == "pretrained")
    assert f"Model card: `{name}`" in Path(about["card"]).read_text()
    assert "Licence of the weights" in Path(about["licence"]).read_text()
    lines = command("info", name).stdout
    assert ("heights: all" in lines) == (name == "pretrained")
    for part in (about["purpose"], about["card"], about["licence"]):
        assert part in lines


def test_each_mistake_is_a_sentence(finished: Path, tmp_path: Path) -> None:
    assert_mistake(command("info", tmp_path / "nothing"), "nothing is not a run")
    assert_mistake(command("info", "./pretrained", cwd=tmp_path), "pretrained is not a run")  # a folder of one's own
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "evaluation/test/metrics.json").write_text("{")
    assert_mistake(command("info", run), "metrics.json is damaged")
    shutil.rmtree(run / "evaluation")
    shutil.rmtree(run / "checkpoints")
    assert "checkpoint  none yet" in command("info", run).stdout
