"""`python -m oasis_jax.info RUN`: what a model is, what it sees, what it was trained on, and its scores."""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import tyro

from oasis_jax import classes, pretrained
from oasis_jax.config import SPLITS
from oasis_jax.evaluation.record import read_metrics
from oasis_jax.network import unet
from oasis_jax.pretrained import RunPath
from oasis_jax.runs.checkpoints import CheckpointInfo, Checkpoints, digest
from oasis_jax.runs.folder import Run
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import run_command


@dataclass(frozen=True)
class Arguments:
    """Say what a model is, what it sees, what it was trained on, and its scores."""

    run: tyro.conf.Positional[RunPath]
    """Run folder, file of weights, or pretrained or pretrained-slices, the models that come with the program."""
    json: bool = False
    """Print it as JSON."""


class Shipped(NamedTuple):
    """What a user needs to know of a model that comes with the program, in place of the folders of its training."""

    purpose: str
    data: list[str]


_OASIS = "slices of OASIS-1 (keras_png_slices_data)"

SHIPPED = {
    "pretrained": Shipped(
        "T1 scans of whole heads, with or without skull",
        [_OASIS, "scans of OASIS-1 without skull (malf.templates)", "heads drawn from label maps of SynthSeg"],
    ),
    "pretrained-slices": Shipped("slices that lie as those of OASIS, in its atlas", [_OASIS, "phantoms"]),
}
"""By the name of the model."""


def describe(run: Run) -> dict[str, Any]:
    """What there is to know of a run or of a model file, as JSON values; None for what it does not say.

    Raises:
        UserError: an evaluation of it is damaged.
    """
    best, model, data, cut = _best(run), run.config.model, run.config.data, run.provenance.get("slice_cut", {})
    roots = (data.root, *data.join)
    shipped = SHIPPED[run.name] if run.folder in pretrained.MODELS.values() else None
    return {
        "name": run.name,
        "kind": "training" if run.weights is None else "model file",
        "purpose": shipped and shipped.purpose,
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
            "neighbours_on_each_side": data.neighbours,
        },
        "classes": list(classes.NAMES),
        "trained_on": {
            "data": shipped.data if shipped else ["phantoms" if root is None else root.name for root in roots],
            "fingerprints": run.provenance["data_fingerprints"],
            "started_from": None if shipped else run.provenance.get("init"),
            "started": run.provenance.get("started"),
            "seed": run.provenance.get("seed"),
            "versions": run.provenance.get("versions"),
        },
        "checkpoint": None
        if best is None
        else {"step": best.step, "validation_loss": best.loss, "sha256": best.digests["params"]},
        "scores": {
            split: {
                "data": metrics.data,
                "step": metrics.step,
                "slices": metrics.scores.slices,
                "subjects": metrics.scores.subjects,
                "hard_dice_pooled": metrics.scores.hard_dice_pooled,
            }
            for split, metrics in read_metrics(run, (*SPLITS, "volumes")).items()
        },
        "card": str(run.folder / "README.md") if shipped else None,
        "licence": str(pretrained.FOLDER / "LICENSE") if shipped else None,
    }


def _best(run: Run) -> CheckpointInfo | None:
    if run.weights is not None:
        digests = {"params": digest(run.weights.params)}
        return CheckpointInfo(run.weights.step, run.weights.loss, digests)
    return Checkpoints(run.checkpoints).best


def _lines(about: dict[str, Any]) -> list[tuple[str, str]]:
    """The description for people: titles and texts."""
    network, sees, trained, best = about["network"], about["sees"], about["trained_on"], about["checkpoint"]
    rows, columns = sees["slice"]
    heights = "every height" if sees["heights"] is None else "heights {} to {} of the brain".format(*sees["heights"])
    window = "" if sees["window"] is None else " (in training, the middle {}x{})".format(*sees["window"])
    neighbours = f", with {n} neighbour(s) on each side" if (n := sees["neighbours_on_each_side"]) else ""
    version = (trained["versions"] or {}).get("oasis_jax", "an unknown version")
    lines = [("model", f"{about['name']}, a {about['kind']} of oasis_jax {version}")]
    if about["purpose"]:
        lines.append(("made for", f"{about['purpose']}; for research only"))
    lines += [
        ("network", f"Improved U-Net, {network['parameters']:,} parameters, {network['levels']} levels"),
        ("sees", f"{sees['plane'] or 'unknown'} slices of {rows}x{columns}{window}, {heights}{neighbours}"),
        ("labels", ", ".join(f"{k} {name}" for k, name in enumerate(about["classes"]))),
        ("trained on", f"{', '.join(trained['data'])}, started {trained['started'] or 'at an unknown time'}"),
    ]
    if start := trained["started_from"]:
        lines.append(("", f"from the parameters of {start['run']}, step {start['step']}"))
    state = "none yet" if best is None else f"step {best['step']}, validation loss {_number(best['validation_loss'])}"
    lines.append(("checkpoint", state))
    for split, scores in about["scores"].items():
        dice = ", ".join(f"{name} {_number(value)}" for name, value in scores["hard_dice_pooled"].items())
        where = f"{scores['slices']} slices of {scores['subjects']} subject(s), step {scores['step']}"
        lines += [(split, f"{scores['data']}: {where}"), ("", f"hard Dice, pooled: {dice}")]
    if about["card"]:
        lines += [("scores", f"in the model card, {about['card']}"), ("licence", about["licence"])]
    elif not about["scores"]:
        lines.append(("scores", "none: it was not evaluated on any split"))
    return lines


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.info", config=(tyro.conf.FlagCreatePairsOff,))
    about = describe(Run.load(arguments.run))
    if arguments.json:
        print(json.dumps(about, indent=1, allow_nan=False))
        return
    for title, text in _lines(about):
        print(f"{title:12}{text}")


cli = partial(run_command, main)


if __name__ == "__main__":
    cli()
