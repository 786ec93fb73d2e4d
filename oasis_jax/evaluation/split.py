"""Evaluate networks on the slices of a split."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import jax

from oasis_jax.data.batches import Source
from oasis_jax.data.dataset import Dataset
from oasis_jax.evaluation import counting
from oasis_jax.evaluation.counting import Evaluated
from oasis_jax.evaluation.result import CAUTIONS, Result, finish
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.metrics import surface
from oasis_jax.network import unet
from oasis_jax.system import console
from oasis_jax.system.files import plain_name


def evaluate_split(networks: Ensemble, tree: Dataset, split: str, source: Source, mesh: jax.sharding.Mesh) -> Result:
    """Evaluate networks on the slices of a split; the devices of the mesh hold their parameters.

    Raises:
        UserError: the crop of a network does not fit the slices.
    """
    config, pairs = networks.runs[0].config, tree.splits[split]
    for run in networks.runs:
        unet.check_frame(run.config.model, tree.size)
    batch = -(-config.train.batch // mesh.size) * mesh.size  # as in training, rounded up to share it among all devices
    step = counting.compiled_eval_step(config, networks.apply(), mesh)
    counted = counting.count_slices(step, networks.params, source, batch, mesh, f"Evaluating {split}")
    spacing = {pair.case: tree.spacing[pair.case] for pair in pairs}
    in_plane = [mm[:2] for pair in pairs if (mm := spacing[pair.case]) is not None]
    surfaces = None
    if len(in_plane) == len(pairs):
        counted, compared = itertools.tee(counted)
        predicted = (prediction for _, predictions in compared for prediction in predictions)
        truth = (source[i][1] for i in range(len(pairs)))
        with ThreadPoolExecutor() as pool:  # which begins as soon as the network has labelled a slice
            # Predictions first: `map` asks them once more than there are, which closes their bar before the next opens.
            rows = pool.map(lambda ours, true, mm: surface.row(true, ours, mm), predicted, truth, in_plane)
            surfaces = surface.table(console.track(rows, len(pairs), "Surfaces"))
    table, predictions = counting.joined(list(counted))
    evaluated = Evaluated(pairs, tree.subjects, source, list(predictions), table, surfaces, spacing)
    data, fingerprint = "phantoms" if config.data.root is None else plain_name(tree.root), tree.fingerprints[split]
    return finish(networks, evaluated, data=data, split=split, fingerprint=fingerprint, caveats=CAUTIONS.get(split, ()))
