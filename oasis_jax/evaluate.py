"""`python -m oasis_jax.evaluate RUN`: restore the best checkpoint and report its scores on a split or on volumes."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from rich.console import Console

from oasis_jax import (
    checkpoint,
    evaluation,
    hosts,
    model,
    native,
    outputs,
    parallel,
    pipeline,
    progress,
    restore,
    results,
    run,
    scoring,
    segment,
    surface,
    tables,
)
from oasis_jax.config import Config, Data, Split
from oasis_jax.data import phantom, study
from oasis_jax.data.frame import Spacing
from oasis_jax.data.tree import Tree, load_tree
from oasis_jax.data.volume import check_orientation
from oasis_jax.errors import UserError, leave_some, run_command
from oasis_jax.evaluation import Evaluated
from oasis_jax.run import Run
from oasis_jax.storage import write_folder
from oasis_jax.surface import SurfaceTable


@dataclass(frozen=True)
class Arguments:
    """Evaluate the best checkpoint of a run on a split, or on whole volumes, and write tables, pictures and a report to
    RUN/evaluation/SPLIT, or RUN/evaluation/volumes."""

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
    images: str | None = None
    """Evaluate whole T1 volumes on their own voxels: their path, in which {subject} (and {session}) stand for what
    varies, as "study/sub-{subject}/*_T1w.nii.gz"."""
    labels: str | None = None
    """The same for their label volumes."""
    values: Annotated[study.LabelValues, tyro.conf.arg(name="")] = study.LabelValues()  # noqa: RUF009
    orientation: str | None = None
    """Where the axes of volumes lead that do not say so themselves, as RAS or LPI."""
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
    source = pipeline.open_source(pairs, config.data)
    table, predictions = scoring.score(
        scoring.compiled_eval_step(config, apply, mesh),
        params,
        source,
        config.data,
        batch,
        mesh,
        lambda items, total: progress.track(items, total, f"Evaluating {split}"),
    )
    spacing = _spacing(trained, tree)
    if spacing != config.data.spacing_mm != Data().spacing_mm:
        mm = " ".join(map(str, spacing or ()))
        progress.say(f"Note: {tree.root} says that its pixels are {mm} mm; that is used, not data.spacing_mm.")
    found = Evaluated(
        pairs=pairs,
        subjects=tree.subjects,
        slices=source,
        predictions=list(predictions),
        table=table,
        surfaces=None if spacing is None else _surfaces(source, predictions, spacing[:2]),
        spacing={pair.case: spacing for pair in pairs},
    )
    name = "phantoms" if config.data.root is None else tree.root.name
    return write(
        trained, found, name, split, card.step, tree.fingerprints[split], asked, tables.CAUTIONS.get(split, ())
    )


def evaluate_volumes(trained: Run, arguments: Arguments) -> tuple[dict[str, Any], list[str]]:
    """Evaluate a checkpoint of a run on whole volumes; write RUN/evaluation/volumes.

    Returns:
        Its `metrics.json`, and a sentence about each scan that could not be evaluated.

    Raises:
        UserError: volumes that cannot be paired, none that can be used, or no such checkpoint.
    """
    if arguments.distributed:
        raise UserError("Whole volumes are evaluated by one process: leave out --distributed.")
    if arguments.images is None or arguments.labels is None:
        raise UserError("Whole volumes need both --images and --labels.")
    if arguments.split is not None or arguments.data_root is not None:
        raise UserError("--images and --labels name the data: leave out --split and --data-root.")
    check_orientation(arguments.orientation)
    values = arguments.values.by_class()
    scans = study.pair_scans(arguments.images, arguments.labels)
    mesh = parallel.make_mesh(jax.device_count())
    cut = outputs.trained_on(trained).cut
    card, params = restore.best_parameters(trained, mesh, arguments.step)
    found, problems = native.evaluate_volumes(
        scans,
        values,
        segment.framing(trained, cut.axis),
        segment.segmenter(trained, params, mesh),
        segment.batch_sizes(trained),
        trained.config.optim.cross_entropy,
        progress.track,
        progress.say,
        arguments.orientation,
    )
    if wrong := [i for i in arguments.slices if not 0 <= i < len(found.pairs)]:
        raise UserError(f"The volumes have slices 0 to {len(found.pairs) - 1}; there is no slice {wrong[0]}.")
    low, high = cut.heights
    caveats = [
        f"Training saw slices from {low:.2f} to {high:.2f} of the brain's height; these are whole volumes, and what "
        "the network says of other heights is a guess."
    ]
    if problems:
        caveats.append(f"{len(problems)} of {len(scans)} scans could not be evaluated and are left out.")
    if found.surfaces is None:
        caveats.append("Surfaces are not compared, because the voxels of a volume are not rectangular.")
    fingerprint = native.fingerprint([scan for scan in scans if scan.case in found.subjects], progress.track)
    data = Path(arguments.images).name
    return write(trained, found, data, "volumes", card.step, fingerprint, arguments.slices, caveats), problems


def write(
    trained: Run,
    found: Evaluated,
    data: str,
    split: str,
    step: int,
    fingerprint: str,
    asked: Sequence[int] = (),
    caveats: Sequence[str] = (),
) -> dict[str, Any]:
    """Score what was found and write RUN/evaluation/SPLIT anew; return the content of its `metrics.json`."""
    scores, counts = evaluation.measure(found)
    scores["caveats"] = list(caveats)
    spacings = set(found.spacing.values())
    known = {
        "run": trained.folder.name,
        "data": data,
        "split": split,
        "step": step,
        "data_fingerprint": fingerprint,
        "spacing_mm": spacings.pop() if len(spacings) == 1 else None,
    }
    metrics = known | {"scores": scores}
    if jax.process_index() == 0:
        write_folder(
            trained.evaluation(split),
            lambda part: results.write(part, metrics, known | counts, found, trained.folder / "curves.png", asked),
            replace=True,
        )
    return metrics


def _surfaces(source: pipeline.Source, predictions: np.ndarray, spacing: tuple[float, float]) -> SurfaceTable:
    """The surfaces of every slice, in 2D."""
    pairs = ((source[i][1], prediction) for i, prediction in enumerate(predictions))
    return surface.compare_slices(progress.track(pairs, len(predictions), "Surfaces"), spacing)


def _spacing(trained: Run, tree: Tree) -> Spacing | None:
    """What the tree says of itself comes before the settings."""
    return tree.cut.spacing or trained.config.data.spacing_mm


def is_current(metrics: dict[str, Any], trained: Run, tree: Tree) -> bool:
    """Whether the content of a `metrics.json` is of the best checkpoint, of this data, and in these millimetres."""
    best = checkpoint.best(checkpoint.cards(trained.checkpoints)[0])
    spacing = _spacing(trained, tree)
    return (
        best is not None
        and metrics["step"] == best.step
        and metrics["data_fingerprint"] == tree.fingerprints[metrics["split"]]
        and metrics["spacing_mm"] == (None if spacing is None else list(spacing))
    )


def show(metrics: dict[str, Any], folder: Path) -> None:
    """Print an evaluation's table on the standard output."""
    if jax.process_index() == 0:
        # Wide enough for the whole table where the output is no terminal.
        Console(width=None if sys.stdout.isatty() else 150).print(tables.score_table(metrics), highlight=False)
        print(f"Tables and pictures: {folder}")


def main() -> None:
    arguments = tyro.cli(Arguments, prog="python -m oasis_jax.evaluate")
    with hosts.joined(arguments.distributed, arguments):
        _evaluate_run(arguments)


def _evaluate_run(arguments: Arguments) -> None:
    trained = run.load(arguments.run)
    if arguments.data_root is not None:
        trained = trained.at_data(arguments.data_root)
    parallel.start()
    if arguments.images is not None or arguments.labels is not None:
        metrics, problems = evaluate_volumes(trained, arguments)
        show(metrics, trained.evaluation("volumes"))
        if problems:
            listing = "\n".join(f"  {problem}" for problem in problems)
            leave_some(f"{len(problems)} scan(s) could not be evaluated, the others are:\n{listing}")
        return
    if arguments.values != study.LabelValues() or arguments.orientation is not None:
        raise UserError(
            "--background, --csf, --gray, --white and --orientation are for volumes: name them with --images and "
            "--labels."
        )
    split = arguments.split or trained.config.train.evaluate
    tree = open_data(trained.config, (split,))
    recorded = trained.provenance["data_fingerprints"].get(split)
    if recorded not in (None, tree.fingerprints[split]):
        progress.say(f"Note: {split} is not the {split} split that this run was started with.")
    show(evaluate(trained, tree, split, arguments.step, arguments.slices), trained.evaluation(split))


if __name__ == "__main__":
    run_command(main)
