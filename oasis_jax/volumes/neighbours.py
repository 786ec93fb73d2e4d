"""The neighbours of a slice, which a network sees as extra channels: rows of a list, or files in a folder."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Int

_NAME = re.compile(r"(.+_slice_)(\d+)(\D*)")
"""The name of a file whose neighbours can be found."""

Item = TypeVar("Item", int, Path)


def neighbour_rows(slices: Sequence[tuple[str, int]], reach: int) -> Int[np.ndarray, "slices channels"]:
    """The channels of each slice, as rows of the list: `reach` slices below it, itself, `reach` slices above it.

    Args:
        slices: case and number of each slice, each once; numbers count upward through the head.
        reach: neighbours on each side.

    Returns:
        `(N, 2 * reach + 1)`. If a case lacks a number, as beyond its ends, the next nearer slice is repeated.
    """
    row_of = {name: row for row, name in enumerate(slices)}

    def beside(row: int, step: int, nearer: int) -> int:
        case, number = slices[row]
        return row_of.get((case, number + step), nearer)

    channels = [_channels(row, reach, beside) for row in range(len(slices))]
    return np.array(channels, np.int64).reshape(len(slices), 2 * reach + 1)


def neighbour_files(path: Path, reach: int) -> list[Path]:
    """The same for a file, among the files of its folder named `CASE_slice_K`; zeros may stand before K."""
    return _channels(path, reach, _file_beside)


def _channels(item: Item, reach: int, beside: Callable[[Item, int, Item], Item]) -> list[Item]:
    """An item between its neighbours. `beside` gives the one some steps on; without one, a nearer one."""
    below, above = [item], [item]
    for distance in range(1, reach + 1):
        below.append(beside(item, -distance, below[-1]))
        above.append(beside(item, distance, above[-1]))
    return [*reversed(below), *above[1:]]


def _file_beside(path: Path, step: int, nearer: Path) -> Path:
    name = _NAME.fullmatch(path.name)
    if name is None or (number := int(name[2]) + step) < 0:
        return nearer
    texts = (str(number), f"{number:0{len(name[2])}d}")
    files = (path.with_name(f"{name[1]}{text}{name[3]}") for text in texts)
    return next((file for file in files if file.is_file()), nearer)
