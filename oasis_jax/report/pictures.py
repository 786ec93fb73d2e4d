"""What a picture of a slice shows, and the colour of its errors."""

import numpy as np
from jaxtyping import UInt8

ERROR = (204, 121, 167)
"""RGB of a wrong pixel: reddish purple of the Okabe-Ito palette. Colour-blind readers can see that it is no class."""

_DARK, _MARGIN = 24, 6
"""Grey levels up to this show nothing. Pixels around the part that is shown."""


def shown_box(
    image: UInt8[np.ndarray, "rows columns"],
    truth: UInt8[np.ndarray, "rows columns"],
    prediction: UInt8[np.ndarray, "rows columns"],
) -> tuple[slice, slice]:
    """The rows and columns of a slice that show anything, with a margin; all of them for an empty slice."""
    shown = (image > _DARK) | (truth > 0) | (prediction > 0)
    rows, columns = (np.flatnonzero(shown.any(axis=1 - axis)) for axis in (0, 1))
    if not rows.size:
        return slice(None), slice(None)
    first_row, first_column = (max(indices[0] - _MARGIN, 0) for indices in (rows, columns))
    return slice(first_row, rows[-1] + 1 + _MARGIN), slice(first_column, columns[-1] + 1 + _MARGIN)
