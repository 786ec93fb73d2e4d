"""`python -m oasis_jax.evaluate RUN`: restore the best checkpoint and report per-class Dice on a split."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from rich.console import Console

from oasis_jax import (
    checkpoint,
    hosts,
    model,
    parallel,
    pictures,
    pipeline,
    progress,
    report,
    restore,
    run,
    scores,
    scoring,
    surface,
    tables,
)
from oasis_jax.config import Config, Split
from oasis_jax.data import phantom
from oasis_jax.data.tree import Tree, load_tree
from oasis_jax.errors import UserError, run_command
from oasis_jax.run import Run
from oasis_jax.scores import SliceTable
from oasis_jax.storage import write_folder


@dataclass(frozen=True)
class Arguments:
    """Evaluate the best checkpoint of a run on a split and write tables and pictures to RUN/evaluation/SPLIT."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, as training made it; its config says all else."""
    split: Split | None = None
    """train, validate or test. None: the one the run's config names."""
    slices: tuple[int, ...] = ()
    """Draw these slices too, by index in the split."""
    data_root: Path | None = None
    """Where the slices lie now, if not where they lay in training."""
    step: int | None = None
    """Evaluate the checkpoint of this step, not the best one."""
    distributed: hosts.Flag = False
    """Share the work with the other processes of this job, each started with this command (docs/devices.md)."""


def open_data(config: Config, splits: tuple[str, ...]) -> Tree:
    """The checked tree of a config; the phantoms are made first where it asks for them."""
    with hosts.in_turn():
        root = config.data.root or phantom.default_tree(progress.track)
        tree = load_tree(root, splits, progress.track)
    hosts.agree(tree.fingerprints, f"does not have the same slices in {root}")
    return tree


def evaluate(
    trained: Run, tree: Tree, split: str, at_step: int | None = None, asked: tuple[int, ...] = ()
) -> dict[str, Any]:
    """Evaluate a checkpoint of a run on a split; write the report; return the content of its `metrics.json`.

    Args:
        trained: the run; only its folder is read.
        tree: the data.
        split: the split of the tree.
        at_step: the checkpoint; None is the one with the lowest validation loss.
        asked: indices of slices to draw beside the best, the median and the worst.

    Raises:
        UserError: no such checkpoint or slice, or a damaged checkpoint.
    """
    config, pairs = trained.config, tree.splits[split]
    if wrong := [i for i in asked if not 0 <= i < len(pairs)]:
        raise UserError(f"{split} has slices 0 to {len(pairs) - 1}; there is no slice {wrong[0]}.")
    model.check_frame(config.model, tree.size)
    batch = -(-config.train.batch // jax.device_count()) * jax.device_count()
    mesh = parallel.make_mesh(batch)
    card, params = restore.best_parameters(trained, mesh, at_step)
    _, apply = model.network(config.model)
    source = pipeline.open_source(pairs, config.data, progress.track)
    table, predictions = scoring.score(
        scoring.compiled_eval_step(config, apply, mesh),
        params,
        source,
        config.data,
        batch,
        mesh,
        lambda items, total: progress.track(items, total, f"Evaluating {split}"),
    )
    metrics = {
        "data": "phantoms" if config.data.root is None else tree.root.name,
        "split": split,
        "step": card.step,
        "data_fingerprint": tree.fingerprints[split],
        "scores": scores.summarise(
            table, [tree.subjects[pair.case] for pair in pairs], _surfaces(source, predictions, config.data.spacing_mm)
        ),
    }
    if jax.process_index() == 0:
        curves = trained.folder / "curves.png"
        write_folder(
            trained.evaluation(split),
            lambda part: _fill(part, curves, metrics, tree, table, predictions, source, asked),
            replace=True,
        )
    return metrics


def _surfaces(
    source: pipeline.Source, predictions: np.ndarray, spacing: tuple[float, float] | None
) -> surface.SurfaceTable | None:
    """The surfaces of every slice, in 2D; None where the spacing is unknown."""
    if spacing is None:
        return None
    pairs = ((source[i][1], prediction) for i, prediction in enumerate(predictions))
    return surface.compare_slices(progress.track(pairs, len(predictions), "Surfaces"), spacing)


def is_current(metrics: dict[str, Any], trained: Run, tree: Tree) -> bool:
    """Whether the content of a `metrics.json` is of the best checkpoint and of this data."""
    best = checkpoint.best(checkpoint.cards(trained.checkpoints)[0])
    same_step = best is not None and metrics["step"] == best.step
    return (
        same_step
        and "surfaces" in metrics["scores"]
        and metrics["data_fingerprint"] == tree.fingerprints[metrics["split"]]
    )


def show(metrics: dict[str, Any], folder: Path) -> None:
    """Print an evaluation's table on the standard output."""
    if jax.process_index() == 0:
        # Wide enough for the whole table where the output is no terminal.
        Console(width=None if sys.stdout.isatty() else 150).print(tables.score_table(metrics), highlight=False)
        print(f"Tables and pictures: {folder}")


def _fill(
    part: Path,
    curves: Path,
    metrics: dict[str, Any],
    tree: Tree,
    table: SliceTable,
    predictions: np.ndarray,
    source: pipeline.Source,
    asked: tuple[int, ...],
) -> None:
    """Write all files of an evaluation into a folder."""
    pairs = tree.splits[metrics["split"]]
    (part / "slices").mkdir()
    (part / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    (part / "per_slice.csv").write_text(tables.per_slice_csv(pairs, tree.subjects, table), encoding="utf-8")
    page = report.report(metrics, pairs, tree.subjects, table, source, predictions, curves)
    (part / "report.html").write_text(page, encoding="utf-8")
    ranking = scores.slice_ranking(table)
    order = [int(i) for i in np.argsort(ranking, kind="stable") if not np.isnan(ranking[i])]
    wanted = [(f"index{i}", i) for i in asked]
    if order:
        wanted += [("worst", order[0]), ("median", order[len(order) // 2]), ("best", order[-1])]
    for name, i in wanted:
        image, truth = source[i]
        title = (
            f"{metrics['data']}, {metrics['split']}, index {i}: case {pairs[i].case}, slice {pairs[i].number}; "
            f"foreground Dice {ranking[i]:.4f}"
        )
        file = part / "slices" / f"{name}_case_{pairs[i].case}_slice_{pairs[i].number}.png"
        pictures.draw_slice(file, title, image, truth, predictions[i])


def main() -> None:
    arguments = tyro.cli(Arguments, prog="python -m oasis_jax.evaluate")
    with hosts.joined(arguments.distributed, arguments):
        _evaluate_run(arguments)


def _evaluate_run(arguments: Arguments) -> None:
    trained = run.load(arguments.run)
    if arguments.data_root is not None:
        trained = trained.at_data(arguments.data_root)
    split = arguments.split or trained.config.train.evaluate
    parallel.start()
    tree = open_data(trained.config, (split,))
    recorded = trained.provenance["data_fingerprints"].get(split)
    if recorded not in (None, tree.fingerprints[split]):
        progress.say(f"Note: {split} is not the {split} split that this run was started with.")
    show(evaluate(trained, tree, split, arguments.step, arguments.slices), trained.evaluation(split))


if __name__ == "__main__":
    run_command(main)
