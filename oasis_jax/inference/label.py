"""From files cut into frames to labels: the network over one stream of slices, whatever files they are of."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from oasis_jax.classes import COUNT
from oasis_jax.data.geometry import Size
from oasis_jax.data.volumes.inputs import Input, own_classes, own_probabilities
from oasis_jax.inference.segment import Segmenter

_AHEAD = 2
"""Batches that are under way before the first one's labels are asked for."""


class Segmentation(NamedTuple):
    """One file with its labels."""

    input: Input
    classes: np.ndarray
    """uint8 `(N, rows, columns)` on the file's own pixels."""
    probabilities: np.ndarray | None
    """float32 `(N, rows, columns, 4)`, where they are wanted."""


def label(inputs: Iterable[Input], segmenter: Segmenter, keep_probabilities: bool) -> Iterator[Segmentation]:
    """Label files, in batches that run on from one file to the next; each is given when its last slice is done.

    Args:
        inputs: the files.
        segmenter: the networks; every batch of one size of frame has as many slices, so they are compiled once a size.
        keep_probabilities: give them too.
    """
    for batch in _overlapped(_grouped(inputs, segmenter.batch, keep_probabilities), segmenter):
        for row, (file, number) in enumerate(batch.slices):
            file.write(number, batch, row)
            if file.left == 0:
                yield Segmentation(file.input, file.classes, file.probabilities)


@dataclass
class _Pending:
    """A file whose slices are on their way through the network."""

    input: Input
    classes: np.ndarray
    """As in `Segmentation`; background until a slice is written."""
    probabilities: np.ndarray | None
    left: int
    """Slices that are not written yet."""

    def write(self, number: int, batch: "_Batch", row: int) -> None:
        """Take the labels of a slice from a row of a batch, onto the file's own pixels."""
        self.left -= 1
        if self.probabilities is None and all(side.own == side.mm for side in self.input.sides):
            self.classes[number] = own_classes(self.input, number, batch.classes[row])
            return
        shares = own_probabilities(self.input, number, batch.probabilities[row])
        self.classes[number] = shares.argmax(-1)
        if self.probabilities is not None:
            self.probabilities[number] = shares


class _Batch:
    """Slices that went through the network together, as (file, number)."""

    def __init__(self, slices: "list[tuple[_Pending, int]]", classes: Any, probabilities: Any):
        self.slices, self._classes, self._probabilities = slices, classes, probabilities

    @cached_property
    def classes(self) -> np.ndarray:
        return np.asarray(self._classes)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """They come to the host only where somebody asks for them."""
        return np.asarray(self._probabilities)


def _pending(item: Input, left: int, keep_probabilities: bool) -> _Pending:
    shape = len(item.frames), item.sides[0].own, item.sides[1].own
    probabilities = None
    if keep_probabilities:
        probabilities = np.zeros((*shape, COUNT), np.float32)
        probabilities[..., 0] = 1
    return _Pending(item, np.zeros(shape, np.uint8), probabilities, left)


def _shown(item: Input) -> list[int]:
    """The slices that a network should see: those that show any head, or one, so that every file has a result."""
    return [int(k) for k in np.flatnonzero(item.head.any(axis=(1, 2)))] or [0]


def _grouped(
    inputs: Iterable[Input], batch: Callable[[Size], int], keep_probabilities: bool
) -> Iterator[list[tuple[_Pending, int]]]:
    """Slices of one size of frame, as many as a batch holds; fewer at the end."""
    waiting: dict[Size, list[tuple[_Pending, int]]] = {}
    for item in inputs:
        frame, shown = item.place.frame, _shown(item)
        file = _pending(item, len(shown), keep_probabilities)
        for number in shown:
            group = waiting.setdefault(frame, [])
            group.append((file, number))
            if len(group) == batch(frame):
                yield waiting.pop(frame)
    yield from waiting.values()


def _overlapped(groups: Iterable[list[tuple[_Pending, int]]], segmenter: Segmenter) -> Iterator[_Batch]:
    """Each group when the network has it done or nearly so, while it works on the next ones."""
    running: deque[_Batch] = deque()
    for group in groups:
        item = group[0][0].input
        frames = np.zeros((segmenter.batch(item.place.frame), *item.frames.shape[1:]), np.uint8)
        frames[: len(group)] = [file.input.frames[number] for file, number in group]
        running.append(_Batch(group, *segmenter(frames)))
        if len(running) > _AHEAD:
            yield running.popleft()
    while running:
        yield running.popleft()
