"""The neighbours of a slice in the same case, which the network sees as extra channels."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int


def neighbour_rows(slices: Sequence[tuple[str, int]], reach: int) -> Int[np.ndarray, "slices channels"]:
    """The channels of each slice, as rows of the list: `reach` slices below it, itself, `reach` slices above it.

    Args:
        slices: case and number of each slice, each once; numbers count upward through the head.
        reach: neighbours on each side.

    Returns:
        `(N, 2 * reach + 1)`. If a case lacks a number, as beyond its ends, the next nearer slice is repeated.
    """
    row_of = {name: row for row, name in enumerate(slices)}

    def channels(row: int) -> list[int]:
        case, number = slices[row]
        below, above = [row], [row]
        for distance in range(1, reach + 1):
            below.append(row_of.get((case, number - distance), below[-1]))
            above.append(row_of.get((case, number + distance), above[-1]))
        return [*reversed(below), *above[1:]]

    return np.array([channels(row) for row in range(len(slices))], np.int64).reshape(len(slices), 2 * reach + 1)
