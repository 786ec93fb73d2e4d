"""Volume values to slices: the head fills the grey levels, order is kept, nothing moves but by the margin."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oasis_jax.volumes.frame import Place, centre, fit, middle, put, quantise, take, volume_grey

FLOATS = st.floats(-(2.0**99), 2.0**99, width=32)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)


@given(hnp.arrays(np.int16, SHAPES))
def test_quantise_scales_the_brightest_to_255(values: np.ndarray) -> None:
    grey = quantise(values)
    assert (grey.dtype, grey.shape) == (np.uint8, values.shape)
    exact = [255 * max(int(v), 0) // max(int(values.max()), 1) for v in values.ravel()]
    assert grey.ravel().tolist() == exact


def test_a_hot_voxel_a_capsule_and_air_leave_the_head_as_it_is() -> None:
    distance = np.sqrt(sum((n - 20) ** 2 for n in np.indices((40, 40, 40))))
    values = np.select([distance < 8, distance < 12, distance < 15], [160.0, 100.0, 45.0], 3.0)  # a head in dark air
    values = (values + np.random.default_rng(0).uniform(-2, 2, values.shape)).astype(np.float32)
    plain = volume_grey(values)
    assert plain.max() == 255
    assert plain[20, 20, 20] > 240
    for factor in (50, 200, 1e6):
        spotted = values.copy()
        spotted[20, 20, 20] *= factor
        spotted[2:4, 2:4, 2:4] = 160 * factor  # a vitamin capsule beside the head
        rest = spotted == values
        assert np.abs(volume_grey(spotted)[rest].astype(int) - plain[rest].astype(int)).max() <= 3
    np.testing.assert_array_equal(volume_grey(np.pad(values, 30, constant_values=3))[30:-30, 30:-30, 30:-30], plain)


@given(hnp.arrays(np.float32, (3, 4, 5), elements=FLOATS), st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_unit_of_intensities_does_not_matter(values: np.ndarray, factor: float) -> None:
    grey = volume_grey(values)
    assert grey.dtype == np.uint8
    assert not grey[values <= 0].any()
    large = np.abs(values) > 1e-25  # smaller ones lose digits
    if large.all():
        assert np.abs(volume_grey(values * np.float32(factor)).astype(int) - grey).max() <= 1
    order = np.argsort(values, axis=None)
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()


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
