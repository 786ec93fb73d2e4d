"""A run from its config to its best checkpoint and its scores."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from oasis_jax.config import SPLITS, Config
from oasis_jax.data import appearance
from oasis_jax.data.appearance import Ranges
from oasis_jax.data.batches import Source
from oasis_jax.data.dataset import Dataset
from oasis_jax.data.open import open_data
from oasis_jax.evaluation.split import evaluate_split
from oasis_jax.inference import ensemble
from oasis_jax.network import unet
from oasis_jax.report.write import write_evaluation
from oasis_jax.runs.folder import Run
from oasis_jax.system import console, distributed, records, sharding
from oasis_jax.system.errors import UserError
from oasis_jax.training import program as programs
from oasis_jax.training import start
from oasis_jax.training.loop import optimize
from oasis_jax.training.program import Program
from oasis_jax.training.stop import stop_signals
from oasis_jax.volumes.frame import quantise


class Finished(NamedTuple):
    """A training at its end."""

    run: Run
    tree: Dataset
    program: Program


def train(settings: Config) -> Finished:
    """Train the run that the config names from where it stands to its end.

    Raises:
        UserError: a mistake in config or data, a damaged run, or a loss that is no longer finite.
        SystemExit: a signal stopped the run; all is saved.
    """
    if settings.data.root is not None:  # so that the run can be evaluated from any folder
        joined = tuple(folder.absolute() for folder in settings.data.join)
        settings = replace(settings, data=replace(settings.data, root=settings.data.root.absolute(), join=joined))
    run = Run.started(settings)
    sharding.configure_jax()
    # Whatever a user can get wrong about data and devices is found before a run folder is made.
    mesh = sharding.make_mesh(settings.train.batch)
    tree = open_data(settings.data, tuple(s for s in SPLITS if s in ("train", "validate", settings.train.evaluate)))
    if run is not None:
        _check_same(run, tree)
    network, params, origin = unet.network(settings.model), None, {}
    if settings.train.init is not None and distributed.broadcast(run is None):
        params, origin = start.parameters(settings, network, tree.size, mesh)
    program = programs.build(settings, tree, network, mesh, params)
    if run is None:
        facts = {
            "data_fingerprints": tree.fingerprints,
            "slice_size": list(tree.size),
            "slice_looks": _ranges(settings, tree, program.sources["train"]),
            "slice_cut": records.to_json(tree.cut),
        }
        run = Run.new(settings, facts | origin)
    with run.opened() as checkpoints, stop_signals() as stop:
        optimize(run, checkpoints, program, stop)
    return Finished(run, tree, program)


def show_scores(finished: Finished) -> None:
    """Evaluate the best checkpoint on the split that the config names, write the files, and print the table."""
    run, tree, program = finished
    split = run.config.train.evaluate
    networks = ensemble.load([run], program.mesh)
    result = evaluate_split(networks, tree, split, program.sources[split], program.mesh)
    write_evaluation(result, run.evaluation(split), run.curves)


def _ranges(settings: Config, tree: Dataset, source: Source) -> Ranges:
    """What the network sees in training: slices as they are and, with `augment.strip`, without skull."""
    ranges = tree.ranges["train"]
    if not settings.augment.strip:
        return ranges
    pairs = console.track((source[i] for i in range(len(source))), len(source), "Measuring brains")
    brains = [appearance.measure(quantise(np.where(label > 0, image, 0))) for image, label in pairs]
    return appearance.union(ranges, appearance.ranges(brains))


def _check_same(run: Run, tree: Dataset) -> None:
    """Refuse to go on with other slices than those that a run was started with."""
    recorded = run.provenance["data_fingerprints"]
    if changed := [s for s in ("train", "validate") if recorded.get(s) != tree.fingerprints[s]]:
        raise UserError(
            f"The slices in {tree.root} are not those that {run.folder} was started with ({' and '.join(changed)} "
            "differ): name another --run, or the old --data.root."
        )
