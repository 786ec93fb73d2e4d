"""The appearance of slices in two numbers, so that the program notices slices unlike those of training."""

import numpy as np

from oasis_jax.geometry import Pixels

Ranges = dict[str, tuple[float, float]]
"""Low and high value of each measure over a set of slices."""

MEASURES = ("mean", "deviation")

_BACKGROUND_GREY = 25
"""Highest grey level, of 255, that counts as background. The ranges in run folders were measured with it."""

_MARGIN = 0.25
"""How far a slice may lie outside the range of training, in widths of that range, and still count as alike."""

_OUTER = 0.5
"""Percent of the slices at either end that do not count, such as the vertex, where some bright scalp is all."""


def measure(grey: Pixels) -> tuple[float, float]:
    """Mean and standard deviation of the grey levels of a slice's foreground; both are 0 if it has none.

    Black pixels around a head change neither.
    """
    counts = np.bincount(grey.ravel(), minlength=256)[_BACKGROUND_GREY + 1 :].astype(np.float64)
    total = counts.sum()
    if not total:
        return 0.0, 0.0
    levels = np.arange(_BACKGROUND_GREY + 1, 256)
    mean = float(counts @ levels / total)
    return mean, float(np.sqrt(counts @ (levels - mean) ** 2 / total))


def ranges(measures: list[tuple[float, float]]) -> Ranges:
    """The ranges of the measures of many slices, without the few at either end; empty without slices."""
    columns = zip(*measures, strict=True)
    ends = (_OUTER, 100 - _OUTER)
    return {name: tuple(np.percentile(values, ends).tolist()) for name, values in zip(MEASURES, columns, strict=False)}


def union(a: Ranges, b: Ranges) -> Ranges:
    """The smallest ranges that hold two."""
    return {name: (min(a[name][0], b[name][0]), max(a[name][1], b[name][1])) for name in a}


def out_of_range(slices: list[Pixels], known: Ranges) -> list[bool]:
    """Whether each slice lies outside the ranges, widened by a quarter of their width on either side."""
    return [
        any(
            not low - _MARGIN * (high - low) <= value <= high + _MARGIN * (high - low)
            for value, (low, high) in zip(measure(grey), (known[name] for name in MEASURES), strict=True)
        )
        for grey in slices
    ]
