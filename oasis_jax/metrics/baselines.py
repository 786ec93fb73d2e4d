"""What no learning reaches: grey levels alone, slice by slice, inside the truth's brain mask. Pure numpy.

Both are oracles: they are given where the brain is, so their background is perfect by construction, and a network that
must find the brain itself has the harder task. Darkest class CSF, brightest white matter. A slice's histogram holds all
they look at, so they are computed from it.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int, Int64, UInt8

from oasis_jax.classes import COUNT, FOREGROUND

_LEVELS = 256
_ROUNDS, _STILL = 1000, 1e-3
"""Rounds of expectation and maximisation at most; they end when no mean moves further than this, in grey levels."""

_NARROWEST = 1.0
"""Least variance, in squared grey levels: less would be a spike on one level."""

Method = Callable[[Int[np.ndarray, "slices 256"]], Int[np.ndarray, "slices 256"]]
"""From counts of brain pixels by grey level to the class of each grey level, 1 to 3."""


def histogram(
    image: UInt8[np.ndarray, "rows columns"], truth: UInt8[np.ndarray, "rows columns"]
) -> Int64[np.ndarray, "4 256"]:
    """Pixels of a slice by true class and grey level."""
    pairs = truth.astype(np.intp).ravel() * _LEVELS + image.ravel()
    return np.bincount(pairs, minlength=COUNT * _LEVELS).reshape(COUNT, _LEVELS)


def confusion(histograms: Int64[np.ndarray, "slices 4 256"], method: Method) -> Int64[np.ndarray, "slices 4 4"]:
    """What a method makes of slices, from their histograms: pixels by true class (row) and predicted class (column)."""
    brain = histograms.copy()
    brain[:, 0] = 0
    classes = method(brain.sum(1))
    out = np.stack([(brain * (classes == k)[:, None]).sum(-1) for k in range(COUNT)], axis=-1)
    out[:, 0, 0] = histograms[:, 0].sum(-1)
    return out


def otsu(counts: Int[np.ndarray, "slices 256"]) -> Int[np.ndarray, "slices 256"]:
    """Two thresholds that make the variance between three classes largest (Otsu 1979), for each slice by itself."""
    return np.stack([_otsu(one) for one in counts])


def _otsu(counts: Int[np.ndarray, "256"]) -> Int[np.ndarray, "256"]:
    """Of all pairs of thresholds; the first of several that are equally good."""
    levels = np.arange(_LEVELS)
    # The weight and the sum of greys up to each level, and from one level to another.
    weight, moment = np.cumsum(counts, dtype=np.float64), np.cumsum(counts * levels, dtype=np.float64)

    def share(weight: np.ndarray, moment: np.ndarray) -> np.ndarray:
        return moment**2 / np.maximum(weight, 1)

    low, high = np.triu_indices(_LEVELS, 1)
    between = share(weight[low], moment[low]) + share(weight[high] - weight[low], moment[high] - moment[low])
    between += share(weight[-1] - weight[high], moment[-1] - moment[high])
    best = between.argmax()
    return 1 + (levels > low[best]).astype(np.int64) + (levels > high[best])


def mixture(counts: Int[np.ndarray, "slices 256"]) -> Int[np.ndarray, "slices 256"]:
    """A mixture of three Gaussians of one variance for each slice, by expectation-maximisation from Otsu's classes.

    Each grey level gets the most probable component (Dempster, Laird & Rubin 1977). With a variance for each component
    the largest likelihood is further from the tissues: a wide one takes in the pixels between two tissues.
    """
    levels, mean = np.arange(_LEVELS, dtype=np.float64), np.zeros((len(counts), 3, 1))
    member = np.stack([otsu(counts) == k for k in FOREGROUND], axis=1).astype(np.float64)
    for _ in range(_ROUNDS):
        mass = member * counts[:, None]
        weight = np.maximum(mass.sum(-1, keepdims=True), 1e-9)
        before, mean = mean, (mass * levels).sum(-1, keepdims=True) / weight
        spread = (mass * (levels - mean) ** 2).sum((1, 2), keepdims=True) / weight.sum(1, keepdims=True)
        density = np.log(weight) - 0.5 * (levels - mean) ** 2 / np.maximum(spread, _NARROWEST)
        member = np.exp(density - density.max(1, keepdims=True))
        member /= member.sum(1, keepdims=True)
        if np.abs(mean - before).max() < _STILL:
            break
    place = np.argsort(mean[..., 0], axis=1).argsort(axis=1)  # components by their means, from dark to bright
    return 1 + np.take_along_axis(place, member.argmax(1), axis=1)


METHODS: dict[str, tuple[str, Method]] = {
    "otsu": ("Otsu in the true brain mask (oracle)", otsu),
    "mixture": ("Gaussians in the true brain mask (oracle)", mixture),
}
"""Name in files, name for people, method."""
