"""Calibration: of the pixels with a confidence of 80 %, are 80 % correct?

Only pixels inside the true or the predicted brain count. Most of a slice is background, which is easy and would flatter
the network. The confidence of a pixel is the probability of its predicted class, in 15 equal bins (Guo et al. 2017,
arXiv:1706.04599). Counts can be added over slices before the curve and the error are computed.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

BINS = 15
"""Bin m (from 0) holds confidences above m / 15 up to (m + 1) / 15. With four classes the bins below 1/4 stay empty."""


class BinCounts(NamedTuple):
    """Sums for each slice (or group of slices) and bin, each of shape `(..., 15)`, on the host or on devices."""

    pixels: Any
    """Number of pixels: int32 for one slice; add in int64."""
    confidence: Any
    """Sum of their confidences: float32 for one slice; add in float64."""
    correct: Any
    """Number of pixels whose predicted class is the true one: int32 for one slice; add in int64."""


def bin_counts(
    probability: Float[Array, "batch height width 4"], label: UInt8[Array, "batch height width"]
) -> BinCounts:
    """Sums of each slice, `(batch, 15)`, over the pixels inside the union of true and predicted brain; under `jit`."""
    prediction = probability.argmax(-1)
    confidence = probability.max(-1).astype(jnp.float32)
    inside = (label > 0) | (prediction > 0)
    bins = jnp.clip(jnp.ceil(confidence * BINS).astype(jnp.int32) - 1, 0, BINS - 1)
    in_bin = jax.nn.one_hot(jnp.where(inside, bins, -1), BINS)  # a pixel outside the brain is in no bin
    # Distances from the middle of a bin are small, so float32 adds them up with more digits than the confidences.
    distance = confidence - (bins + 0.5) / BINS
    terms = jnp.stack([jnp.ones_like(confidence), distance, (prediction == label).astype(jnp.float32)])
    # One matrix product takes 3 ms a slice on a CPU, three sums for each bin take 8 ms. Integers stay exact.
    pixels, distances, correct = jnp.einsum("cbhw,bhwm->cbm", terms, in_bin, precision="highest")
    sums = distances + pixels * (jnp.arange(BINS) + 0.5) / BINS
    return BinCounts(pixels.astype(jnp.int32), sums, correct.astype(jnp.int32))


def expected_calibration_error(counts: BinCounts) -> Float[np.ndarray, "*groups"]:
    """Mean over pixels of `|accuracy - confidence|` of their bin, range 0 to 1 (Naeini et al. 2015; Guo et al. 2017).

    The sum over bins of `(pixels in bin / pixels) |accuracy - confidence|`, from counts on the host, `(*groups, 15)`;
    NaN without pixels.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(counts.correct - counts.confidence).sum(-1) / np.sum(counts.pixels, -1))


def mean_confidence(counts: BinCounts) -> Float[np.ndarray, "*groups"]:
    """Mean confidence of the pixels inside the brain, 0 to 1, from such counts; NaN without pixels."""
    with np.errstate(invalid="ignore"):
        return np.asarray(counts.confidence.sum(-1, dtype=np.float64) / counts.pixels.sum(-1))
