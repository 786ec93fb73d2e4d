"""Batches of slices: the only file that knows Grain. A training batch is a pure function of seed and step.

A batch is a dict: `image` float32 `(B, H, W, C)`, each slice between its neighbours, normalised; `label` uint8
`(B, H, W)`, classes 0 to 3; `index` int32 `(B,)`, row in the list of slices; `valid` bool `(B,)`, false for padding;
and, only if augmentation needs it, `brain` bool `(B, H, W, C)`.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import grain
import numpy as np
from jaxtyping import Array

from oasis_jax.config import Data
from oasis_jax.data.normalise import normalise
from oasis_jax.data.slices import Slice, read_pair
from oasis_jax.geometry import Pair, Size
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.frame import centre
from oasis_jax.volumes.neighbours import neighbour_rows

Batch = dict[str, Array]
"""On devices."""

HostBatch = dict[str, Any]
"""On the host: numpy arrays."""


class Source(Sequence[Any]):
    """Random access to decoded slices, each a `Pair`.

    A slice is read when it is asked for: once with `data.cache`, otherwise every time. If it is smaller than `size`
    (rows, columns), zeros are put around it. The type of the items is `Any`,
    because to check a more precise one, a type checker would read slices from disk.
    """

    def __init__(self, slices: Sequence[Slice], data: Data, size: Size | None = None):
        self.data, self._slices, self._size = data, slices, size
        self._pair = cache(self._padded) if data.cache else self._padded
        self._channels = neighbour_rows([(pair.case, pair.number) for pair in slices], data.neighbours)

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, index: Any) -> Any:
        return self._pair(int(index))  # for a cache, an integer of numpy is another one

    def _padded(self, index: Any) -> Pair:
        image, classes = read_pair(self._slices[index])
        if self._size in (None, image.shape):
            return image, classes
        return centre(image, self._size), centre(classes, self._size)

    def row(self, index: int, brain: bool = False) -> HostBatch:
        """One row of a batch: a slice between its neighbours, normalised; `brain` adds the mask of each of them."""
        images, classes = zip(*(self[row] for row in self._channels[index]), strict=True)
        return {
            "image": normalise(np.stack(images, axis=-1), self.data.normalise),
            "label": classes[len(classes) // 2],
            "index": np.int32(index),
            "valid": np.bool_(True),
            **({"brain": np.stack(classes, axis=-1) > 0} if brain else {}),
        }


def check_batch(slices: int, batch: int, processes: int) -> None:
    """Raise `UserError` if there are fewer training slices than a batch holds, or if it cannot be shared evenly."""
    if slices < batch:
        raise UserError(f"train.batch is {batch} but there are only {slices} training slices: lower it.")
    if batch % processes:
        raise UserError(f"train.batch is {batch}, which {processes} processes cannot share evenly: choose a multiple.")


def train_batches(
    source: Source,
    *,
    batch: int,
    seed: int,
    start: int = 0,
    processes: tuple[int, int] = (0, 1),
    brain: bool = False,
    parts: Sequence[int] = (),
) -> Iterator[HostBatch]:
    """Endless training batches from step `start` on: this process's part of each.

    Every epoch has a new order, over all processes together. Slices that do not fill a last batch are skipped in that
    epoch.

    Args:
        source: the training slices.
        batch: slices in a step, of all processes together.
        seed: seed of the order.
        start: first step; its batch is the one that an uninterrupted iterator would give there.
        processes: (rank of this process, number of processes).
        brain: add `brain`, bool `(B, H, W, C)`, which augmentation needs to remove the skull.
        parts: how many of the slices come from each tree, in order; needed for `data.shares`.

    Raises:
        UserError: as `check_batch`.
    """
    rank, count = processes
    check_batch(len(source), batch, count)
    order = _order(len(source), batch, seed, source.data.shares, parts)

    def load(index: int) -> HostBatch:  # not a partial: Grain prints what it maps, and would print every cached slice
        return source.row(index, brain)

    batches = order[rank::count].map(load).batch(batch // count)
    batches = batches if source.data.shares else batches.repeat()
    return iter(batches[start:].to_iter_dataset(_read_options(source.data)))


def _order(
    slices: int, batch: int, seed: int, shares: Sequence[float] | None, parts: Sequence[int]
) -> grain.MapDataset:
    """The rows of one epoch; with a share for each tree, those of a training without end."""
    if not shares:
        return grain.MapDataset.range(slices).seed(seed % 2**31).shuffle()[: slices // batch * batch]
    if len(shares) != len(parts):
        raise UserError(f"data.shares has {len(shares)} number(s) for {len(parts)} folder(s): give one for each.")
    if empty := [k for k, (count, share) in enumerate(zip(parts, shares, strict=True), 1) if share and not count]:
        raise UserError(f"Folder {empty[0]} of data.shares has no training slices: give it the share 0.")
    trees = [
        grain.MapDataset.range(int(end) - count, int(end)).seed((seed + k) % 2**31).shuffle().repeat()
        for k, (end, count, share) in enumerate(zip(np.cumsum(parts), parts, shares, strict=True))
        if share
    ]
    return grain.MapDataset.mix(trees, [share / sum(shares) for share in shares if share])


def evaluation_batches(source: Source, *, batch: int, processes: tuple[int, int] = (0, 1)) -> Iterator[HostBatch]:
    """Every slice once, in order: this process's part of each batch. The last batch is padded; there, `valid` is false.

    Arguments are those of `train_batches`.
    """
    rank, count = processes
    padded = -(-len(source) // batch) * batch
    rows = grain.MapDataset.range(padded)[rank::count]

    def load(row: int) -> HostBatch:
        return source.row(min(row, len(source) - 1)) | {"valid": np.bool_(row < len(source))}

    return iter(rows.map(load).batch(batch // count).to_iter_dataset(_read_options(source.data)))


def _read_options(data: Data) -> grain.ReadOptions:
    # An element of the buffer is a whole batch, so a small buffer is enough.
    return grain.ReadOptions(num_threads=data.threads, prefetch_buffer_size=2 * data.threads)
