"""From a run and files cut into frames to labels: the network over one stream of slices, whatever files they are of."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from oasis_jax.data.geometry import Cut, Size
from oasis_jax.data.normalise import normalise
from oasis_jax.data.volumes.inputs import Classify, Framing, Input, own_classes, own_probabilities
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.runs.folder import Run
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

Segment = Callable[[np.ndarray], tuple[Any, Any]]
"""From frames uint8 `(B, H, W, C)` to classes uint8 `(B, H, W)` and probabilities float32 `(B, H, W, 4)` on devices."""

_AHEAD = 2
"""Batches that are under way before the first one's labels are asked for."""


def segmenter(networks: Ensemble, mesh: jax.sharding.Mesh) -> Segment:
    """The networks of runs for frames of the trained size or larger, compiled once for each size."""
    method, size = networks.runs[0].config.data.normalise, networks.runs[0].size

    @cache
    def compiled(frame: Size) -> Callable[..., tuple[Any, Any]]:
        apply = networks.apply((frame[0] - size[0], frame[1] - size[1]))

        def segment(params: Any, images: Any) -> tuple[Any, Any]:
            logits = apply(params, images)
            return logits.argmax(-1).astype(jnp.uint8), jax.nn.softmax(logits)

        return sharding.compile_eval_step(segment, mesh)

    # Normalised on the host, as slices are for an evaluation: so both round alike, and give every pixel one class.
    return lambda frames: compiled((frames.shape[1], frames.shape[2]))(networks.params, normalise(frames, method))


def classifier(segment: Segment, batch: Callable[[Size], int]) -> Classify:
    """Classes of any number of frames, in batches of the size that is compiled anyway."""

    def classify(frames: np.ndarray) -> np.ndarray:
        most = batch((frames.shape[1], frames.shape[2]))
        parts = []
        for first in range(0, len(frames), most):
            part = frames[first : first + most]
            full = np.concatenate([part, np.zeros((most - len(part), *part.shape[1:]), np.uint8)])
            parts.append(np.asarray(segment(full)[0])[: len(part)])
        return np.concatenate(parts)

    return classify


def batch_sizes(trained: Run, most: int | None = None) -> Callable[[Size], int]:
    """Slices at a time for a size of frame: as many pixels as in a full batch of frames of the trained size.

    Args:
        trained: the run.
        most: slices of the trained size at a time; None: 8 for each CPU, 64 for each accelerator.

    Returns:
        A function from a size to a number that all devices can share.
    """
    count = jax.device_count()
    full = most or (8 if jax.default_backend() == "cpu" else 64) * count

    def batch(frame: Size) -> int:
        slices = full * math.prod(trained.size) // math.prod(frame)
        return max(1, -(-slices // count)) * count

    return batch


def framing(trained: Run, cut: Cut) -> Framing:
    """How slices must be cut for the network of a run; `cut` is how its own were."""
    data = trained.config.data
    spacing = cut.spacing or data.spacing_mm
    gap = None if spacing is None else spacing[2]
    return Framing(trained.size, trained.config.model.crop or trained.size, cut.axis, data.neighbours, gap)


def label(
    inputs: Iterable[Input], segment: Segment, batch: Callable[[Size], int], keep_probabilities: bool
) -> Iterator[Labelled]:
    """Label files, in batches that run on from one file to the next; each is given when its last slice is done.

    Args:
        inputs: the files.
        segment: the network.
        batch: slices at a time for a size of frame; every batch has this many, so the network is compiled once a size.
        keep_probabilities: give them too.
    """
    waiting: dict[int, dict[int, tuple[np.ndarray, np.ndarray | None]]] = {}
    for item, number, classes, probabilities in _results(_groups(inputs, batch), segment, batch):
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
    groups: Iterable[Group], segment: Segment, batch: Callable[[Size], int]
) -> Iterator[tuple[Input, int, np.ndarray, Callable[[], np.ndarray]]]:
    """Each slice's file, number, classes, and a function that fetches its probabilities."""
    running: deque[tuple[Group, Any, Any]] = deque()

    def finish(group: Group, classes: Any, probabilities: Any) -> Iterator[Any]:
        on_host = cache(lambda: np.asarray(probabilities))
        for i, ((item, number), one) in enumerate(zip(group, np.asarray(classes), strict=False)):
            yield item, number, one, lambda i=i: on_host()[i]

    for group in groups:
        frame = group[0][0].place.frame
        frames = np.zeros((batch(frame), *frame, group[0][0].frames.shape[-1]), np.uint8)
        frames[: len(group)] = [item.frames[k] for item, k in group]
        running.append((group, *segment(frames)))
        if len(running) > _AHEAD:
            yield from finish(*running.popleft())
    for one in running:
        yield from finish(*one)
