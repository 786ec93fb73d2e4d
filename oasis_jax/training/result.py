"""The scores of a finished training: the evaluation of its best checkpoint."""

from oasis_jax.evaluation import record
from oasis_jax.evaluation.record import Metrics, read_record
from oasis_jax.evaluation.split import evaluate_split
from oasis_jax.geometry import common
from oasis_jax.inference import ensemble
from oasis_jax.report.write import show, write_evaluation
from oasis_jax.system import distributed, records
from oasis_jax.system.errors import UserError
from oasis_jax.training.setup import Finished


def show_scores(finished: Finished) -> None:
    """Evaluate the best checkpoint of a training on the split that its config names, and print the scores.

    An evaluation on disk is used again if it is of this very checkpoint and data.
    """
    run, split = finished.run, finished.run.config.train.evaluate
    folder = run.evaluation(split)
    metrics = _on_disk(finished, split)
    if shared := distributed.broadcast(None if metrics is None else records.to_json(metrics)):
        show(records.from_json(Metrics, shared), folder)
        return
    mesh, source = finished.program.mesh, finished.program.sources[split]
    networks = ensemble.load([run], mesh)
    result = evaluate_split(networks, finished.tree, split, source, mesh)
    write_evaluation(result, folder, run.curves)


def _on_disk(finished: Finished, split: str) -> Metrics | None:
    """The evaluation on disk; None if it is not there yet, damaged, or of another checkpoint, data or version."""
    tree, best = finished.tree, finished.checkpoints.best
    try:
        metrics = read_record(Metrics, finished.run.evaluation(split) / record.METRICS)
    except (OSError, UserError):
        return None
    is_current = (
        best is not None
        and metrics.step == best.step
        and metrics.averaged is None
        and metrics.data_fingerprint == tree.fingerprints.get(metrics.split)
        and metrics.spacing_mm == common([tree.spacing[pair.case] for pair in tree.splits[metrics.split]])
    )
    return metrics if is_current else None
