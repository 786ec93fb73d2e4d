"""Label files: the networks read one stream of slices, across the borders of files."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from oasis_jax.classes import COUNT
from oasis_jax.geometry import Size
from oasis_jax.inference.segment import Labels, Segmenter
from oasis_jax.volumes.anatomy import brain_piece
from oasis_jax.volumes.inputs import BACKGROUND, Input, own_classes, own_probabilities

_AHEAD = 2
"""Number of batches that devices compute before the host reads the labels of the first one."""


class Segmentation(NamedTuple):
    """A file with its labels."""

    input: Input
    classes: UInt8[np.ndarray, "slices rows columns"]
    """On the pixels of the file."""
    probabilities: Float32[np.ndarray, "slices rows columns 4"] | None
    """On the pixels of the file; None if they were not requested."""
    confidence: Float32[np.ndarray, " slices"]
    """Mean probability of the classes inside the labelled brain of each slice; 1 if it has none."""


def label(
    inputs: Iterable[Input],
    segmenter: Segmenter,
    keep_probabilities: bool,
    advance: Callable[[Fraction], object] = lambda share: None,
) -> Iterator[Segmentation]:
    """Label files. A batch may hold slices of several files; a file is returned as soon as all its slices are labelled.

    Args:
        inputs: the files.
        segmenter: the networks. All batches with one size of frame have the same number of slices, so the networks are
            compiled once for each size.
        keep_probabilities: return the probabilities too.
        advance: called for each labelled slice with its share of its file.
    """
    whole_heads = segmenter.framing.window is None
    for batch in _segmented(_grouped(inputs, segmenter.batch, keep_probabilities), segmenter):
        for row, (pending, number) in enumerate(batch.slices):
            pending.write(number, batch, row)
            advance(Fraction(1, pending.total))
            if pending.left == 0:
                if whole_heads and pending.input.volume is not None:
                    pending.keep_brain()
                yield Segmentation(pending.input, pending.classes, pending.probabilities, pending.confidence)


@dataclass
class _Pending:
    """A file with some slices that are not labelled yet."""

    input: Input
    classes: UInt8[np.ndarray, "slices rows columns"]
    """As in `Segmentation`; a slice is background until it is written."""
    probabilities: Float32[np.ndarray, "slices rows columns 4"] | None
    """As in `Segmentation`; a slice is certain background until it is written."""
    confidence: Float32[np.ndarray, " slices"]
    """As in `Segmentation`."""
    total: int
    """Number of slices to label."""
    left: int
    """Number of slices that are not written yet."""

    def write(self, number: int, batch: "_Batch", row: int) -> None:
        """Write the labels of slice `number` from a row of a batch, on the pixels of the file."""
        self.left -= 1
        self.confidence[number] = batch.confidence[row]
        if self.probabilities is None and all(side.own == side.mm for side in self.input.sides):
            self.classes[number] = own_classes(self.input, number, batch.classes[row])
            return
        probabilities = own_probabilities(self.input, number, batch.probabilities[row])
        self.classes[number] = probabilities.argmax(-1)
        if self.probabilities is not None:
            self.probabilities[number] = probabilities

    def keep_brain(self) -> None:
        """Make what hangs on to no brain background: bits of scalp and neck that the network took for tissue."""
        beside = ~brain_piece(self.classes > 0)
        self.classes[beside] = 0
        if self.probabilities is not None:
            self.probabilities[beside] = BACKGROUND


class _Batch:
    """Slices, each as (file, number), that the networks label together."""

    def __init__(self, slices: "list[tuple[_Pending, int]]", labels: Labels):
        self.slices, self._labels = slices, labels

    @cached_property
    def classes(self) -> np.ndarray:
        return np.asarray(self._labels.classes)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """They come to the host only if they are read."""
        return np.asarray(self._labels.probabilities)

    @cached_property
    def confidence(self) -> np.ndarray:
        return np.asarray(self._labels.confidence)


def _pending(file: Input, left: int, keep_probabilities: bool) -> _Pending:
    shape = len(file.frames), file.sides[0].own, file.sides[1].own
    probabilities = None
    if keep_probabilities:
        probabilities = np.zeros((*shape, COUNT), np.float32)
        probabilities[..., 0] = 1
    return _Pending(file, np.zeros(shape, np.uint8), probabilities, np.ones(shape[0], np.float32), left, left)


def _slices_to_label(file: Input) -> list[int]:
    """The slices that show any head. A file without a head gives its first slice, so that every file has a result."""
    return [int(k) for k in np.flatnonzero(file.head.any(axis=(1, 2)))] or [0]


def _grouped(
    inputs: Iterable[Input], batch: Callable[[Size], int], keep_probabilities: bool
) -> Iterator[list[tuple[_Pending, int]]]:
    """Slices with one size of frame, as many as a batch holds; fewer at the end."""
    waiting: dict[Size, list[tuple[_Pending, int]]] = {}
    for file in inputs:
        frame, numbers = file.place.frame, _slices_to_label(file)
        pending = _pending(file, len(numbers), keep_probabilities)
        for number in numbers:
            group = waiting.setdefault(frame, [])
            group.append((pending, number))
            if len(group) == batch(frame):
                yield waiting.pop(frame)
    yield from waiting.values()


def _segmented(groups: Iterable[list[tuple[_Pending, int]]], segmenter: Segmenter) -> Iterator[_Batch]:
    """Label each group. Devices compute the next batches while the caller reads the labels of one."""
    running: deque[_Batch] = deque()
    for group in groups:
        file = group[0][0].input
        frames = np.zeros((segmenter.batch(file.place.frame), *file.frames.shape[1:]), np.uint8)
        frames[: len(group)] = [pending.input.frames[number] for pending, number in group]
        running.append(_Batch(group, segmenter(frames)))
        if len(running) > _AHEAD:
            yield running.popleft()
    while running:
        yield running.popleft()
