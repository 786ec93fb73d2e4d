"""`python -m oasis_jax.export RUN --output DIR`: write a run as one file that JAX alone can load, and a card about it.

`model.jax_export` holds the network, its parameters and the normalisation as StableHLO (`jax.export`); `card.json` says
what goes in, what comes out and where it comes from. Nothing of this package is needed to use them.
"""

from oasis_jax import guard

if __name__ == "__main__":
    guard.install()  # before the imports that take seconds

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from jax import export as jax_export
from jaxtyping import Array, Float, UInt8

from oasis_jax import checkpoint, config, labels, model, parallel, restore, run, storage
from oasis_jax.arguments import command_line
from oasis_jax.config import SPLITS, Config
from oasis_jax.errors import UserError, run_command
from oasis_jax.normalise import normalise
from oasis_jax.run import Run

PLATFORMS = ("cpu", "cuda", "tpu")
"""The one file is lowered for all of these."""

SCHEMA = 1
"""Of `card.json`; a change that could break a reader of it raises it."""

_MODEL, _CARD = "model.jax_export", "card.json"

Segment = Callable[[Array], Array]


@dataclass(frozen=True)
class Arguments:
    """Write the best checkpoint of a run as one file that JAX alone can load, with a card that describes it."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, as training made it."""
    output: Path
    """Folder to make; it must not exist yet."""


def segmenter(settings: Config, params: model.Params) -> Segment:
    """From grey levels to probabilities, with the parameters and the normalisation inside.

    Returns:
        A pure function of slices uint8 `(B, H, W)`, grey levels 0 to 255 as on disk; it gives the probability of each
        class, float32 `(B, H, W, 4)`.
    """
    _, apply = model.network(settings.model)

    def segment(slices: UInt8[Array, "batch height width"]) -> Float[Array, "batch height width 4"]:
        # Behind the barrier, parameters are unknown numbers to XLA, as in training and evaluation. Without it they are
        # folded into the arithmetic and rounded otherwise: in bfloat16 on a CPU, answers moved by 0.1.
        hidden = jax.lax.optimization_barrier(params)
        return jax.nn.softmax(apply(hidden, normalise(slices[..., None], settings.data.normalise)))

    return segment


def lower(segment: Segment, size: tuple[int, int]) -> bytes:
    """The serialised `jax.export` of a segmenter: for any batch, slices of one (rows, columns), all `PLATFORMS`."""
    (batch,) = jax_export.symbolic_shape("batch")
    slices = jax.ShapeDtypeStruct((batch, *size), np.uint8)
    return bytes(jax_export.export(jax.jit(segment), platforms=PLATFORMS)(slices).serialize())


def describe(trained: Run, chosen: checkpoint.Card, scores: dict[str, Any], lowered: bytes) -> dict[str, Any]:
    """The content of `card.json`.

    Args:
        trained: the run.
        chosen: the checkpoint that was exported.
        scores: what its evaluations wrote, by split.
        lowered: the content of the model file.
    """
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
            "shape": ["batch", *size],
            "dtype": "uint8",
            "range": [0, 255],
            "meaning": "grey levels of slices, as in the image files",
        },
        "normalisation": {"method": settings.data.normalise, "place": "inside the model"},
        "output": {
            "shape": ["batch", *size, labels.COUNT],
            "dtype": "float32",
            "range": [0, 1],
            "meaning": "probability of each class; they add up to 1 in each pixel",
        },
        "classes": [
            {"index": i, "name": name, "label_grey": grey}
            for i, (name, grey) in enumerate(zip(labels.NAMES, labels.GREYS, strict=True))
        ],
        "training_data": {
            "name": "phantoms" if root is None else root.name,
            "fingerprints": facts["data_fingerprints"],
            # How its slices were cut and look, so that others can be made alike; older runs did not record it.
            **{name: facts[name] for name in ("slice_cut", "slice_looks") if name in facts},
        },
        "checkpoint": {"step": chosen.step, "validation_loss": chosen.loss},
        "scores": scores,
        "config": config.to_json(anonymous),
        "versions": {"trained": facts["versions"], "exported": run.versions()},
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "licence": "The weights follow the terms of the data they were trained on.",
    }


def read_scores(trained: Run, step: int) -> dict[str, Any]:
    """What evaluations of the checkpoint of this step wrote (`metrics.json`), by split.

    Raises:
        UserError: a `metrics.json` is damaged.
    """
    files = {split: trained.evaluation(split) / "metrics.json" for split in SPLITS}
    found = {split: _read_metrics(path) for split, path in files.items() if path.is_file()}
    return {split: metrics for split, metrics in found.items() if metrics["step"] == step}


def _read_metrics(path: Path) -> dict[str, Any]:
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        if not {"step", "scores"} <= set(metrics):
            raise ValueError("it has no step or no scores")
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: evaluate {path.parent.name} again, or remove it.") from error
    return metrics


def export(trained: Run, output: Path) -> dict[str, Any]:
    """Write the best checkpoint of a run to a new folder, whole or not at all; return the content of its card.

    Raises:
        UserError: the folder exists; no validated checkpoint, or none that is sound; a damaged evaluation.
    """
    if output.exists():
        raise UserError(f"{output} exists already: name a new folder.")
    model.check_frame(trained.config.model, trained.size)
    chosen, params = restore.best_parameters(trained, parallel.make_mesh(jax.device_count()))
    # From the host: the file is for one device, however many restored the checkpoint.
    lowered = lower(segmenter(trained.config, jax.device_get(params)), trained.size)
    card = describe(trained, chosen, read_scores(trained, chosen.step), lowered)

    def fill(folder: Path) -> None:
        storage.write_whole(folder / _MODEL, lambda part: part.write_bytes(lowered))
        storage.write_text(folder / _CARD, json.dumps(card, indent=2) + "\n")

    storage.write_folder(output, fill)
    return card


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.export")
    trained = run.load(arguments.run)
    parallel.start()
    # StableHLO names source files for debuggers; without their folders it says nothing about this machine.
    jax.config.update("jax_hlo_source_file_canonicalization_regex", ".*/")
    card = export(trained, arguments.output)
    scores = f"scores of {', '.join(card['scores'])}" if card["scores"] else "no scores, as it was not evaluated yet"
    print(f"Wrote {arguments.output}: the checkpoint of step {card['checkpoint']['step']}, with {scores}.")


if __name__ == "__main__":
    run_command(main)
