"""Volume values to slices: brightest is 255, order is kept, nothing moves but by the margin."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oasis_jax.volumes.frame import Place, centre, fit, middle, put, quantise, take

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)


@given(hnp.arrays(np.int16, SHAPES))
def test_quantise_scales_the_brightest_to_255(values: np.ndarray) -> None:
    grey = quantise(values)
    assert (grey.dtype, grey.shape) == (np.uint8, values.shape)
    exact = [255 * max(int(v), 0) // max(int(values.max()), 1) for v in values.ravel()]
    assert grey.ravel().tolist() == exact


@given(hnp.arrays(np.uint8, SHAPES), st.tuples(st.integers(0, 20), st.integers(0, 20)))
def test_centre_pads_and_cuts_evenly(pixels: np.ndarray, margin: tuple[int, int]) -> None:
    size = pixels.shape[0] + margin[0], pixels.shape[1] + margin[1]
    placed = centre(pixels, size)
    top, left = margin[0] // 2, margin[1] // 2
    assert (placed.shape, placed.sum()) == (size, pixels.sum())
    assert np.array_equal(placed[top : top + pixels.shape[0], left : left + pixels.shape[1]], pixels)
    assert np.array_equal(centre(placed, pixels.shape), pixels)


HEADS = st.lists(st.integers(0, 400), min_size=3, max_size=3).map(sorted).filter(lambda ends: ends[0] < ends[1])
"""Start and stop of a head along a side, and the length of that side."""


@given(HEADS, HEADS, st.integers(0, 5), st.integers(0, 5))
def test_fit_shows_the_whole_head_and_moves_nothing_without_need(
    rows: list[int], columns: list[int], margin: int, other: int
) -> None:
    window = (64, 96)
    frame = (64 + 16 * margin, 96 + 16 * other)
    size, head = (rows[2], columns[2]), (slice(*rows[:2]), slice(*columns[:2]))
    place = fit(size, head, frame, window)
    for f, old, w, offset, h in zip(place.frame, frame, window, place.offset, head, strict=True):
        first = (old - w) // 2
        assert first <= offset + h.start
        assert offset + h.stop <= first + w + f - old
        assert f == old or f - old - 16 < h.stop - h.start - w <= f - old
    plain = middle(size, place.frame)
    shown = all(
        (o - w) // 2 <= p + h.start and p + h.stop <= (o - w) // 2 + w + f - o
        for p, f, o, w, h in zip(plain.offset, place.frame, frame, window, head, strict=True)
    )
    assert not shown or place == plain


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(-12, 12), st.integers(-12, 12)),
)
def test_take_undoes_put(size: tuple[int, int], frame: tuple[int, int], offset: tuple[int, int]) -> None:
    plane = np.arange(1, 1 + size[0] * size[1]).reshape(size)
    place = Place(frame, offset)
    back = take(put(plane, place), place, size, np.array(0))
    row, column = np.indices(size)
    shown = (row + offset[0] >= 0) & (row + offset[0] < frame[0])
    shown &= (column + offset[1] >= 0) & (column + offset[1] < frame[1])
    assert np.array_equal(back, np.where(shown, plane, 0))
