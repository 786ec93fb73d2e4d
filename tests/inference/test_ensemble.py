"""Means over mirror images and over runs: what is averaged, which runs can be averaged, and what commands report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checked import present
from helpers import assert_mistake, command, create_run, stand_in, write_tree
from jax import export as jax_export

from oasis_jax.config import Augment, Config, Data, Model
from oasis_jax.data.batches import Source
from oasis_jax.data.slices import find_slices, folders
from oasis_jax.evaluation import counting
from oasis_jax.inference import ensemble
from oasis_jax.inference.label import label
from oasis_jax.inference.segment import Segmenter
from oasis_jax.network import unet
from oasis_jax.runs.checkpoints import Checkpoints
from oasis_jax.runs.folder import Run
from oasis_jax.runs.state import TrainState
from oasis_jax.system import sharding
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.cut import read_input
from oasis_jax.volumes.finding import InputFile

SIZE = (64, 80)
SETTINGS = Config(
    data=Data(neighbours=1),
    augment=Augment(mirror=True, mirror_axis=33.0),
    model=Model(stem=2, levels=3, crop=(48, 64)),
)
IMAGES = np.random.default_rng(1).normal(size=(3, *SIZE, 3)).astype(np.float32)
DATA_PROVENANCE = stand_in().ensemble.runs[0].provenance | {"data_fingerprints": {}, "slice_size": list(SIZE)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two runs with a checkpoint, but without any training, that differ in their parameters; do not change them."""
    folder = tmp_path_factory.mktemp("ensemble")
    made = [create_run(replace(SETTINGS, run=folder / name), DATA_PROVENANCE) for name in ("first", "second")]
    init = jax.jit(unet.network(SETTINGS.model).init, static_argnums=1)
    for seed, run in enumerate(made):
        state = TrainState(jnp.asarray(3, jnp.int32), init(jax.random.key(seed), run.shape), {"count": jnp.zeros(1)})
        Checkpoints(run.checkpoints).save(state, 0.5)
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose heads reach beyond the crop of the networks."""
    return write_tree(tmp_path_factory.mktemp("data") / "tree", size=SIZE)


def probabilities(networks: ensemble.Ensemble, image: np.ndarray) -> np.ndarray:
    return np.asarray(jax.jit(lambda p, x: jax.nn.softmax(networks.apply()(p, x)))(networks.params, image))


def mirrored(values: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Row r becomes row 66 - r of `(B, H, W, C)`."""
    out = np.broadcast_to(fill, values.shape).copy()
    for row in range(3, SIZE[0]):
        out[:, 66 - row] = values[:, row]
    return out


def test_mirrored_is_the_mean_with_the_mirror_image_about_the_axis_of_training(runs: list[Run]) -> None:
    mesh = sharding.make_mesh(4)
    plain, both = (ensemble.load([runs[0]], mesh, mirror=mirror) for mirror in (False, True))
    straight = probabilities(plain, IMAGES)
    back = mirrored(probabilities(plain, mirrored(IMAGES, IMAGES.min((1, 2), keepdims=True))), np.zeros(4, np.float32))
    wanted = np.where(np.arange(SIZE[0])[:, None, None] >= 3, (straight + back) / 2, straight)
    np.testing.assert_allclose(probabilities(both, IMAGES), wanted, atol=2e-6)
    assert np.abs(wanted - straight).max() > 0.01


def test_the_mean_over_runs_is_that_of_their_probabilities(runs: list[Run]) -> None:
    mesh = sharding.make_mesh(4)
    alone = [probabilities(ensemble.load([run], mesh), IMAGES) for run in runs]
    together = probabilities(ensemble.load(runs, mesh), IMAGES)
    np.testing.assert_allclose(together, (alone[0] + alone[1]) / 2, atol=2e-6)
    assert np.abs(alone[0] - alone[1]).max() > 0.01


@pytest.mark.parametrize(("heights", "rows", "columns"), [([0.3, 0.7], (8, 75), (8, 104)), (None, (0, 80), (0, 112))])
def test_the_crop_grows_with_the_frame_but_networks_of_whole_heads_see_all_of_it(
    heights: list[float] | None, rows: tuple[int, int], columns: tuple[int, int], runs: list[Run]
) -> None:
    facts = DATA_PROVENANCE | {"slice_cut": {"axis": "axial", "heights": heights}}
    segmenter = Segmenter.load([run._replace(provenance=facts) for run in runs], mirror=True)
    frames = np.random.default_rng(0).integers(0, 256, (4, 80, 112, 3)).astype(np.uint8)
    answer = np.asarray(segmenter.forward(frames).probabilities)
    seen = np.zeros((80, 112), bool)
    seen[slice(*rows), slice(*columns)] = True  # of a crop's rows 8 to 71, the mirror image are 11 to 74
    assert np.array_equal(answer[..., 0].min(0) < 0.999, seen)


def test_runs_with_different_inputs_are_refused(runs: list[Run], tmp_path: Path) -> None:
    first, second = runs

    def other(name: str, facts: dict[str, Any] = DATA_PROVENANCE, **settings: Any) -> Run:
        return create_run(replace(SETTINGS, run=tmp_path / name, **settings), facts)

    for networks, sentence in (
        ([first, other("a", data=Data())], r"trained on 0 neighbour\(s\) on each side"),
        ([first, other("b", data=Data(neighbours=1, normalise="scale"))], "trained on slices normalised by scale"),
        ([first, other("c", DATA_PROVENANCE | {"slice_size": [64, 64]})], "of 64x64, .* on slices of 64x80: leave"),
        ([first, second, first], "first would be averaged with itself: name another run after --with"),
        ([other("d", augment=Augment(mirror_axis=5.0))], "is 5, far from the middle of slices with rows 0 to 63"),
        ([other("e", augment=Augment(mirror_axis=70.0))], "mirror_axis is 70, but slices have rows 0 to 63"),
    ):
        with pytest.raises(UserError, match=sentence):
            ensemble.load(networks, sharding.make_mesh(4), mirror=True)


@pytest.mark.parametrize("mirror", [False, True])
def test_predict_gives_the_labels_of_evaluate_pixel_by_pixel(runs: list[Run], data: Path, mirror: bool) -> None:
    mesh = sharding.make_mesh(8)
    networks = ensemble.load([runs[0]], mesh, mirror=mirror)
    slices, _ = find_slices(data, "test")
    step = counting.compiled_eval_step(SETTINGS, networks.apply(), mesh)
    source = Source(slices, SETTINGS.data)
    counted = counting.count_slices(step, networks.params, source, 8, mesh)
    _, wanted = counting.joined(list(counted))
    segmenter = Segmenter.load([runs[0]], mirror=mirror, batch=8)
    inputs = [read_input(InputFile(pair.image, pair.image.stem), segmenter.framing) for pair in slices]
    segmentations = label(inputs, segmenter, keep_probabilities=True)
    for segmentation, classes, file in zip(segmentations, wanted, inputs, strict=True):
        assert segmentation.input is file
        np.testing.assert_array_equal(segmentation.classes[0], classes)
        sure = present(segmentation.probabilities)[0].max(-1)[classes > 0]
        assert segmentation.confidence[0] == pytest.approx(sure.mean(), abs=1e-5)
    assert len(np.unique(wanted)) > 1


def test_every_command_averages_and_reports_it(runs: list[Run], data: Path, tmp_path: Path) -> None:
    first, second = (run.folder for run in runs)
    more = ("--mirror", "--with", second)
    words = ("evaluate", first, "--data-root", data, "--split", "test")
    done = command(*words, *more)
    assert done.returncode == 0, done.stderr
    folder = first / "evaluation/test-mean-of-2-mirror"
    assert str(folder) in done.stdout
    metrics = json.loads((folder / "metrics.json").read_text())
    members = [{"run": "first", "step": 3}, {"run": "second", "step": 3}]
    assert metrics["averaged"] == {"runs": members, "mirror": True}
    sentence = "Probabilities are the mean over the 2 networks first (step 3), second (step 3) and the mirror images."
    assert sentence in (folder / "report.html").read_text()
    assert sentence in " ".join(done.stdout.split())

    done = command(*words, "--output", tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "elsewhere/metrics.json").read_text())["averaged"] is None
    assert not (first / "evaluation/test").exists()
    assert_mistake(command(*words, "--output", data), "tree exists and is not an evaluation")

    done = command("predict", first, folders(data, "test")[0], "--output", tmp_path / "labels", *more)
    assert done.returncode == 0, done.stderr
    assert all(part in (tmp_path / "labels/tissue.csv").read_text() for part in (" + ", ", mirror"))

    done = command("export", first, "--output", tmp_path / "model", *more)
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "model/card.json").read_text())
    assert card["averaged"] == metrics["averaged"]
    assert card["input"]["shape"] == ["batch", *SIZE, 3]
    assert card["sees"]["neighbours_on_each_side"] == 1
    assert set(card["scores"]) == {"test"}
    lowered = bytearray((tmp_path / "model" / card["model"]["file"]).read_bytes())
    grey = np.random.default_rng(2).integers(0, 256, (2, *SIZE, 3)).astype(np.uint8)
    answer = jax_export.deserialize(lowered).call(grey)
    wanted = Segmenter.load(runs, mirror=True).forward(np.concatenate([grey, grey]))[1][:2]
    np.testing.assert_allclose(answer, wanted, atol=1e-5)
