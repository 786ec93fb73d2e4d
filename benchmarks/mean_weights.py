"""A model whose parameters are the mean over models that were trained one from another, with its validation.

Run:  python benchmarks/mean_weights.py TREE MODEL MODEL [MODEL ...] --output FOLDER

TREE is a `keras_png_slices_data`. MODEL is `pretrained`, or a folder made by `export --weights`. The description of the
new model is that of the last one, with the names of all, and with what its own validation gives. The idea is that of
"model soups" (Wortsman et al. 2022): such networks lie in one valley of the loss, and their middle is better than its
rim.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import tyro

from oasis_jax.data.batches import Source
from oasis_jax.data.open import open_data
from oasis_jax.inference import ensemble, score
from oasis_jax.pretrained import run_path
from oasis_jax.runs import checkpoint
from oasis_jax.runs import folder as run_folder
from oasis_jax.runs.history import Validation
from oasis_jax.runs.weights import FILE, read_weights, write_weights
from oasis_jax.system import console, sharding


@dataclass(frozen=True)
class Arguments:
    """Average the parameters of models."""

    tree: tyro.conf.Positional[Path]
    """A keras_png_slices_data."""
    models: tyro.conf.Positional[tuple[str, ...]]
    """`pretrained`, or folders made by `export --weights`."""
    output: Path
    """Folder of the new model."""


def validate(model: Path, tree: Path) -> Validation:
    """What a training would record of its validation."""
    run = run_folder.load(model)
    config = replace(run.config, data=replace(run.config.data, root=tree))
    mesh = sharding.make_mesh(jax.device_count())
    networks = ensemble.load([run], mesh)
    source = Source(open_data(config, ("validate",)).splits["validate"], config.data)
    step = score.compiled_eval_step(config, networks.apply(), mesh)
    batch = config.train.batch
    table, _ = score.score(step, networks.params, source, config.data, batch, mesh, console.track, "Validating")
    return score.headline(table)


def main() -> None:
    arguments = tyro.cli(Arguments)
    sharding.configure_jax()
    models = [run_path(name) for name in arguments.models]
    abouts, params = zip(*(read_weights(model / FILE) for model in models), strict=True)
    mean = jax.tree.map(lambda *leaves: np.mean(leaves, 0, np.float64).astype(np.float32), *params)
    about = abouts[-1] | {"mean_of": [model.name for model in models]}
    arguments.output.mkdir()
    write_weights(arguments.output / FILE, about, mean)
    found = validate(arguments.output, arguments.tree)
    measured = {"loss": found.loss, "lowest_confidence": found.lowest_confidence}
    about["checkpoint"] |= measured | {"sha256": checkpoint.digest(jax.device_get(mean))}
    write_weights(arguments.output / FILE, about, mean)
    print(found)


if __name__ == "__main__":
    main()
