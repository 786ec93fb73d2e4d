"""From frames to classes and probabilities: the networks of runs, ready for whatever is cut for them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from oasis_jax.data.normalise import normalise
from oasis_jax.geometry import Size
from oasis_jax.inference import ensemble as ensembles
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.runs.folder import Run
from oasis_jax.runs.trained import Trained, trained_on
from oasis_jax.system import sharding
from oasis_jax.volumes.frame import Framing


class Labels(NamedTuple):
    """The labels of frames, which devices may still compute."""

    classes: Any
    """uint8 `(B, H, W)`."""
    probabilities: Any
    """float32 `(B, H, W, 4)`."""
    confidence: Any
    """Mean probability of the classes inside the labelled brain, float32 `(B,)`; 1 if no brain is labelled."""


Forward = Callable[[np.ndarray], Labels]
"""From frames uint8 `(B, H, W, C)` to their labels."""


@dataclass(frozen=True)
class Segmenter:
    """The networks of one or several runs, ready for frames of the trained size or larger."""

    ensemble: Ensemble
    forward: Forward
    """Compiled once for each size of frame."""
    batch: Callable[[Size], int]
    """Slices at a time for a size of frame."""

    @classmethod
    def load(
        cls, runs: Sequence[Run], *, mirror: bool = False, step: int | None = None, batch: int | None = None
    ) -> "Segmenter":
        """The best checkpoints of runs, on all devices.

        Args:
            runs: the run, and those whose probabilities are averaged with its own.
            mirror: average over the mirror image of each slice too.
            step: take this checkpoint of the first run.
            batch: slices of the trained size at a time; None: 8 for a CPU, 64 for each accelerator.

        Raises:
            UserError: as `ensemble.load`.
        """
        mesh = sharding.make_mesh(jax.device_count())
        networks = ensembles.load(runs, mesh, step=step, mirror=mirror)
        return cls(networks, _forward(networks, mesh), partial(_batch, runs[0].size, batch))

    @cached_property
    def trained(self) -> Trained:
        """What the first run remembers of the slices it was trained on.

        Raises:
            UserError: the run does not say.
        """
        return trained_on(self.ensemble.runs[0], self.ensemble.checkpoints[0].step)

    @property
    def framing(self) -> Framing:
        """How slices must be cut for the networks.

        Raises:
            UserError: as `trained`.
        """
        run, cut = self.ensemble.runs[0], self.trained.cut
        spacing = cut.spacing or run.config.data.spacing_mm
        gap = None if spacing is None else spacing[2]
        window = None if _whole_heads(run) else run.config.model.crop or run.size
        return Framing(run.size, window, cut.axis, run.config.data.neighbours, gap)


def _forward(networks: Ensemble, mesh: jax.sharding.Mesh) -> Forward:
    (rows, columns), method = networks.runs[0].size, networks.runs[0].config.data.normalise
    whole = _whole_heads(networks.runs[0])

    def segment(params: Any, images: jax.Array) -> Labels:
        growth = images.shape[1] - rows, images.shape[2] - columns
        logits = networks.apply(None if whole and growth != (0, 0) else growth)(params, images)
        classes, probabilities = logits.argmax(-1).astype(jnp.uint8), jax.nn.softmax(logits)
        brain = classes > 0
        pixels, confidence = brain.sum((1, 2)), jnp.where(brain, probabilities.max(-1), 0).sum((1, 2))
        return Labels(classes, probabilities, jnp.where(pixels > 0, confidence / jnp.maximum(pixels, 1), 1))

    compiled = sharding.compile_step(segment, mesh)
    # Normalised on the host, as slices are for an evaluation: so both round alike, and give every pixel one class.
    return lambda frames: compiled(networks.params, normalise(frames, method))


def _whole_heads(run: Run) -> bool:
    """Whether a run was trained on every height, so that its networks look at whole frames of any size."""
    return run.provenance.get("slice_cut", {}).get("heights", ()) is None


def _batch(size: Size, most: int | None, frame: Size) -> int:
    """As many pixels as in `most` slices of the trained size, rounded up to a number that all devices can share."""
    count = jax.device_count()
    full = most or (8 if jax.default_backend() == "cpu" else 64 * count)
    slices = full * math.prod(size) // math.prod(frame)
    return max(1, -(-slices // count)) * count
