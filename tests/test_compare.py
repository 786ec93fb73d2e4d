"""Two runs on the same people: differences, intervals, tests, and every mistake named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from checked import present, wilcoxon_p
from helpers import assert_mistake, command, options

from oasis_jax.evaluation.comparison import Evaluation, paired
from oasis_jax.metrics import overlap


def test_differences_are_pooled_and_tests_paired_by_subject() -> None:
    names = [f"s{i}" for i in range(12)]
    a, b = np.random.default_rng(0).integers(1, 500, (2, 12, 4, 4))
    found = paired(Evaluation("a", {"hard_dice": a}), Evaluation("b", {"hard_dice": b}), names)
    dice = found.scores["hard_dice"]
    pooled = overlap.hard_dice(a.sum(0)) - overlap.hard_dice(b.sum(0))
    each = overlap.hard_dice(a) - overlap.hard_dice(b)
    for k, name in enumerate(("background", "CSF", "gray matter", "white matter")):
        assert dice.difference[name] == pytest.approx(pooled[k])
        interval = present(dice.interval)
        assert interval["low"][name] < pooled[k] < interval["high"][name]
        assert dice.each["s3"][name] == pytest.approx(each[3, k])
        if name != "background":
            p, p_holm = present(present(dice.p)[name]), present(present(dice.p_holm)[name])
            assert p == pytest.approx(wilcoxon_p(each[:, k]))
            assert p <= p_holm <= 3 * p + 1e-12
    assert dice.difference["foreground mean"] == pytest.approx(pooled[1:].mean())
    assert "surface_dice" not in found.scores


def test_runs_are_compared_with_each_other_and_with_the_baselines(finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    step = sorted(int(path.name) for path in (other / "checkpoints").iterdir() if path.name.isdigit())[0]
    done = command("evaluate", other, "--step", str(step))
    assert done.returncode == 0, done.stderr
    done = command("compare", finished, other)
    assert done.returncode == 0, done.stderr
    assert "hard Dice: finished - other" in done.stdout
    assert "surface Dice at 1 mm: finished - other" in done.stdout
    assert "hard Dice: finished - Otsu in the true brain mask (oracle)" in done.stdout
    assert "of subject 9" in done.stdout
    assert "too few for an interval or a test; 8 are needed" in done.stdout
    told = json.loads(command("compare", finished, other, "--json").stdout)
    ours, theirs = (
        json.loads((run / "evaluation/test/metrics.json").read_text())["scores"]["hard_dice_pooled"]["CSF"]
        for run in (finished, other)
    )
    first = told["comparisons"][0]["scores"]["hard_dice"]
    assert first["difference"]["CSF"] == pytest.approx(ours - theirs)
    assert np.isfinite(first["each"]["9"]["CSF"])
    assert first["interval"] is first["p"] is first["p_holm"] is None


def test_compare_names_each_mistake(data: Path, finished: Path, tmp_path: Path) -> None:
    assert_mistake(command("compare", tmp_path / "nothing"), "is not a run")
    assert_mistake(command("compare"), "Name at least one run")
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    file = other / "evaluation/test/subjects.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"data_fingerprint": "other"}))
    assert_mistake(command("compare", finished, other), "different slices of test")
    # A finished run is evaluated again with another spacing, here of unknown slices.
    done = command("train", *options(data, other), "--data.spacing-mm", "2", "2", "None")
    assert "cm² a scan" in done.stdout, done.stderr
    done = command("compare", finished, other)
    assert "Surfaces of other were measured with pixels of another size" in done.stdout
    assert "surface Dice" not in done.stdout
    more = np.array(content["confusion"])
    more[0, 1, 1] += 5
    same = {"confusion": more.tolist(), "baselines": dict.fromkeys(content["baselines"], more.tolist())}
    file.write_text(json.dumps(content | same))
    assert_mistake(command("compare", finished, other), "have different true pixels in the same slices")
    for damaged in (
        "{",
        "[]",
        json.dumps(content | {"confusion": more[..., :3].tolist()}),
        json.dumps(content | {"baselines": {}}),
        json.dumps(content | {"surfaces": {name: [[[None]]] for name in content["surfaces"]}}),
    ):
        file.write_text(damaged)
        assert_mistake(command("compare", finished, other), f"{file} is damaged", "evaluate")


def test_what_to_evaluate_first_names_the_data_where_only_the_user_knows_it(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluate = "python -m oasis_jax.evaluate"
    assert_mistake(
        command("compare", finished, "--split", "validate"),
        f"has no evaluation on validate: {evaluate} {finished} --split validate\n",
    )
    for split, words in (("test", "--split test --data-root ..."), ("volumes", "--images ... --labels ...")):
        done = command("compare", "pretrained", "--split", split)
        assert_mistake(done, f"pretrained has no evaluation on {split}: {evaluate} pretrained {words}")
    done = command("evaluate", "pretrained", "--split", "test")
    assert_mistake(done, "pretrained comes without slices: give the folder of yours with --data-root.")
    done = command("evaluate", "pretrained", "--split", "test", "--data-root", "nosuch")
    assert_mistake(done, "nosuch", "is not a folder")
