"""`python -m oasis_jax.export RUN --output DIR`: write a run as one file that JAX alone can load, and a card about it.

`model.jax_export` holds the network, its parameters and the normalisation as StableHLO (`jax.export`); `card.json` says
what goes in, what comes out and where it comes from. Nothing of this package is needed to use them. With `--weights`
the folder holds the parameters alone (`runs/weights.py`), and every command of this package takes it as a run.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from jax import export as jax_export
from jaxtyping import Array, Float, UInt8

from oasis_jax import classes
from oasis_jax.config import SPLITS, Config
from oasis_jax.data.normalise import normalise
from oasis_jax.evaluation.record import read_metrics
from oasis_jax.inference.ensemble import Ensemble, suffix
from oasis_jax.inference.segment import Segmenter
from oasis_jax.pretrained import MoreRuns, RunPath
from oasis_jax.runs.description import describe
from oasis_jax.runs.folder import Run, versions
from oasis_jax.runs.trained import lowest_confidence
from oasis_jax.runs.weights import FILE, write_weights
from oasis_jax.system import records, sharding
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import UserError, run_command
from oasis_jax.system.files import atomic_folder

SCHEMA = 2
"""Version of `card.json`. Any change that could break a reader raises it."""

PLATFORMS = ("cpu", "cuda", "tpu")
"""Platforms of an exported model; its file works on all of them."""

_PRIVATE = ("command", "devices", "processes")
"""Entries of the provenance of a run that describe the machine or its user."""

_MODEL, _CARD = "model.jax_export", "card.json"


@dataclass(frozen=True)
class Arguments:
    """Write the best checkpoint of a run as one file that JAX alone can load, with a card that describes it."""

    run: tyro.conf.Positional[RunPath]
    """Run folder, file of weights, or pretrained or pretrained-slices, the models that come with the program."""
    output: Path
    """Folder to make; it must not exist yet."""
    mirror: bool = False
    """Average the probabilities of each slice and its mirror image inside the file."""
    with_: Annotated[MoreRuns, tyro.conf.arg(name="with")] = ()
    """Put these runs into the file too: it gives the mean of their probabilities."""
    weights: bool = False
    """Write the parameters alone, as float16: a small folder that the commands of this program take as a run."""


def lower(networks: Ensemble) -> bytes:
    """The serialised `jax.export` of networks, with the parameters and the normalisation inside, for all `PLATFORMS`.

    It goes from slices uint8 `(B, H, W)`, with neighbours `(B, H, W, C)`, grey levels 0 to 255 as on disk, to the
    probability of each class, float32 `(B, H, W, 4)`, for any B.
    """
    settings, apply = networks.runs[0].config, networks.apply()
    # From the host: the file is for one device, however many restored the checkpoint.
    params = jax.device_get(networks.params)

    def segment(slices: UInt8[Array, "batch height width ..."]) -> Float[Array, "batch height width 4"]:
        # Behind the barrier, parameters are unknown numbers to XLA, as in training and evaluation. Without it they are
        # folded into the arithmetic and rounded otherwise: in bfloat16 on a CPU, answers moved by 0.1.
        hidden = jax.lax.optimization_barrier(params)
        return jax.nn.softmax(apply(hidden, normalise(slices.reshape(*slices.shape[:3], -1), settings.data.normalise)))

    (batch,) = jax_export.symbolic_shape("batch")
    slices = jax.ShapeDtypeStruct((batch, *_input_shape(networks.runs[0])), np.uint8)
    return bytes(jax_export.export(jax.jit(segment), platforms=PLATFORMS)(slices).serialize())


def export(runs: Sequence[Run], output: Path, mirror: bool = False) -> dict[str, Any]:
    """Write the best checkpoints of runs to a new folder, whole or not at all; return the content of its card.

    Probabilities are averaged over the runs, with `mirror` over mirror images too.

    Raises:
        UserError: no validated checkpoint, or none that is sound; a damaged evaluation.
    """
    networks = Segmenter.load(runs, mirror=mirror).ensemble
    lowered = lower(networks)
    content = _card(networks, lowered)

    def fill(folder: Path) -> None:
        (folder / _MODEL).write_bytes(lowered)
        (folder / _CARD).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    atomic_folder(output, fill)
    return content


def export_weights(run: Run, output: Path) -> int:
    """Write the parameters of a run's best checkpoint to a new folder, whole or not at all; return its step.

    The file has all that `runs.folder.load` needs, and the time of the export.

    Raises:
        UserError: no validated checkpoint, or none that is sound; a parameter is too large for float16.
    """
    networks = Segmenter.load([run]).ensemble
    checkpoint, params = networks.checkpoints[0], jax.device_get(networks.params[0])
    about = {
        "config": records.to_json(_anonymous(run)),
        "provenance": {name: value for name, value in run.provenance.items() if name not in _PRIVATE},
        "checkpoint": {
            "step": checkpoint.step,
            "loss": checkpoint.loss,
            "lowest_confidence": lowest_confidence(run, checkpoint.step),
            "sha256": checkpoint.digests["params"],
        },
        "exported": _exported(),
    }
    atomic_folder(output, lambda folder: write_weights(folder / FILE, about, params))
    return checkpoint.step


def _card(networks: Ensemble, lowered: bytes) -> dict[str, Any]:
    """The content of `card.json`, with the scores of these very networks."""
    run, checkpoint = networks.runs[0], networks.checkpoints[0]
    evaluations = read_metrics(run, SPLITS, suffix(len(networks.runs), networks.mirror)).items()
    return {
        "schema": SCHEMA,
        "model": {
            "file": _MODEL,
            "sha256": hashlib.sha256(lowered).hexdigest(),
            "format": "jax.export",
            "platforms": list(PLATFORMS),
        },
        "input": {
            "shape": ["batch", *_input_shape(run)],
            "dtype": "uint8",
            "meaning": "grey levels of slices, 0 to 255 as in the image files; channels are a slice and its "
            "neighbours, from the lowest to the highest, and beyond the ends the last slice is repeated",
        },
        "output": {
            "shape": ["batch", *run.size, classes.COUNT],
            "dtype": "float32",
            "meaning": "probability of each class, 0 to 1; they add up to 1 in each pixel",
        },
        **describe(run, checkpoint),
        "averaged": records.to_json(networks.averaged),
        "scores": {
            split: records.to_json(metrics)
            for split, metrics in evaluations
            if metrics.step == checkpoint.step and metrics.averaged == networks.averaged
        },
        "config": records.to_json(_anonymous(run)),
        "exported": _exported(),
        "licence": "The weights follow the terms of the data they were trained on.",
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


def _exported() -> dict[str, Any]:
    return {"time": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions()}


def _input_shape(run: Run) -> tuple[int, ...]:
    """Shape of an input slice of an exported model: (rows, columns), with neighbours (rows, columns, channels)."""
    return run.shape if run.config.data.neighbours else run.size


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.export")
    if arguments.output.exists():
        raise UserError(f"{arguments.output} exists already: name a new folder.")
    runs = [Run.load(folder) for folder in (arguments.run, *arguments.with_)]
    sharding.configure_jax()
    # StableHLO names source files for debuggers; without their folders it says nothing about this machine.
    jax.config.update("jax_hlo_source_file_canonicalization_regex", ".*/")
    if arguments.weights:
        if arguments.mirror or arguments.with_:
            raise UserError("--weights writes the parameters of one network: leave out --mirror and --with.")
        step = export_weights(runs[0], arguments.output)
        print(f"Wrote {arguments.output / FILE}: the checkpoint of step {step}. Name {arguments.output} as RUN.")
        return
    content = export(runs, arguments.output, arguments.mirror)
    splits = ", ".join(content["scores"])
    scores = f"scores of {splits}" if splits else "no scores, as it was not evaluated yet"
    print(f"Wrote {arguments.output}: the checkpoint of step {content['checkpoint']['step']}, with {scores}.")


if __name__ == "__main__":
    run_command(main)
