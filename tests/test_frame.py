"""Volume values to slices: brightest is 255, order is kept, nothing moves but by the margin."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oasis_jax.data.frame import centre, quantise

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)


@given(hnp.arrays(np.int16, SHAPES))
def test_quantise_scales_the_brightest_to_255_and_keeps_the_order(values: np.ndarray) -> None:
    grey = quantise(values)
    assert grey.dtype == np.uint8 and grey.shape == values.shape
    assert grey.max() == (255 if values.max() > 0 else 0)
    order = values.ravel().argsort(kind="stable")
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()
    exact = [255 * max(int(v), 0) // max(int(values.max()), 1) for v in values.ravel()]
    assert grey.ravel().tolist() == exact


@given(hnp.arrays(np.uint8, SHAPES), st.tuples(st.integers(0, 20), st.integers(0, 20)))
def test_centre_pads_and_cuts_evenly(pixels: np.ndarray, margin: tuple[int, int]) -> None:
    size = pixels.shape[0] + margin[0], pixels.shape[1] + margin[1]
    placed = centre(pixels, size)
    top, left = margin[0] // 2, margin[1] // 2
    assert placed.shape == size and placed.sum() == pixels.sum()
    assert np.array_equal(placed[top : top + pixels.shape[0], left : left + pixels.shape[1]], pixels)
    assert np.array_equal(centre(placed, pixels.shape), pixels)
