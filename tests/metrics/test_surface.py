import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from surface_distance import metrics

from oasis_jax.metrics import surface

# Halves and whole numbers: their squares add up without rounding, so equal means equal to the last bit.
SPACINGS = st.lists(st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0]), min_size=3, max_size=3)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two small masks of one shape, in 2 or 3 dimensions, that may touch the edges of the array; none is empty."""
    shape = draw(st.one_of(st.tuples(*[st.integers(1, 8)] * 2), st.tuples(*[st.integers(1, 5)] * 3)))
    masks = draw(arrays.arrays(bool, (2, *shape)))
    for mask in masks:
        mask[tuple(draw(st.integers(0, n - 1)) for n in shape)] = True
    return masks[0], masks[1]


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
@given(pairs(), SPACINGS)
def test_the_library_whose_definition_it_is_gives_the_same(
    pair: tuple[np.ndarray, np.ndarray], spacing: list[float]
) -> None:
    spacing = spacing[: pair[0].ndim]
    library = metrics.compute_surface_distances(*pair, spacing)
    row = surface.row(pair[0].astype(np.uint8), pair[1].astype(np.uint8), spacing)  # as masks of CSF
    assert row.hausdorff[0] == metrics.compute_robust_hausdorff(library, 95)
    expected = metrics.compute_surface_dice_at_tolerance(library, surface.TOLERANCE)
    assert surface.surface_dice(row.near, row.size)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(6, 7), (4, 5, 6)])
def test_a_class_that_one_side_lacks_is_infinitely_far_and_one_that_both_lack_is_left_out(
    shape: tuple[int, ...],
) -> None:
    truth, prediction = np.zeros((2, *shape), np.uint8)
    truth[2:4, 2:4] = prediction[2:4, 2:4] = 1
    prediction[0, 0] = 2
    for pair in ((truth, prediction), (prediction, truth)):
        row = surface.row(*pair, (1.0,) * len(shape))
        np.testing.assert_array_equal(row.hausdorff, (0, np.inf, np.nan))
        np.testing.assert_array_equal(surface.surface_dice(row.near, row.size), (1, 0, np.nan))
