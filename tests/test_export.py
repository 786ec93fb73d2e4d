"""The exported file answers as the model does, for people who have nothing but JAX."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import PATIENCE, REPOSITORY, SIZE, assert_mistake, blob, blocks, command, create_run
from jax import export as jax_export

from oasis_jax import export
from oasis_jax.config import Config, Data, Model
from oasis_jax.data.normalise import normalise
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.inference.segment import Segmenter
from oasis_jax.network import unet
from oasis_jax.runs.checkpoints import CheckpointInfo, Checkpoints
from oasis_jax.runs.folder import Run
from oasis_jax.runs.state import TrainState
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.neighbours import neighbour_rows

FACTS = {"data_fingerprints": {}, "slice_size": list(SIZE)}

ONLY_JAX = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ModuleNotFoundError("not installed here: " + name)

sys.meta_path.insert(0, Absent())
"""
ABSENT = {"oasis_jax", "flax", "orbax", "grain", "optax", "PIL", "jaxtyping", "tyro", "rich", "matplotlib"}


def untrained(run: Run) -> Ensemble:
    """The zero biases of initial parameters, which XLA leaves out where it knows them, round otherwise than others."""
    params = jax.jit(unet.network(run.config.model).init, static_argnums=1)(jax.random.key(0), run.shape)
    return Ensemble((run,), (CheckpointInfo(1, 0.25, {}),), (params,), mirror=False)


def damage(path: Path) -> None:
    """Change a file, or the largest one in a folder."""
    largest = max((path, *path.rglob("*")), key=lambda p: p.stat().st_size * p.is_file())
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


def slices(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([blob(rng)[0] for _ in range(count)])


def probabilities(networks: Ensemble, grey: np.ndarray) -> np.ndarray:
    """Of the network itself, its parameters an argument."""
    settings = networks.runs[0].config
    _, apply = unet.network(settings.model)

    def answer(params: unet.Params, grey: jax.Array) -> jax.Array:
        return jax.nn.softmax(apply(params, normalise(grey, settings.data.normalise)))

    return np.asarray(jax.jit(answer)(jax.device_get(networks.params[0]), grey.reshape(*grey.shape[:3], -1)))


@pytest.fixture(scope="module")
def artefact(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command made of the run, where the page's example looks for it; do not change it."""
    folder = tmp_path_factory.mktemp("export") / "my_model"
    done = command("export", finished, "--output", folder)
    assert done.returncode == 0, done.stderr
    assert re.search(r"the checkpoint of step \d+, with scores of .*test", done.stdout)
    return folder


def run_example(cwd: Path, more: str = "", neighbours: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the examples of docs/export.md beside an artefact where, of all that this package needs, there is only JAX.

    It compiles as this process does, and divides its threads as this one does, so that rounding is the same.
    """
    first, second = blocks(REPOSITORY / "docs/export.md", "python")
    code = ONLY_JAX.format(names=ABSENT) + first + (second if neighbours else "") + more
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=cwd, timeout=PATIENCE,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": str(jax.device_count())},
    )  # fmt: skip


def test_the_pages_example_answers_as_the_model_for_batches_of_any_size(
    finished: Path, artefact: Path, tmp_path: Path
) -> None:
    grey = slices(8)
    np.save(tmp_path / "slices.npy", grey)
    shutil.copytree(artefact, tmp_path / "my_model")
    save = "np.savez('answers.npz', *(segment(np.load('slices.npy')[:n]) for n in (1, 3, 8)))\n"
    done = run_example(tmp_path, save + f"assert not {ABSENT} & sys.modules.keys()")
    assert done.returncode == 0, done.stderr
    networks = Segmenter.load([Run.load(finished)]).ensemble
    with np.load(tmp_path / "answers.npz") as answers:
        for answer, n in zip(answers.values(), (1, 3, 8), strict=True):
            assert answer.dtype == np.float32
            assert np.ptp(answer, axis=(0, 1, 2)).min() > 0.1  # not the same everywhere anyhow
            np.testing.assert_allclose(answer, probabilities(networks, grey[:n]), rtol=0, atol=1e-6)
    damage(tmp_path / "my_model/model.jax_export")
    done = run_example(tmp_path)
    assert done.returncode == 1
    assert "damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_pages_example_of_a_network_with_neighbours_answers_as_the_network(tmp_path: Path) -> None:
    settings = Config(tmp_path / "run", Data(neighbours=2), model=Model(stem=2, levels=3, crop=None))
    run = create_run(settings, FACTS)
    networks = untrained(run)
    saved = TrainState(jnp.asarray(1, jnp.int32), networks.params[0], {"count": jnp.zeros(1)})
    Checkpoints(run.checkpoints).save(saved, 0.25)
    export.export([run], tmp_path / "my_model")
    head = slices(5)
    np.save(tmp_path / "head.npy", head)
    save = "np.save('answer.npy', segment(with_neighbours(np.load('head.npy'), reach)))"
    done = run_example(tmp_path, save, neighbours=True)
    assert done.returncode == 0, done.stderr
    seen = head[neighbour_rows([("1", k) for k in range(len(head))], 2)]
    expected = probabilities(networks, np.moveaxis(seen, 1, -1))
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), expected, rtol=0, atol=1e-6)


def test_the_card_tells_all_that_a_user_needs_but_not_where_things_lay(
    finished: Path, data: Path, artefact: Path
) -> None:
    card = json.loads((artefact / "card.json").read_text())
    content = (artefact / card["model"]["file"]).read_bytes()
    assert card["model"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert card["model"]["platforms"] == ["cpu", "cuda", "tpu"]
    assert card["input"]["shape"] == ["batch", *SIZE]
    assert card["output"]["shape"] == ["batch", *SIZE, 4]
    assert card["averaged"] is None
    about = json.loads(command("info", finished, "--json").stdout)
    for name in ("name", "network", "sees", "classes", "trained_on", "checkpoint"):
        assert card[name] == about[name]
    assert card["scores"]["test"] == json.loads((finished / "evaluation/test/metrics.json").read_text())
    assert card["config"]["model"]["stem"] == 2
    assert {"jax", "flax"} <= set(card["exported"]["versions"])
    assert {path.name for path in artefact.iterdir()} == {"card.json", card["model"]["file"]}
    for path in artefact.iterdir():
        for secret in (REPOSITORY, Path(jax.__file__).parent.parent, data.parent, finished.parent, artefact.parent):
            assert str(secret).encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        Config(model=Model(stem=2, levels=3, crop=(32, 48), dtype="bfloat16")),
        Config(model=Model(stem=2, levels=3, crop=None, norm="none", dropout=0.3), data=Data(normalise="scale")),
    ],
)
def test_every_kind_of_network_exports(settings: Config) -> None:
    networks = untrained(Run(Path("run"), settings, FACTS))
    answer = jax_export.deserialize(bytearray(export.lower(networks))).call(slices(2))
    assert answer.dtype == jnp.float32
    np.testing.assert_allclose(answer, probabilities(networks, slices(2)), rtol=0, atol=1e-6)


def test_each_mistake_is_named_and_leaves_nothing(finished: Path, artefact: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in artefact.iterdir()}
    assert_mistake(command("export", finished, "--output", artefact), "exists already: name a new folder")
    assert {path.name: path.read_bytes() for path in artefact.iterdir()} == before
    output = tmp_path / "out" / "model"
    shutil.copytree(finished, tmp_path / "copy")
    run = Run.load(tmp_path / "copy")
    best, *others = Checkpoints(run.checkpoints).by_loss()
    damage(run.checkpoints / f"{best.step}/params")
    run.evaluation("validate").mkdir(exist_ok=True)
    metrics = json.loads((run.evaluation("test") / "metrics.json").read_text()) | {"step": others[0].step}
    (run.evaluation("validate") / "metrics.json").write_text(json.dumps(metrics))
    card = export.export([run], tmp_path / "next best")
    assert card["checkpoint"]["step"] == others[0].step
    assert set(card["scores"]) == {"validate"}  # the evaluation of test is of the other checkpoint
    content = bytearray((tmp_path / "next best" / card["model"]["file"]).read_bytes())
    assert jax_export.deserialize(content).nr_devices == 1  # though four restored it
    for other in others:
        damage(run.checkpoints / f"{other.step}/params")
    with pytest.raises(UserError, match=f"checkpoint of step {others[-1].step} in .* is damaged"):
        export.export([run], output)
    assert not output.parent.exists()
