"""A run from its config to its evaluated best checkpoint."""

import dataclasses
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from oasis_jax import config
from oasis_jax.config import SPLITS, Config
from oasis_jax.data import appearance
from oasis_jax.data.appearance import Ranges
from oasis_jax.data.batches import Source
from oasis_jax.data.dataset import Dataset
from oasis_jax.data.open import open_data
from oasis_jax.data.volumes.frame import quantise
from oasis_jax.evaluation import record
from oasis_jax.evaluation.record import Metrics
from oasis_jax.evaluation.split import evaluate_split
from oasis_jax.inference import ensemble
from oasis_jax.network import unet
from oasis_jax.report.write import is_current, show, write_split
from oasis_jax.runs import arrays, checkpoint
from oasis_jax.runs import folder as run_folder
from oasis_jax.runs.folder import Run
from oasis_jax.system import console, distributed, records, sharding
from oasis_jax.system.errors import UserError
from oasis_jax.training import program as programs
from oasis_jax.training import start
from oasis_jax.training.loop import optimize
from oasis_jax.training.stop import stop_signals


def train(settings: Config) -> None:
    """Train the run that the config names from where it stands to its end, then evaluate its best checkpoint.

    Raises:
        UserError: a mistake in config or data, a damaged run, or a loss that is no longer finite.
        SystemExit: a signal stopped the run; all is saved.
    """
    config.validate(settings)
    arrays.check_folder(settings.run)
    if settings.data.root is not None:  # so that the run can be evaluated from any folder
        joined = tuple(folder.absolute() for folder in settings.data.join)
        settings = replace(settings, data=replace(settings.data, root=settings.data.root.absolute(), join=joined))
    sharding.configure_jax()
    if run_folder.exists(settings.run):
        _same_run(settings)  # a quick refusal, before any data is read
    else:
        run_folder.check_free(settings.run)
    split = settings.train.evaluate
    tree = open_data(settings, tuple(s for s in SPLITS if s in ("train", "validate", split)))
    # Whatever a user can get wrong about data and devices is found before a run folder is made.
    params, origin = _start(settings, tree)
    program = programs.build(settings, tree, params)
    with run_folder.lock(settings.run):
        if run_folder.exists(settings.run):
            run = _same_run(settings)
            _same_data(run, tree)
            _same_start(run, origin)
            run_folder.save(run)  # the data may have moved
        else:
            run = run_folder.create(
                settings, _data_record(tree, _ranges(settings, tree, program.sources["train"])) | origin
            )
        with stop_signals() as stop:
            step = optimize(run, program, stop)
        if number := max(distributed.all_gather(stop.signal)):
            _leave(run, step, number)
        show(_final_scores(run, tree, split, program.sources[split], program.mesh), run.evaluation(split))


def _start(settings: Config, tree: Dataset) -> tuple[unet.Params | None, dict[str, Any]]:
    """The parameters to start from and what the run remembers of them; nothing where a checkpoint takes their place."""
    if settings.train.init is None or checkpoint.list_checkpoints_of_all(settings.run / run_folder.CHECKPOINTS)[0]:
        return None, {}
    return start.parameters(settings, tree.size)


def _same_start(run: Run, origin: dict[str, Any]) -> None:
    if origin and run.provenance.get("init") != origin["init"]:
        raise UserError(
            f"{run.config.train.init} holds other parameters than when {run.folder} was started: name another --run."
        )


def _ranges(settings: Config, tree: Dataset, source: Source) -> Ranges:
    """What the network sees in training: slices as they are and, with `augment.strip`, without skull."""
    ranges = tree.ranges["train"]
    if not settings.augment.strip:
        return ranges
    pairs = console.track((source[i] for i in range(len(source))), len(source), "Measuring brains")
    brains = [appearance.measure(quantise(np.where(label > 0, image, 0))) for image, label in pairs]
    return appearance.union(ranges, appearance.ranges(brains))


def _data_record(tree: Dataset, ranges: Ranges) -> dict[str, Any]:
    """What a run remembers of its data."""
    return {
        "data_fingerprints": tree.fingerprints,
        "slice_size": list(tree.size),
        "slice_cut": dataclasses.asdict(tree.cut),
        "slice_looks": ranges,
    }


def _same_run(settings: Config) -> Run:
    """The run on disk, with those settings of the command that may differ from its own."""
    run = run_folder.load(settings.run)
    if changed := config.differences(run.config, settings):
        longer = any(name.startswith(("train.epochs:", "train.steps:")) for name in changed)
        raise UserError(
            f"{settings.run} was started with other settings ({'; '.join(changed)}): "
            "name another --run, or repeat the old settings to resume."
            + (f" To train it further, add --init {settings.run} to another --run." if longer else "")
        )
    return run._replace(config=settings)


def _same_data(run: Run, tree: Dataset) -> None:
    recorded = run.provenance["data_fingerprints"]
    if changed := [s for s in ("train", "validate") if recorded.get(s) != tree.fingerprints[s]]:
        raise UserError(
            f"The slices in {tree.root} are not those that {run.folder} was started with ({' and '.join(changed)} "
            "differ): name another --run, or the old --data.root."
        )


def _final_scores(run: Run, tree: Dataset, split: str, source: Source, mesh: jax.sharding.Mesh) -> Metrics:
    """The evaluation of the best checkpoint: the one on disk where it is of this very checkpoint and data."""
    metrics = _scores_on_disk(run, tree, split)
    if shared := distributed.broadcast(None if metrics is None else records.to_json(metrics)):
        return records.from_json(Metrics, shared)
    networks = ensemble.load([run], mesh)
    evaluated = evaluate_split(networks, tree, split, source, mesh)
    return write_split(networks, tree, split, evaluated, run.evaluation(split))


def _scores_on_disk(run: Run, tree: Dataset, split: str) -> Metrics | None:
    try:
        metrics = record.read(Metrics, run.evaluation(split) / record.METRICS)
    except (OSError, UserError):
        return None  # not there yet, damaged, or of another version: it will be made again
    return metrics if is_current(metrics, run, tree) else None


def _leave(run: Run, step: int, number: int) -> None:
    saved = f"Saved {run.folder} after step {step}." if step else "Stopped before the first step."
    console.say(f"{saved} Start the same command again to go on.")
    raise SystemExit(128 + number)
