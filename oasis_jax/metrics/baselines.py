"""Baselines without learning: grey levels alone, slice by slice, inside the true brain mask. Pure numpy.

Both baselines are oracles: they know the true brain mask, so their background is perfect by construction. A network
must find the brain itself, which is harder. The darkest class is CSF, the brightest is white matter. The baselines need
only the histogram of a slice.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Int, Int64

from oasis_jax.classes import COUNT, FOREGROUND
from oasis_jax.geometry import Pixels

_LEVELS = 256
_MAX_ROUNDS, _TOLERANCE = 1000, 1e-3
"""Expectation-maximisation stops after this many rounds, or when no mean moves by more than this many grey levels."""

_MIN_VARIANCE = 1.0
"""In squared grey levels. A smaller variance would put a component on a single grey level."""

Baseline = Literal["otsu", "mixture"]

Method = Callable[[Int[np.ndarray, "slices 256"]], Int[np.ndarray, "slices 256"]]
"""From the number of brain pixels at each grey level to the class of each grey level, 1 to 3."""


def histogram(image: Pixels, truth: Pixels) -> Int64[np.ndarray, "4 256"]:
    """Number of pixels of a slice by true class and grey level."""
    pairs = truth.astype(np.intp).ravel() * _LEVELS + image.ravel()
    return np.bincount(pairs, minlength=COUNT * _LEVELS).reshape(COUNT, _LEVELS)


def confusion(histograms: Int64[np.ndarray, "slices 4 256"], method: Method) -> Int64[np.ndarray, "slices 4 4"]:
    """Pixels of slices by true class (row) and the class that a method gives them (column), from their histograms."""
    brain = histograms.copy()
    brain[:, 0] = 0
    classes = method(brain.sum(1))
    counts = np.stack([(brain * (classes == k)[:, None]).sum(-1) for k in range(COUNT)], axis=-1)
    counts[:, 0, 0] = histograms[:, 0].sum(-1)
    return counts


def otsu(counts: Int[np.ndarray, "slices 256"]) -> Int[np.ndarray, "slices 256"]:
    """Two thresholds for each slice that maximise the variance between three classes (Otsu 1979).

    It tries all pairs of thresholds; of equally good pairs the first wins.
    """
    levels, (low, high) = np.arange(_LEVELS), np.triu_indices(_LEVELS, 1)
    found = []
    # Number of pixels, and sum of their grey levels, up to each level.
    for sums in np.cumsum(np.stack([counts, counts * levels], axis=1), axis=-1, dtype=np.float64):
        classes = sums[:, low], sums[:, high] - sums[:, low], sums[:, -1:] - sums[:, high]
        best = np.sum([moment**2 / np.maximum(weight, 1) for weight, moment in classes], axis=0).argmax()
        found.append(1 + (levels > low[best]).astype(np.int64) + (levels > high[best]))
    return np.stack(found)


def mixture(counts: Int[np.ndarray, "slices 256"]) -> Int[np.ndarray, "slices 256"]:
    """A mixture of three Gaussians for each slice, by expectation-maximisation (Dempster, Laird & Rubin 1977).

    It starts from Otsu's classes. Each grey level gets its most probable component. The three components share one
    variance: with a variance for each, a wide component takes the pixels between two tissues, and the likelihood is
    higher although the classes fit the tissues less well.
    """
    levels, mean = np.arange(_LEVELS, dtype=np.float64), np.zeros((len(counts), 3, 1))
    start = otsu(counts)
    probability = np.stack([start == k for k in FOREGROUND], axis=1).astype(np.float64)
    for _ in range(_MAX_ROUNDS):
        mass = probability * counts[:, None]
        weight = np.maximum(mass.sum(-1, keepdims=True), 1e-9)
        previous, mean = mean, (mass * levels).sum(-1, keepdims=True) / weight
        square = (levels - mean) ** 2
        variance = (mass * square).sum((1, 2), keepdims=True) / weight.sum(1, keepdims=True)
        log_density = np.log(weight) - 0.5 * square / np.maximum(variance, _MIN_VARIANCE)
        probability = np.exp(log_density - log_density.max(1, keepdims=True))
        probability /= probability.sum(1, keepdims=True)
        if np.abs(mean - previous).max() < _TOLERANCE:
            break
    rank = np.argsort(mean[..., 0], axis=1).argsort(axis=1)  # of each component, from dark to bright
    return 1 + np.take_along_axis(rank, probability.argmax(1), axis=1)


METHODS: dict[Baseline, tuple[str, Method]] = {
    "otsu": ("Otsu in the true brain mask (oracle)", otsu),
    "mixture": ("Gaussians in the true brain mask (oracle)", mixture),
}
"""By the name in files: the name in tables, and the method."""
