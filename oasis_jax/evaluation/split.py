"""Evaluate networks on the slices of a split."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import UInt8

from oasis_jax.data.batches import Source
from oasis_jax.data.dataset import Dataset
from oasis_jax.evaluation import score
from oasis_jax.evaluation.evaluated import Evaluated
from oasis_jax.evaluation.result import Result, finish
from oasis_jax.evaluation.summary import CAUTIONS
from oasis_jax.geometry import Spacing
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.metrics import surface
from oasis_jax.metrics.surface import SurfaceTable
from oasis_jax.network import unet
from oasis_jax.system import console
from oasis_jax.system.files import plain_name


def evaluate_split(networks: Ensemble, tree: Dataset, split: str, source: Source, mesh: jax.sharding.Mesh) -> Result:
    """Evaluate one or several networks on a split.

    Args:
        networks: the networks; their probabilities are averaged.
        tree: the data.
        split: name of the split.
        source: slices of the split.
        mesh: devices that hold the parameters.

    Raises:
        UserError: the crop of a network does not fit the slices.
    """
    config, pairs = networks.runs[0].config, tree.splits[split]
    for run in networks.runs:
        unet.check_frame(run.config.model, tree.size)
    batch = -(-config.train.batch // mesh.size) * mesh.size  # as in training, rounded up to share it among all devices
    table, predictions = score.score(
        score.compiled_eval_step(config, networks.apply(), mesh),
        networks.params,
        source,
        config.data,
        batch,
        mesh,
        console.track,
        f"Evaluating {split}",
    )
    evaluated = Evaluated(
        pairs=pairs,
        subjects=tree.subjects,
        slices=source,
        predictions=list(predictions),
        table=table,
        surfaces=_surfaces(source, predictions, [tree.spacing[pair.case] for pair in pairs]),
        spacing={pair.case: tree.spacing[pair.case] for pair in pairs},
    )
    return finish(
        networks,
        evaluated,
        data="phantoms" if config.data.root is None else plain_name(tree.root),
        split=split,
        fingerprint=tree.fingerprints[split],
        caveats=CAUTIONS.get(split, ()),
    )


def _surfaces(
    source: Source, predictions: UInt8[np.ndarray, "slices rows columns"], spacing: Sequence[Spacing | None]
) -> SurfaceTable | None:
    """Compare the surfaces of each slice in 2D; None if a spacing is unknown."""
    known = [mm[:2] for mm in spacing if mm is not None]
    if len(known) < len(spacing):
        return None
    pairs = ((source[i][1], prediction) for i, prediction in enumerate(predictions))
    return surface.compare_slices(console.track(pairs, len(predictions), "Surfaces"), known)
