"""Ways in which software turns a slice of a volume into 8-bit grey levels.

Which one made the published slices is not documented. Counts in 400 of them show that the brightest pixel is 255 and
that the scaling truncates, as the default does. Several rules do so and differ in a few pixels at most; the digests of
the published files tell them apart. A rule is a conversion of a base.
"""

from collections.abc import Callable
from itertools import product

import numpy as np

from oasis_jax.data.volumes import frame
from oasis_jax.data.volumes.frame import centre

FRAME = (256, 256)
"""Rows and columns of a published slice."""

Rule = Callable[[np.ndarray], np.ndarray]
"""From the real values of a slice to uint8 grey levels in the frame, `(256, 256)`."""


def _from_zero(values: np.ndarray) -> np.ndarray:
    return centre(np.maximum(values.astype(np.float64), 0), FRAME)


def _from_lowest(values: np.ndarray) -> np.ndarray:
    return centre(values.astype(np.float64) - values.min(), FRAME)


def _from_lowest_of_frame(values: np.ndarray) -> np.ndarray:
    padded = centre(values.astype(np.float64), FRAME)
    return padded - padded.min()


_BASES = {
    "maximum": _from_zero,
    "min-max": _from_lowest,
    "min-max of the padded slice": _from_lowest_of_frame,
}
"""Which value becomes 0. All give the same if the lowest value of a slice is 0."""


def _factor(v: np.ndarray, top: float) -> np.ndarray:
    return (v * (255 / top)).astype(np.uint8)


def _rounded(v: np.ndarray, top: float) -> np.ndarray:
    return np.rint(v * 255 / top).astype(np.uint8)


def _half_up(v: np.ndarray, top: float) -> np.ndarray:
    return np.floor(v * 255 / top + 0.5).astype(np.uint8)


def _bytescale(v: np.ndarray, top: float) -> np.ndarray:
    return ((v * (255 / top)).clip(0, 255) + 0.5).astype(np.uint8)


def _early_bytescale(v: np.ndarray, top: float) -> np.ndarray:
    return (v * (255 / top) + 0.4999).astype(np.uint8)


def _image_as_uint(v: np.ndarray, top: float) -> np.ndarray:
    return (v / top * 255 + 0.499999999).astype(np.uint8)


_GREY_MAP = (np.linspace(0, 1, 256) * 255).astype(np.uint8)  # truncated: 33, 37, 41, ... do not occur


def _imsave(v: np.ndarray, top: float) -> np.ndarray:
    return _GREY_MAP[np.minimum(v / top * 256, 255).astype(np.uint8)]


def _normalize(v: np.ndarray, top: float) -> np.ndarray:
    return np.rint(v.astype(np.float32) * np.float32(255 / top)).clip(0, 255).astype(np.uint8)


_CONVERSIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    # numpy's (v / top * 255).astype("uint8") too, in double or single precision: the same for whole numbers to 32767.
    "floor(255 v / top)": lambda v, top: frame.quantise(v),
    "scipy.misc.bytescale": _bytescale,  # scipy 0.19, behind scipy.misc.imsave and toimage; floor(v (255 / top) + 0.5)
    "early scipy.misc.bytescale": _early_bytescale,  # scipy 0.7: floor(v (255 / top) + 0.4999)
    "uint8(v * (255 / top))": _factor,  # numpy's astype after one multiplication
    "round(255 v / top)": _rounded,  # numpy's round and skimage.img_as_ubyte of v / top: halves to even
    "half up (255 v / top)": _half_up,  # as MATLAB's im2uint8
    "imageio.core.image_as_uint": _image_as_uint,  # imageio 2, behind imwrite of floats
    "matplotlib.pyplot.imsave": _imsave,  # cmap="gray": 256 equal bins, then a table of 256 greys (Colormap)
    "OpenCV normalize": _normalize,  # NORM_MINMAX to CV_8U: single precision, halves to even (convertTo, cvRound)
}
"""From values `v` at least 0 and their largest, `top` > 0, to uint8; each with its source."""


def _rule(base: Callable[[np.ndarray], np.ndarray], convert: Callable[[np.ndarray, float], np.ndarray]) -> Rule:
    def rule(values: np.ndarray) -> np.ndarray:
        above = base(values)
        top = float(above.max())
        return convert(above, top) if top > 0 else np.zeros(FRAME, np.uint8)

    return rule


RULES: dict[str, Rule] = {
    f"{conversion} of {base}": _rule(_BASES[base], _CONVERSIONS[conversion])
    for conversion, base in product(_CONVERSIONS, _BASES)
}
"""Every rule by its name; the first is the default."""

DEFAULT = next(iter(RULES))
