"""What a model is, what it sees, and what it was trained on: for `info`, and for the card of an export."""

from typing import Any

from oasis_jax import classes, pretrained
from oasis_jax.network import unet
from oasis_jax.runs.checkpoints import CheckpointInfo
from oasis_jax.runs.folder import Run

_OASIS = "slices of OASIS-1 (keras_png_slices_data)"

SHIPPED = {
    pretrained.FOLDER: (
        "T1 scans of whole heads, with or without skull; for research only",
        [_OASIS, "scans of OASIS-1 without skull (malf.templates)", "heads drawn from label maps of SynthSeg"],
    ),
    pretrained.MODELS["pretrained-slices"]: (
        "slices that lie as those of OASIS, in its atlas; for research only",
        [_OASIS],
    ),
}
"""By the folder of a model that comes with the program: what it is for, and its data, in place of their folders."""


def describe(run: Run, checkpoint: CheckpointInfo | None) -> dict[str, Any]:
    """What a run or a model file, with one of its checkpoints, says of itself, as JSON values; None for the rest."""
    model, data, recorded = run.config.model, run.config.data, run.provenance
    roots, cut = (data.root, *data.join), recorded.get("slice_cut", {})
    folders = ["phantoms" if root is None else root.name for root in roots]
    purpose, sources = SHIPPED.get(run.folder, (None, folders))
    return {
        "name": run.name,
        "kind": "training" if run.weights is None else "model file",
        "purpose": purpose,
        "network": {
            "parameters": unet.count_parameters(unet.network(model).abstract(run.shape)),
            "levels": model.levels,
            "filters_of_the_first_convolution": model.stem,
        },
        "sees": {
            "plane": cut.get("axis"),
            "heights": cut.get("heights"),  # the share of the brain below and above; None: every height
            "slice": list(run.size),
            "window": None if model.crop is None else list(model.crop),
            "spacing_mm": cut.get("spacing"),
            "neighbours_on_each_side": data.neighbours,
            "looks": recorded.get("slice_looks"),  # the range of intensities
        },
        "classes": list(classes.NAMES),
        "trained_on": {
            "data": sources,
            "fingerprints": recorded["data_fingerprints"],
            "started_from": recorded.get("init") if purpose is None else None,
            "started": recorded.get("started"),
            "seed": recorded.get("seed"),
            "versions": recorded.get("versions"),
        },
        "checkpoint": checkpoint
        and {"step": checkpoint.step, "validation_loss": checkpoint.loss, "sha256": checkpoint.digests["params"]},
    }
