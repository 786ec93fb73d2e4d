"""Who answers for a slice: one network, or the mean of several, each shown the slice and maybe its mirror image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jaxtyping import Array

from oasis_jax.geometry import Size
from oasis_jax.inference.mirror import mirror_shift, probabilities
from oasis_jax.network import unet
from oasis_jax.network.unet import Apply
from oasis_jax.runs import restore
from oasis_jax.runs.checkpoints import CheckpointInfo
from oasis_jax.runs.folder import Run
from oasis_jax.system.errors import UserError


@dataclass(frozen=True)
class Member:
    """One network of a mean."""

    run: str
    """Name of its folder."""
    step: int
    """Of its checkpoint."""


@dataclass(frozen=True)
class Averaged:
    """Over what probabilities were averaged."""

    runs: tuple[Member, ...]
    mirror: bool
    """Whether over mirror images too."""


@dataclass(frozen=True)
class Ensemble:
    """The networks of one or several runs, with parameters on devices; probabilities are averaged over them."""

    runs: tuple[Run, ...]
    """The first one is the run that was asked for."""
    checkpoints: tuple[CheckpointInfo, ...]
    """The checkpoint of each."""
    params: tuple[unet.Params, ...]
    mirror: bool
    """Whether each network also sees the mirror image."""

    def apply(self, growth: Size | None = (0, 0)) -> Apply:
        """The pure function `(params, image) -> logits`, `params` as the field above.

        What the networks look at grows with a frame that has `growth` more rows and columns than the slices of
        training; with None, they see the whole frame, whatever its size. Where anything is averaged, logits are
        logarithms of probabilities.
        """
        networks = [unet.network(replace(run.config.model, crop=_grown(run, growth))).apply for run in self.runs]
        if len(networks) == 1 and not self.mirror:
            return lambda params, image: networks[0](params[0], image)
        axes = [None if growth is None else run.config.augment.mirror_axis for run in self.runs]
        shifts = [mirror_shift(axis, run.size[0]) for axis, run in zip(axes, self.runs, strict=True)]

        def apply(params: tuple[unet.Params, ...], image: Array) -> Array:
            shares = [
                probabilities(network, own, image, shift if self.mirror else None)
                for network, own, shift in zip(networks, params, shifts, strict=True)
            ]
            return jnp.log(jnp.maximum(sum(shares) / len(shares), jnp.finfo(jnp.float32).tiny))

        return apply

    @property
    def averaged(self) -> Averaged | None:
        """What was averaged; None for one network alone."""
        if len(self.runs) == 1 and not self.mirror:
            return None
        members = [Member(run.name, info.step) for run, info in zip(self.runs, self.checkpoints, strict=True)]
        return Averaged(tuple(members), self.mirror)


def suffix(runs: int, mirror: bool) -> str:
    """What the averaging over a number of runs adds to the name of an evaluation; empty for one network alone."""
    return (f"-mean-of-{runs}" if runs > 1 else "") + ("-mirror" if mirror else "")


def sentence(averaged: Averaged) -> str:
    """What was averaged, for people."""
    members = [f"{member.run} (step {member.step})" for member in averaged.runs]
    who = members[0] if len(members) == 1 else f"the {len(members)} networks {', '.join(members)}"
    return f"Probabilities are the mean over {who}{' and the mirror images' if averaged.mirror else ''}."


def load(runs: Sequence[Run], mesh: jax.sharding.Mesh, *, step: int | None = None, mirror: bool = False) -> Ensemble:
    """Restore the best checkpoint of each run, of the first one that of a step where asked for.

    Raises:
        UserError: runs that do not see the same slices in the same way, or without a sound checkpoint.
    """
    for i, run in enumerate(runs[1:], 1):
        if any(run.folder.resolve() == other.folder.resolve() for other in runs[:i]):
            raise UserError(f"{run.folder} would be averaged with itself: name another run after --with.")
        _check_alike(runs[0], run)
    if mirror:
        for run in runs:
            mirror_shift(run.config.augment.mirror_axis, run.size[0])
    restored = [restore.load_best(run, mesh, None if i else step) for i, run in enumerate(runs)]
    checkpoints, params = zip(*restored, strict=True)
    return Ensemble(tuple(runs), checkpoints, params, mirror)


def _check_alike(first: Run, other: Run) -> None:
    """Two networks can be averaged where one input serves both."""
    properties = {
        "slices of {0[0]}x{0[1]}": (first.size, other.size),
        "{0} neighbour(s) on each side": (first.config.data.neighbours, other.config.data.neighbours),
        "slices normalised by {0}": (first.config.data.normalise, other.config.data.normalise),
        "slices cut as {0}": (first.provenance.get("slice_cut"), other.provenance.get("slice_cut")),
    }
    for text, (ours, theirs) in properties.items():
        if ours != theirs:
            raise UserError(
                f"{other.folder} was trained on {text.format(theirs)}, {first.folder} on {text.format(ours)}: "
                "leave it out of --with."
            )


def _grown(run: Run, growth: Size | None) -> Size | None:
    crop = run.config.model.crop
    return None if crop is None or growth is None else (crop[0] + growth[0], crop[1] + growth[1])
