"""Label files: the networks read one stream of slices, across the borders of files."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from oasis_jax.geometry import Size
from oasis_jax.inference.segment import Labels, Segmenter
from oasis_jax.system.ahead import ahead
from oasis_jax.volumes.anatomy import brain_piece
from oasis_jax.volumes.cut import BACKGROUND, Input, own_pixels

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
    advance: Callable[[float], object] = lambda share: None,
) -> Iterator[Segmentation]:
    """Label files. A batch may hold slices of several files; a file is returned as soon as all its slices are labelled.

    All batches with one size of frame have the same number of slices, so the networks are compiled once for each size.
    `advance` is called for each labelled slice with its share of its file.
    """
    whole_heads = segmenter.framing.window is None
    groups = _grouped(inputs, segmenter.batch, keep_probabilities)
    for group, labels in ahead(partial(_segment, segmenter=segmenter), groups, _AHEAD):
        for row, (found, number, numbers) in enumerate(group):
            _fill_slice(found, number, labels, row)
            advance(1 / len(numbers))
            if number == numbers[-1]:  # the slices of a file come in order
                if whole_heads and found.input.volume is not None:
                    _keep_brain(found)
                yield found


_Group = list[tuple[Segmentation, int, list[int]]]
"""Slices that the networks label together: each as file, number, and the numbers of all slices to label of its file. A
slice is certain background until it is labelled."""


def _fill_slice(found: Segmentation, number: int, labels: Labels, row: int) -> None:
    """Fill in the labels of slice `number` from a row of a batch, on the pixels of the file.

    Probabilities come to the host only if they are needed.
    """
    found.confidence[number] = np.asarray(labels.confidence)[row]
    if found.probabilities is None and all(side.own == side.mm for side in found.input.sides):
        found.classes[number] = own_pixels(found.input, number, np.asarray(labels.classes)[row])
        return
    probabilities = own_pixels(found.input, number, np.asarray(labels.probabilities)[row])
    found.classes[number] = probabilities.argmax(-1)
    if found.probabilities is not None:
        found.probabilities[number] = probabilities


def _keep_brain(found: Segmentation) -> None:
    """Make what hangs on to no brain background: bits of scalp and neck that the network took for tissue."""
    beside = ~brain_piece(found.classes > 0)
    found.classes[beside] = 0
    found.confidence[~found.classes.any(axis=(1, 2))] = 1
    if found.probabilities is not None:
        found.probabilities[beside] = BACKGROUND


def _grouped(inputs: Iterable[Input], batch: Callable[[Size], int], keep_probabilities: bool) -> Iterator[_Group]:
    """Slices with one size of frame, as many as a batch holds; fewer at the end.

    Only slices that show any head are labelled. A file without a head gives its first slice, so that every file has a
    result.
    """
    waiting: dict[Size, _Group] = {}
    for file in inputs:
        frame, shape = file.place.frame, (len(file.frames), file.sides[0].own, file.sides[1].own)
        numbers = [int(k) for k in np.flatnonzero(file.head.any(axis=(1, 2)))] or [0]
        probabilities = np.tile(BACKGROUND, (*shape, 1)) if keep_probabilities else None
        found = Segmentation(file, np.zeros(shape, np.uint8), probabilities, np.ones(shape[0], np.float32))
        for number in numbers:
            group = waiting.setdefault(frame, [])
            group.append((found, number, numbers))
            if len(group) == batch(frame):
                yield waiting.pop(frame)
    yield from waiting.values()


def _segment(group: _Group, segmenter: Segmenter) -> Labels:
    """The labels of a group, which devices may still compute; the rows after its slices mean nothing."""
    files = [(found.input, number) for found, number, _ in group]
    frames = np.zeros((segmenter.batch(files[0][0].place.frame), *files[0][0].frames.shape[1:]), np.uint8)
    frames[: len(group)] = [file.frames[number] for file, number in files]
    return segmenter.forward(frames)
