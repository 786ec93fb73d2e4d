"""What is said of a network that leaves its run: the card beside an exported model, and the text in a model file."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oasis_jax import classes, config
from oasis_jax.config import Config
from oasis_jax.evaluation.record import Metrics
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.runs import folder as run_folder
from oasis_jax.runs.folder import Run
from oasis_jax.system import records

SCHEMA = 1
"""Of `card.json`; a change that could break a reader raises it."""

PLATFORMS = ("cpu", "cuda", "tpu")
"""The one file of an exported model is lowered for all of these."""

_PRIVATE = ("command", "devices", "processes")
"""Parts of a run's provenance that say something about the machine."""


def input_shape(run: Run) -> tuple[int, ...]:
    """Shape of one slice: (rows, columns), with neighbours (rows, columns, channels)."""
    return run.shape if run.config.data.neighbours else run.size


def describe_export(networks: Ensemble, metrics: dict[str, Metrics], lowered: bytes, file: str) -> dict[str, Any]:
    """The content of `card.json`.

    Args:
        networks: what was exported.
        metrics: what its evaluations wrote, by split.
        lowered: the content of the model file.
        file: its name.
    """
    run, chosen = networks.runs[0], networks.checkpoints[0]
    return {
        "schema": SCHEMA,
        "model": {
            "file": file,
            "sha256": hashlib.sha256(lowered).hexdigest(),
            "format": "jax.export",
            "platforms": list(PLATFORMS),
        },
        **_interface(run),
        "training_data": _training_data(run),
        "checkpoint": {"step": chosen.step, "validation_loss": chosen.loss},
        "averaged": records.to_json(networks.averaged),
        "scores": records.to_json(metrics),
        "config": config.to_json(_anonymous(run)),
        "versions": {"trained": run.provenance["versions"], "exported": run_folder.versions()},
        "exported": _now(),
        "licence": "The weights follow the terms of the data they were trained on.",
    }


def describe_weights(networks: Ensemble) -> dict[str, Any]:
    """The text in a model file of one network: all that `runs.folder.load` needs, and when it was written."""
    run, chosen = networks.runs[0], networks.checkpoints[0]
    return {
        "config": config.to_json(_anonymous(run)),
        "provenance": {name: value for name, value in run.provenance.items() if name not in _PRIVATE},
        "checkpoint": {"step": chosen.step, "loss": chosen.loss, "sha256": chosen.digests["params"]},
        "exported": {"time": _now(), "versions": run_folder.versions()},
    }


def _interface(run: Run) -> dict[str, Any]:
    """What goes into an exported model and what comes out."""
    names = zip(classes.NAMES, classes.GREYS, strict=True)
    return {
        "input": {
            "shape": ["batch", *input_shape(run)],
            "dtype": "uint8",
            "range": [0, 255],
            "meaning": "grey levels of slices, as in the image files",
            "neighbours": {
                "on_each_side": run.config.data.neighbours,
                "order": "channels run from the lowest slice to the highest; the slice that is labelled is the middle",
                "at_the_ends": "the last slice is repeated",
            },
        },
        "normalisation": {"method": run.config.data.normalise, "place": "inside the model"},
        "output": {
            "shape": ["batch", *run.size, classes.COUNT],
            "dtype": "float32",
            "range": [0, 1],
            "meaning": "probability of each class; they add up to 1 in each pixel",
        },
        "classes": [{"index": i, "name": name, "label_grey": grey} for i, (name, grey) in enumerate(names)],
    }


def _training_data(run: Run) -> dict[str, Any]:
    """The slices of training, and how they were cut and look, so that others can be made alike."""
    root = run.config.data.root
    return {
        "name": "phantoms" if root is None else root.name,
        "fingerprints": run.provenance["data_fingerprints"],
        # Older runs did not record these.
        **{name: run.provenance[name] for name in ("slice_cut", "slice_looks") if name in run.provenance},
    }


def _anonymous(run: Run) -> Config:
    """The config without the folders of this machine: what leaves a run travels."""
    settings = run.config
    root = settings.data.root and Path(settings.data.root.name)
    return replace(settings, run=Path(run.name), data=replace(settings.data, root=root))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
