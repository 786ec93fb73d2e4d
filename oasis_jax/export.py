"""`python -m oasis_jax.export RUN --output DIR`: write a run as one file that JAX alone can load, and a card about it.

`model.jax_export` holds the network, its parameters and the normalisation as StableHLO (`jax.export`); `card.json` says
what goes in, what comes out and where it comes from. Nothing of this package is needed to use them.
"""

from oasis_jax.system import guard

if __name__ == "__main__":
    guard.install()  # before the imports that take seconds

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from jax import export as jax_export
from jaxtyping import Array, Float, UInt8

from oasis_jax import classes, config
from oasis_jax.config import SPLITS
from oasis_jax.data.normalise import normalise
from oasis_jax.evaluation import record
from oasis_jax.evaluation.record import Metrics
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.inference.segment import Segmenter
from oasis_jax.network import unet
from oasis_jax.runs import folder as run_folder
from oasis_jax.runs.folder import Run
from oasis_jax.system import records, sharding
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import UserError, run_command
from oasis_jax.system.files import atomic_folder, atomic_write, write_text

PLATFORMS = ("cpu", "cuda", "tpu")
"""The one file is lowered for all of these."""

SCHEMA = 1
"""Of `card.json`; a change that could break a reader of it raises it."""

_MODEL, _CARD = "model.jax_export", "card.json"

Closed = Callable[[Array], Array]
"""From slices to probabilities; nothing else is needed."""


@dataclass(frozen=True)
class Arguments:
    """Write the best checkpoint of a run as one file that JAX alone can load, with a card that describes it."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, as training made it."""
    output: Path
    """Folder to make; it must not exist yet."""
    mirror: bool = False
    """Average the probabilities of each slice and its mirror image inside the file."""
    with_: Annotated[tuple[Path, ...], tyro.conf.arg(name="with", metavar="RUN...")] = ()
    """Put these runs into the file too: it gives the mean of their probabilities."""


def closed(networks: Ensemble) -> Closed:
    """From grey levels to probabilities, with the parameters and the normalisation inside.

    Returns:
        A pure function of slices uint8 `(B, H, W)`, with neighbours `(B, H, W, C)`, grey levels 0 to 255 as on disk; it
        gives the probability of each class, float32 `(B, H, W, 4)`.
    """
    settings, apply = networks.runs[0].config, networks.apply()
    # From the host: the file is for one device, however many restored the checkpoint.
    params = jax.device_get(networks.params)

    def segment(slices: UInt8[Array, "batch height width ..."]) -> Float[Array, "batch height width 4"]:
        # Behind the barrier, parameters are unknown numbers to XLA, as in training and evaluation. Without it they are
        # folded into the arithmetic and rounded otherwise: in bfloat16 on a CPU, answers moved by 0.1.
        hidden = jax.lax.optimization_barrier(params)
        return jax.nn.softmax(apply(hidden, normalise(slices.reshape(*slices.shape[:3], -1), settings.data.normalise)))

    return segment


def input_shape(run: Run) -> tuple[int, ...]:
    """Of one slice: (rows, columns), with neighbours (rows, columns, channels)."""
    return run.shape if run.config.data.neighbours else run.size


def lower(segment: Closed, shape: tuple[int, ...]) -> bytes:
    """The serialised `jax.export` of a closed network: for any batch, slices of one shape, all `PLATFORMS`."""
    (batch,) = jax_export.symbolic_shape("batch")
    slices = jax.ShapeDtypeStruct((batch, *shape), np.uint8)
    return bytes(jax_export.export(jax.jit(segment), platforms=PLATFORMS)(slices).serialize())


def describe(networks: Ensemble, metrics: dict[str, Metrics], lowered: bytes) -> dict[str, Any]:
    """The content of `card.json`.

    Args:
        networks: what was exported.
        metrics: what its evaluations wrote, by split.
        lowered: the content of the model file.
    """
    trained, chosen = networks.runs[0], networks.checkpoints[0]
    settings, facts, size = trained.config, trained.provenance, list(trained.size)
    root = settings.data.root
    # A card travels: where things lay on this machine is nobody's business.
    anonymous = replace(
        settings, run=Path(trained.folder.name), data=replace(settings.data, root=root and Path(root.name))
    )
    return {
        "schema": SCHEMA,
        "model": {
            "file": _MODEL,
            "sha256": hashlib.sha256(lowered).hexdigest(),
            "format": "jax.export",
            "platforms": list(PLATFORMS),
        },
        "input": {
            "shape": ["batch", *input_shape(trained)],
            "dtype": "uint8",
            "range": [0, 255],
            "meaning": "grey levels of slices, as in the image files",
            "neighbours": {
                "on_each_side": settings.data.neighbours,
                "order": "channels run from the lowest slice to the highest; the slice that is labelled is the middle",
                "at_the_ends": "the last slice is repeated",
            },
        },
        "normalisation": {"method": settings.data.normalise, "place": "inside the model"},
        "output": {
            "shape": ["batch", *size, classes.COUNT],
            "dtype": "float32",
            "range": [0, 1],
            "meaning": "probability of each class; they add up to 1 in each pixel",
        },
        "classes": [
            {"index": i, "name": name, "label_grey": grey}
            for i, (name, grey) in enumerate(zip(classes.NAMES, classes.GREYS, strict=True))
        ],
        "training_data": {
            "name": "phantoms" if root is None else root.name,
            "fingerprints": facts["data_fingerprints"],
            # How its slices were cut and look, so that others can be made alike; older runs did not record it.
            **{name: facts[name] for name in ("slice_cut", "slice_looks") if name in facts},
        },
        "checkpoint": {"step": chosen.step, "validation_loss": chosen.loss},
        "averaged": records.to_json(networks.averaged),
        "scores": records.to_json(metrics),
        "config": config.to_json(anonymous),
        "versions": {"trained": facts["versions"], "exported": run_folder.versions()},
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "licence": "The weights follow the terms of the data they were trained on.",
    }


def read_metrics(networks: Ensemble) -> dict[str, Metrics]:
    """What evaluations of these very networks wrote (`metrics.json`), by split.

    Raises:
        UserError: a `metrics.json` is damaged, or another version of the program wrote it.
    """
    trained, step = networks.runs[0], networks.checkpoints[0].step
    files = {split: trained.evaluation(split + networks.name) / "metrics.json" for split in SPLITS}
    found = {split: record.read(Metrics, path) for split, path in files.items() if path.is_file()}
    return {
        split: metrics
        for split, metrics in found.items()
        if metrics.step == step and metrics.averaged == networks.averaged
    }


def export(runs: Sequence[Run], output: Path, mirror: bool = False) -> dict[str, Any]:
    """Write the best checkpoints of runs to a new folder, whole or not at all; return the content of its card.

    Args:
        runs: one run, or several whose probabilities are averaged.
        output: the folder.
        mirror: average over mirror images too.

    Raises:
        UserError: the folder exists; no validated checkpoint, or none that is sound; a damaged evaluation.
    """
    if output.exists():
        raise UserError(f"{output} exists already: name a new folder.")
    for one in runs:
        unet.check_frame(one.config.model, one.size)
    networks = Segmenter.load(runs, mirror=mirror).ensemble
    lowered = lower(closed(networks), input_shape(runs[0]))
    card = describe(networks, read_metrics(networks), lowered)

    def fill(folder: Path) -> None:
        atomic_write(folder / _MODEL, lambda part: part.write_bytes(lowered))
        write_text(folder / _CARD, json.dumps(card, indent=2) + "\n")

    atomic_folder(output, fill)
    return card


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.export")
    runs = [run_folder.load(folder) for folder in (arguments.run, *arguments.with_)]
    sharding.configure_jax()
    # StableHLO names source files for debuggers; without their folders it says nothing about this machine.
    jax.config.update("jax_hlo_source_file_canonicalization_regex", ".*/")
    card = export(runs, arguments.output, arguments.mirror)
    scores = f"scores of {', '.join(card['scores'])}" if card["scores"] else "no scores, as it was not evaluated yet"
    print(f"Wrote {arguments.output}: the checkpoint of step {card['checkpoint']['step']}, with {scores}.")


if __name__ == "__main__":
    run_command(main)
