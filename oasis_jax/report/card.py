"""Descriptions of exported networks: the card beside an exported model, and the metadata of a model file."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oasis_jax import classes
from oasis_jax.config import Config
from oasis_jax.evaluation.record import Metrics
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.runs.folder import Run, versions
from oasis_jax.runs.trained import lowest_confidence
from oasis_jax.system import records

SCHEMA = 1
"""Version of `card.json`. Any change that could break a reader raises it."""

PLATFORMS = ("cpu", "cuda", "tpu")
"""Platforms of an exported model; its file works on all of them."""

_PRIVATE = ("command", "devices", "processes")
"""Entries of the provenance of a run that describe the machine or its user."""


def input_shape(run: Run) -> tuple[int, ...]:
    """Shape of an input slice of an exported model: (rows, columns), with neighbours (rows, columns, channels)."""
    return run.shape if run.config.data.neighbours else run.size


def describe_export(networks: Ensemble, metrics: dict[str, Metrics], lowered: bytes, file: str) -> dict[str, Any]:
    """The content of `card.json`.

    Args:
        networks: the exported networks.
        metrics: the contents of `metrics.json` of their evaluations, by split.
        lowered: the content of the file of the exported model.
        file: the name of that file.
    """
    run, checkpoint = networks.runs[0], networks.checkpoints[0]
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
        "checkpoint": {"step": checkpoint.step, "validation_loss": checkpoint.loss},
        "averaged": records.to_json(networks.averaged),
        "scores": records.to_json(metrics),
        "config": records.to_json(_anonymous(run)),
        "versions": {"trained": run.provenance["versions"], "exported": versions()},
        "exported": _timestamp(),
        "licence": "The weights follow the terms of the data they were trained on.",
    }


def describe_weights(networks: Ensemble) -> dict[str, Any]:
    """The metadata of a model file, which holds one network: all that `runs.folder.load` needs, and the export time."""
    run, checkpoint = networks.runs[0], networks.checkpoints[0]
    return {
        "config": records.to_json(_anonymous(run)),
        "provenance": {name: value for name, value in run.provenance.items() if name not in _PRIVATE},
        "checkpoint": {
            "step": checkpoint.step,
            "loss": checkpoint.loss,
            "lowest_confidence": lowest_confidence(run, checkpoint.step),
            "sha256": checkpoint.digests["params"],
        },
        "exported": {"time": _timestamp(), "versions": versions()},
    }


def _interface(run: Run) -> dict[str, Any]:
    """Input and output of an exported model."""
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
    """The slices of training: how they were cut, and their range of intensities, for users who make similar ones."""
    roots = (run.config.data.root, *run.config.data.join)
    return {
        "name": " and ".join("phantoms" if root is None else root.name for root in roots),
        "fingerprints": run.provenance["data_fingerprints"],
        # Older runs do not have these entries.
        **{name: run.provenance[name] for name in ("slice_cut", "slice_looks") if name in run.provenance},
    }


def _anonymous(run: Run) -> Config:
    """The config without folders of this machine, because other people read the card."""
    settings, data, train = run.config, run.config.data, run.config.train
    return replace(
        settings,
        run=Path(run.name),
        data=replace(data, root=data.root and Path(data.root.name), join=tuple(Path(x.name) for x in data.join)),
        train=replace(train, init=train.init and Path(train.init).name),
    )


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
