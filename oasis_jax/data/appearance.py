"""What slices look like, in three numbers, so that a slice unlike those of training is noticed."""

import numpy as np

Ranges = dict[str, tuple[float, float]]
"""Lowest and highest value of each measure over a set of slices."""

MEASURES = ("covered", "mean", "deviation")

_AIR = 25
"""Grey level, of 255, up to which a pixel is air."""

_MARGIN = 0.25
"""How far beyond the range of training, in widths of that range, a slice may lie and still look alike."""


def measure(grey: np.ndarray) -> tuple[float, float, float]:
    """Of a slice, uint8 of any shape: share of pixels above air; mean and deviation of their grey levels."""
    counts = np.bincount(grey.ravel(), minlength=256)[_AIR + 1 :].astype(np.float64)
    total = counts.sum()
    if not total:
        return 0.0, 0.0, 0.0
    levels = np.arange(_AIR + 1, 256)
    mean = float(counts @ levels / total)
    return float(total / grey.size), mean, float(np.sqrt(counts @ (levels - mean) ** 2 / total))


def ranges(measures: list[tuple[float, float, float]]) -> Ranges:
    """The ranges of the measures of many slices; empty without any."""
    columns = zip(*measures, strict=True)
    return {name: (min(values), max(values)) for name, values in zip(MEASURES, columns, strict=False)}


def out_of_range(slices: list[np.ndarray], ranges: Ranges) -> list[bool]:
    """Whether each slice lies beyond the ranges, widened by a quarter of their width on either side."""
    return [
        any(
            not low - _MARGIN * (high - low) <= value <= high + _MARGIN * (high - low)
            for value, (low, high) in zip(measure(grey), (ranges[name] for name in MEASURES), strict=True)
        )
        for grey in slices
    ]
