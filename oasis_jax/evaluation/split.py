"""A split of slices against its labels."""

import jax
import numpy as np

from oasis_jax.config import Data
from oasis_jax.data.batches import Source, open_source
from oasis_jax.data.dataset import Dataset
from oasis_jax.data.geometry import Spacing
from oasis_jax.evaluation.result import Evaluated
from oasis_jax.inference import score
from oasis_jax.metrics import surface
from oasis_jax.metrics.surface import SurfaceTable
from oasis_jax.network import unet
from oasis_jax.runs import restore
from oasis_jax.runs.folder import Run
from oasis_jax.system import console, sharding


def evaluate_split(trained: Run, tree: Dataset, split: str, at_step: int | None = None) -> tuple[Evaluated, int]:
    """Evaluate a checkpoint of a run on a split.

    Args:
        trained: the run; only its folder is read.
        tree: the data.
        split: the split of the tree.
        at_step: the checkpoint; None is the one with the lowest validation loss.

    Returns:
        The evaluation, and the step of the checkpoint.

    Raises:
        UserError: no such checkpoint, or a damaged one.
    """
    config, pairs = trained.config, tree.splits[split]
    unet.check_frame(config.model, tree.size)
    batch = -(-config.train.batch // jax.device_count()) * jax.device_count()
    mesh = sharding.make_mesh(batch)
    card, params = restore.best_parameters(trained, mesh, at_step)
    _, apply = unet.network(config.model)
    source = open_source(pairs, config.data)
    table, predictions = score.score(
        score.compiled_eval_step(config, apply, mesh),
        params,
        source,
        config.data,
        batch,
        mesh,
        lambda items, total: console.track(items, total, f"Evaluating {split}"),
    )
    spacing = pixel_spacing(trained, tree)
    if spacing != config.data.spacing_mm != Data().spacing_mm:
        mm = " ".join(map(str, spacing or ()))
        console.say(f"Note: {tree.root} says that its pixels are {mm} mm; that is used, not data.spacing_mm.")
    found = Evaluated(
        pairs=pairs,
        subjects=tree.subjects,
        slices=source,
        predictions=list(predictions),
        table=table,
        surfaces=None if spacing is None else _surfaces(source, predictions, spacing[:2]),
        spacing={pair.case: spacing for pair in pairs},
    )
    return found, card.step


def _surfaces(source: Source, predictions: np.ndarray, spacing: tuple[float, float]) -> SurfaceTable:
    """The surfaces of every slice, in 2D."""
    pairs = ((source[i][1], prediction) for i, prediction in enumerate(predictions))
    return surface.compare_slices(console.track(pairs, len(predictions), "Surfaces"), spacing)


def pixel_spacing(trained: Run, tree: Dataset) -> Spacing | None:
    """What the tree says of itself comes before the settings."""
    return tree.cut.spacing or trained.config.data.spacing_mm
