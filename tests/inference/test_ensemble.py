"""Means over mirror images and over runs: what is averaged, which runs can be averaged, and what commands report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_mistake, command, create_run, stand_in, write_tree
from jax import export as jax_export

from oasis_jax.config import Augment, Config, Data, Model
from oasis_jax.data.batches import Source
from oasis_jax.data.slices import find_slices, folders, write_png
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
from oasis_jax.volumes.png import read_grey

SIZE = (64, 80)
SETTINGS = Config(
    data=Data(neighbours=1),
    augment=Augment(mirror=True, mirror_axis=33.0),
    model=Model(stem=2, levels=3, crop=(48, 64)),
)
IMAGES = np.random.default_rng(1).normal(size=(3, *SIZE, 3)).astype(np.float32)
DATA_PROVENANCE = stand_in().ensemble.runs[0].provenance | {"data_fingerprints": {}, "slice_size": list(SIZE)}


def make_run(folder: Path, seed: int = 0, settings: Config = SETTINGS) -> Run:
    """A run folder with a checkpoint, without any training."""
    run = create_run(replace(settings, run=folder), DATA_PROVENANCE)
    init, _ = unet.network(settings.model)
    params = jax.jit(init, static_argnums=1)(jax.random.key(seed), run.shape)
    state = TrainState(jnp.asarray(3, jnp.int32), params, {"count": jnp.zeros(1)})
    Checkpoints(run.checkpoints).save(state, 0.5)
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Two runs that differ in their parameters; do not change them."""
    folder = tmp_path_factory.mktemp("ensemble")
    return make_run(folder / "first"), make_run(folder / "second", seed=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose heads have a scalp outside the crop of the networks."""
    root = write_tree(tmp_path_factory.mktemp("data") / "tree", size=SIZE)
    for path in folders(root, "test")[0].iterdir():
        image = read_grey(path)
        image[2:5, 5:-5] = image[-5:-2, 5:-5] = 230
        write_png(path, image)
    return root


def probabilities(networks: ensemble.Ensemble, image: np.ndarray) -> np.ndarray:
    return np.asarray(jax.jit(lambda p, x: jax.nn.softmax(networks.apply()(p, x)))(networks.params, image))


def mirrored(values: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Row r becomes row 66 - r of `(B, H, W, C)`."""
    out = np.broadcast_to(fill, values.shape).copy()
    for row in range(3, SIZE[0]):
        out[:, 66 - row] = values[:, row]
    return out


def test_mirrored_is_the_mean_with_the_mirror_image_about_the_axis_of_training(runs: tuple[Run, Run]) -> None:
    mesh = sharding.make_mesh(4)
    plain, both = (ensemble.load([runs[0]], mesh, mirror=mirror) for mirror in (False, True))
    straight = probabilities(plain, IMAGES)
    back = mirrored(probabilities(plain, mirrored(IMAGES, IMAGES.min((1, 2), keepdims=True))), np.zeros(4, np.float32))
    wanted = np.where(np.arange(SIZE[0])[:, None, None] >= 3, (straight + back) / 2, straight)
    np.testing.assert_allclose(probabilities(both, IMAGES), wanted, atol=2e-6)
    assert np.abs(wanted - straight).max() > 0.01


def test_the_mean_over_runs_is_that_of_their_probabilities(runs: tuple[Run, Run]) -> None:
    mesh = sharding.make_mesh(4)
    alone = [probabilities(ensemble.load([run], mesh), IMAGES) for run in runs]
    together = probabilities(ensemble.load(runs, mesh), IMAGES)
    np.testing.assert_allclose(together, (alone[0] + alone[1]) / 2, atol=2e-6)
    assert np.abs(alone[0] - alone[1]).max() > 0.01


def test_the_crop_grows_with_the_frame(runs: tuple[Run, Run]) -> None:
    networks = ensemble.load(runs, sharding.make_mesh(4), mirror=True)
    larger = np.pad(IMAGES, ((0, 0), (8, 8), (16, 16), (0, 0)))
    answer = jax.jit(networks.apply((16, 32)))(networks.params, larger)
    outside = np.asarray(jax.nn.softmax(answer))[:, 8:-8, 16:-16][:, :8]
    assert outside[..., 0].min() < 0.99  # rows outside the crop of training


def test_runs_with_different_inputs_are_refused(runs: tuple[Run, Run], tmp_path: Path) -> None:
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
def test_predict_gives_the_labels_of_evaluate_pixel_by_pixel(runs: tuple[Run, Run], data: Path, mirror: bool) -> None:
    mesh = sharding.make_mesh(8)
    networks = ensemble.load([runs[0]], mesh, mirror=mirror)
    slices, _ = find_slices(data, "test")
    step = counting.compiled_eval_step(SETTINGS, networks.apply(), mesh)
    source = Source(slices, SETTINGS.data)
    counted = counting.count_slices(step, networks.params, source, SETTINGS.data, 8, mesh)
    _, wanted = counting.joined(list(counted))
    segmenter = Segmenter.load([runs[0]], mirror=mirror, batch=8)
    inputs = [read_input(InputFile(pair.image, pair.image.stem), segmenter.framing) for pair in slices]
    segmentations = label(inputs, segmenter, keep_probabilities=False)
    for segmentation, classes, file in zip(segmentations, wanted, inputs, strict=True):
        assert segmentation.input is file
        np.testing.assert_array_equal(segmentation.classes[0], classes)
    assert len(np.unique(wanted)) > 1


def test_every_command_averages_and_reports_it(runs: tuple[Run, Run], data: Path, tmp_path: Path) -> None:
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
