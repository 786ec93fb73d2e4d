"""From a run and files cut into frames to labels: the network over one stream of slices, whatever files they are of."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from oasis_jax.data.geometry import Size
from oasis_jax.data.normalise import normalise
from oasis_jax.data.volumes.inputs import Framing, Input, own_classes, own_probabilities
from oasis_jax.inference import ensemble as ensembles
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.runs.folder import Run, Trained, trained_on
from oasis_jax.system import sharding


class Labelled(NamedTuple):
    """One file with its labels."""

    input: Input
    classes: np.ndarray
    """uint8 `(N, rows, columns)` on the file's own pixels."""
    probabilities: np.ndarray | None
    """float32 `(N, rows, columns, 4)`, where they are wanted."""


Group = list[tuple[Input, int]]
"""Slices that are labelled together, as (file, number); their frames have one size."""

Forward = Callable[[np.ndarray], tuple[Any, Any]]
"""From frames uint8 `(B, H, W, C)` to classes uint8 `(B, H, W)` and probabilities float32 `(B, H, W, 4)`, both maybe
still being computed on devices."""

_AHEAD = 2
"""Batches that are under way before the first one's labels are asked for."""


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
            batch: slices of the trained size at a time; None: 8 for each CPU, 64 for each accelerator.

        Raises:
            UserError: as `ensemble.load`.
        """
        mesh = sharding.make_mesh(jax.device_count())
        networks = ensembles.load(runs, mesh, step=step, mirror=mirror)
        return cls(networks, _forward(networks, mesh), partial(_batch, runs[0].size, batch))

    def __call__(self, frames: np.ndarray) -> tuple[Any, Any]:
        """As `Forward`."""
        return self.forward(frames)

    def classify(self, frames: np.ndarray) -> np.ndarray:
        """Classes uint8 `(N, H, W)` of any number of frames, in batches of the size that is compiled anyway."""
        most = self.batch((frames.shape[1], frames.shape[2]))
        parts = []
        for first in range(0, len(frames), most):
            part = frames[first : first + most]
            full = np.concatenate([part, np.zeros((most - len(part), *part.shape[1:]), np.uint8)])
            parts.append(np.asarray(self.forward(full)[0])[: len(part)])
        return np.concatenate(parts)

    @property
    def trained(self) -> Trained:
        """How the slices of training were cut, and what they look like.

        Raises:
            UserError: the run does not say.
        """
        return trained_on(self.ensemble.runs[0])

    @property
    def framing(self) -> Framing:
        """How slices must be cut for the networks.

        Raises:
            UserError: as `trained`.
        """
        run, cut = self.ensemble.runs[0], self.trained.cut
        spacing = cut.spacing or run.config.data.spacing_mm
        gap = None if spacing is None else spacing[2]
        return Framing(run.size, run.config.model.crop or run.size, cut.axis, run.config.data.neighbours, gap)


def _forward(networks: Ensemble, mesh: jax.sharding.Mesh) -> Forward:
    (rows, columns), method = networks.runs[0].size, networks.runs[0].config.data.normalise

    def segment(params: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = networks.apply((images.shape[1] - rows, images.shape[2] - columns))(params, images)
        return logits.argmax(-1).astype(jnp.uint8), jax.nn.softmax(logits)

    compiled = sharding.compile_eval_step(segment, mesh)
    # Normalised on the host, as slices are for an evaluation: so both round alike, and give every pixel one class.
    return lambda frames: compiled(networks.params, normalise(frames, method))


def _batch(size: Size, most: int | None, frame: Size) -> int:
    """As many pixels as in `most` slices of the trained size, rounded up to a number that all devices can share."""
    count = jax.device_count()
    full = most or (8 if jax.default_backend() == "cpu" else 64) * count
    slices = full * math.prod(size) // math.prod(frame)
    return max(1, -(-slices // count)) * count


def label(inputs: Iterable[Input], segmenter: Segmenter, keep_probabilities: bool) -> Iterator[Labelled]:
    """Label files, in batches that run on from one file to the next; each is given when its last slice is done.

    Args:
        inputs: the files.
        segmenter: the networks; every batch of one size of frame has as many slices, so they are compiled once a size.
        keep_probabilities: give them too.
    """
    waiting: dict[int, dict[int, tuple[np.ndarray, np.ndarray | None]]] = {}
    for item, number, classes, probabilities in _results(_groups(inputs, segmenter.batch), segmenter):
        done = waiting.setdefault(id(item), {})
        done[number] = _on_own_grid(item, number, classes, probabilities, keep_probabilities)
        if len(done) == len(_shown(item)):
            yield _assemble(item, waiting.pop(id(item)))


def _assemble(item: Input, done: dict[int, tuple[np.ndarray, np.ndarray | None]]) -> Labelled:
    """The labels of all slices; those that show no head are background."""
    classes, probabilities = next(iter(done.values()))
    stack = np.zeros((len(item.frames), *classes.shape), np.uint8)
    shares = None
    if probabilities is not None:
        shares = np.zeros((len(item.frames), *probabilities.shape), np.float32)
        shares[..., 0] = 1
    for number, (classes, probabilities) in done.items():
        stack[number] = classes
        if shares is not None:
            shares[number] = probabilities
    return Labelled(item, stack, shares)


def _on_own_grid(
    item: Input, number: int, classes: np.ndarray, probabilities: Callable[[], np.ndarray], keep: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    if not keep and all(side.own == side.mm for side in item.sides):  # spares the probabilities the way to the host
        return own_classes(item, number, classes), None
    shares = own_probabilities(item, number, probabilities())
    return shares.argmax(-1).astype(np.uint8), shares if keep else None


def _shown(item: Input) -> list[int]:
    """The slices that a network should see: those that show any head, or one, so that every file has a result."""
    return [int(k) for k in np.flatnonzero(item.head.any(axis=(1, 2)))] or [0]


def _groups(inputs: Iterable[Input], batch: Callable[[Size], int]) -> Iterator[Group]:
    """Slices of one frame size, as many as a batch holds; fewer at the end."""
    waiting: dict[Size, Group] = {}
    for item in inputs:
        frame = item.place.frame
        for k in _shown(item):
            group = waiting.setdefault(frame, [])
            group.append((item, k))
            if len(group) == batch(frame):
                yield waiting.pop(frame)
    yield from waiting.values()


def _results(
    groups: Iterable[Group], segmenter: Segmenter
) -> Iterator[tuple[Input, int, np.ndarray, Callable[[], np.ndarray]]]:
    """Each slice's file, number, classes, and a function that fetches its probabilities."""
    running: deque[tuple[Group, Any, Any]] = deque()

    def finish(group: Group, classes: Any, probabilities: Any) -> Iterator[Any]:
        on_host = cache(lambda: np.asarray(probabilities))
        for i, ((item, number), one) in enumerate(zip(group, np.asarray(classes), strict=False)):
            yield item, number, one, lambda i=i: on_host()[i]

    for group in groups:
        frame = group[0][0].place.frame
        frames = np.zeros((segmenter.batch(frame), *frame, group[0][0].frames.shape[-1]), np.uint8)
        frames[: len(group)] = [item.frames[k] for item, k in group]
        running.append((group, *segmenter(frames)))
        if len(running) > _AHEAD:
            yield from finish(*running.popleft())
    for one in running:
        yield from finish(*one)
