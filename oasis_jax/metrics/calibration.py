"""Are probabilities true: of the pixels called 80 % sure, are 80 % right?

Counted only inside the brain, true or predicted: background is most of a slice and is always sure and right, which
flatters. The confidence of a pixel is the probability of its winning class, in 15 equal bins (Guo et al. 2017, arXiv
1706.04599). Counts can be added over any slices before the curve is drawn.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, UInt8

BINS = 15
"""Bin m (from 0) holds confidences above m / 15 up to (m + 1) / 15. Four classes leave those below 1/4 empty."""


class BinCounts(NamedTuple):
    """By slice (or group of slices) and bin, each `(..., 15)`."""

    pixels: Any
    """How many pixels: int32 of one slice; add in int64."""
    confidence: Any
    """Their confidences added up: float32 of one slice; add in float64."""
    correct: Any
    """How many of them have the true class: int32 of one slice; add in int64."""


class Curve(NamedTuple):
    """The reliability diagram; NaN in an empty bin."""

    confidence: Float64[np.ndarray, "*groups 15"]
    """Mean confidence of the bin's pixels."""
    accuracy: Float64[np.ndarray, "*groups 15"]
    """Share of them that is right."""


def bin_counts(
    probability: Float[Array, "batch height width 4"], label: UInt8[Array, "batch height width"]
) -> BinCounts:
    """Count the pixels inside the union of true and predicted brain, each of shape `(batch, 15)`; for `jit`."""
    prediction = probability.argmax(-1)
    confidence = probability.max(-1).astype(jnp.float32)
    inside = (label > 0) | (prediction > 0)
    place = jnp.clip(jnp.ceil(confidence * BINS).astype(jnp.int32) - 1, 0, BINS - 1)
    member = jax.nn.one_hot(jnp.where(inside, place, -1), BINS)  # a pixel outside is in no bin
    counted = jnp.stack([jnp.ones_like(confidence), confidence, (prediction == label).astype(jnp.float32)])
    # A product of matrices, not three sums a bin: 3 ms a slice on a CPU instead of 8. Whole numbers stay exact.
    pixels, sums, correct = jnp.einsum("cbhw,bhwm->cbm", counted, member, precision="highest")
    return BinCounts(pixels.astype(jnp.int32), sums, correct.astype(jnp.int32))


def curve(counts: BinCounts) -> Curve:
    """Mean confidence and accuracy of each bin, from counts added up before."""
    with np.errstate(invalid="ignore"):
        return Curve(counts.confidence / counts.pixels, counts.correct / counts.pixels)


def expected_calibration_error(counts: BinCounts) -> np.ndarray:
    """Mean over pixels of `|accuracy - confidence|` of their bin, range 0 to 1 (Naeini et al. 2015; Guo et al. 2017).

    `sum over bins of (pixels in bin / pixels) |accuracy - confidence|`, `(...)` from `(..., 15)`; NaN without pixels.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(counts.correct - counts.confidence).sum(-1) / np.sum(counts.pixels, -1))
