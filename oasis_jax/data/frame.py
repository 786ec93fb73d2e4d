"""From an axial slice of a volume to what a network sees: 8-bit grey levels, centred in a frame.

Rebuilding, importing and prediction all make their slices here, because normalisation sees the whole frame.
"""

import numpy as np


def quantise(values: np.ndarray) -> np.ndarray:
    """Grey levels of one slice: `floor(255 * value / largest value)`; negative values become 0.

    Args:
        values: intensities of any real dtype and unit, `(rows, columns)`, finite.

    Returns:
        uint8 of the same shape, the brightest pixel 255; all 0 where no value is above 0.
    """
    top = float(values.max(initial=0))
    if top <= 0:
        return np.zeros(values.shape, np.uint8)
    # Multiplied before divided: the quotient of two equal numbers is exactly 1, so the brightest pixel is exactly 255.
    return np.floor(np.maximum(values, 0).astype(np.float64) * 255 / top).astype(np.uint8)


def centre(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pad with zeros, or cut off evenly, to `size` (rows, columns); where a margin is odd, the far side gets more."""
    out = np.zeros(size, pixels.dtype)
    inside, outside = [], []
    for have, want in zip(pixels.shape, size, strict=True):
        offset = (want - have) // 2 if want >= have else -((have - want) // 2)
        inside.append(slice(max(offset, 0), max(offset, 0) + min(have, want)))
        outside.append(slice(max(-offset, 0), max(-offset, 0) + min(have, want)))
    out[tuple(inside)] = pixels[tuple(outside)]
    return out
