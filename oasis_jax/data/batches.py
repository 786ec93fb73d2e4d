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
    (rows, columns), zeros are put around it. `data` also says how they are normalised, and how many threads read them.
    The type of the items is `Any`, because to check a more precise one, a type checker would read slices from disk.
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

    def example(self, number: int, brain: bool = False) -> HostBatch:
        """A row of a batch: a slice between its neighbours, normalised; `brain` adds the mask of each of them.

        A number after that of the last slice gives padding.
        """
        index = min(number, len(self) - 1)
        images, classes = zip(*(self[row] for row in self._channels[index]), strict=True)
        return {
            "image": normalise(np.stack(images, axis=-1), self.data.normalise),
            "label": classes[len(classes) // 2],
            "index": np.int32(index),
            "valid": np.bool_(number < len(self)),
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
    check_batch(len(source), batch, processes[1])
    order = _order(len(source), batch, seed, source.data.shares, parts)
    return _batches(order, source, batch, processes, start, brain)


def _order(
    slices: int, batch: int, seed: int, shares: Sequence[float] | None, parts: Sequence[int]
) -> grain.MapDataset:
    """The rows of a training without end, in whole batches of an epoch or with a share for each tree."""
    if not shares:
        return grain.MapDataset.range(slices).seed(seed % 2**31).shuffle()[: slices // batch * batch].repeat()
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
    padded = -(-len(source) // batch) * batch
    return _batches(grain.MapDataset.range(padded), source, batch, processes)


def _batches(
    rows: grain.MapDataset, source: Source, batch: int, processes: tuple[int, int], start: int = 0, brain: bool = False
) -> Iterator[HostBatch]:
    """This process's part of each batch of rows, from batch `start` on; rows after those of the source are padding."""
    rank, count = processes

    def load(row: int) -> HostBatch:  # not a partial: Grain prints what it maps, and would print every cached slice
        return source.example(row, brain)

    batches = rows[rank::count].map(load).batch(batch // count)
    # An element of the buffer is a whole batch, so a small buffer is enough.
    threads = source.data.threads
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    return iter(batches[start:].to_iter_dataset(options))
