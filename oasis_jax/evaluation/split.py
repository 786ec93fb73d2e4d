"""A split of slices against its labels."""

import jax
import numpy as np
from jaxtyping import UInt8

from oasis_jax.data.batches import Source
from oasis_jax.data.dataset import Dataset
from oasis_jax.evaluation.result import Evaluated
from oasis_jax.inference import score
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.metrics import surface
from oasis_jax.metrics.surface import SurfaceTable
from oasis_jax.network import unet
from oasis_jax.system import console


def evaluate_split(networks: Ensemble, tree: Dataset, split: str, source: Source, mesh: jax.sharding.Mesh) -> Evaluated:
    """Evaluate one or several networks on a split.

    Args:
        networks: whose probabilities are averaged.
        tree: the data.
        split: the split of the tree.
        source: its slices.
        mesh: where the parameters lie.

    Raises:
        UserError: the networks were trained on slices of another size.
    """
    config, pairs = networks.runs[0].config, tree.splits[split]
    for one in networks.runs:
        unet.check_frame(one.config.model, tree.size)
    batch = -(-config.train.batch // mesh.size) * mesh.size  # that of training, as all devices can share it
    table, predictions = score.score(
        score.compiled_eval_step(config, networks.apply(), mesh),
        networks.params,
        source,
        config.data,
        batch,
        mesh,
        lambda items, total: console.track(items, total, f"Evaluating {split}"),
    )
    return Evaluated(
        pairs=pairs,
        subjects=tree.subjects,
        slices=source,
        predictions=list(predictions),
        table=table,
        surfaces=None if tree.spacing is None else _surfaces(source, predictions, tree.spacing[:2]),
        spacing={pair.case: tree.spacing for pair in pairs},
    )


def _surfaces(
    source: Source, predictions: UInt8[np.ndarray, "slices rows columns"], spacing: tuple[float, float]
) -> SurfaceTable:
    """The surfaces of every slice, in 2D."""
    pairs = ((source[i][1], prediction) for i, prediction in enumerate(predictions))
    return surface.compare_slices(console.track(pairs, len(predictions), "Surfaces"), spacing)
