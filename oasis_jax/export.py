"""`python -m oasis_jax.export RUN --output DIR`: write a run as one file that JAX alone can load, and a card about it.

`model.jax_export` holds the network, its parameters and the normalisation as StableHLO (`jax.export`); `card.json` says
what goes in, what comes out and where it comes from. Nothing of this package is needed to use them. With `--weights`
the folder holds the parameters alone (`runs/weights.py`), and every command of this package takes it as a run.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from jax import export as jax_export
from jaxtyping import Array, Float, UInt8

from oasis_jax.config import SPLITS
from oasis_jax.data.normalise import normalise
from oasis_jax.evaluation import record
from oasis_jax.evaluation.record import Metrics
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.inference.segment import Segmenter
from oasis_jax.network import unet
from oasis_jax.pretrained import RunPath
from oasis_jax.report import card
from oasis_jax.runs import folder as run_folder
from oasis_jax.runs.folder import Run
from oasis_jax.runs.weights import FILE, write_weights
from oasis_jax.system import sharding
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import UserError, run_command
from oasis_jax.system.files import atomic_folder, atomic_write, write_text

_MODEL, _CARD = "model.jax_export", "card.json"

Closed = Callable[[Array], Array]
"""From slices to probabilities; nothing else is needed."""


@dataclass(frozen=True)
class Arguments:
    """Write the best checkpoint of a run as one file that JAX alone can load, with a card that describes it."""

    run: tyro.conf.Positional[RunPath]
    """Run folder, file of weights, or pretrained or pretrained-slices, the models that come with the program."""
    output: Path
    """Folder to make; it must not exist yet."""
    mirror: bool = False
    """Average the probabilities of each slice and its mirror image inside the file."""
    with_: Annotated[tuple[RunPath, ...], tyro.conf.arg(name="with", metavar="RUN...")] = ()
    """Put these runs into the file too: it gives the mean of their probabilities."""
    weights: bool = False
    """Write the parameters alone, as float16: a small folder that the commands of this program take as a run."""


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


def lower(segment: Closed, shape: tuple[int, ...]) -> bytes:
    """The serialised `jax.export` of a closed network: for any batch, slices of one shape, all `PLATFORMS`."""
    (batch,) = jax_export.symbolic_shape("batch")
    slices = jax.ShapeDtypeStruct((batch, *shape), np.uint8)
    return bytes(jax_export.export(jax.jit(segment), platforms=card.PLATFORMS)(slices).serialize())


def read_metrics(networks: Ensemble) -> dict[str, Metrics]:
    """What evaluations of these very networks wrote (`metrics.json`), by split.

    Raises:
        UserError: a `metrics.json` is damaged, or another version of the program wrote it.
    """
    trained, step = networks.runs[0], networks.checkpoints[0].step
    files = {split: trained.evaluation(split + networks.name) / record.METRICS for split in SPLITS}
    by_split = {split: record.read_record(Metrics, path) for split, path in files.items() if path.is_file()}
    return {
        split: metrics
        for split, metrics in by_split.items()
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
    for run in runs:
        unet.check_frame(run.config.model, run.size)
    networks = Segmenter.load(runs, mirror=mirror).ensemble
    lowered = lower(closed(networks), card.input_shape(runs[0]))
    content = card.describe_export(networks, read_metrics(networks), lowered, _MODEL)

    def fill(folder: Path) -> None:
        atomic_write(folder / _MODEL, lambda part: part.write_bytes(lowered))
        write_text(folder / _CARD, json.dumps(content, indent=2) + "\n")

    atomic_folder(output, fill)
    return content


def export_weights(run: Run, output: Path) -> int:
    """Write the parameters of a run's best checkpoint to a new folder, whole or not at all; return its step.

    Raises:
        UserError: the folder exists; no validated checkpoint, or none that is sound; a parameter is too large for
            float16.
    """
    if output.exists():
        raise UserError(f"{output} exists already: name a new folder.")
    networks = Segmenter.load([run]).ensemble
    about, params = card.describe_weights(networks), jax.device_get(networks.params[0])
    atomic_folder(output, lambda folder: write_weights(folder / FILE, about, params))
    return networks.checkpoints[0].step


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.export")
    runs = [run_folder.load(folder) for folder in (arguments.run, *arguments.with_)]
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


cli = partial(run_command, main)


if __name__ == "__main__":
    cli()
