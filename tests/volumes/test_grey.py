"""The grey levels of a volume: one bright spot must not push the head into the dark."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from oasis_jax.volumes.anatomy import brain_piece
from oasis_jax.volumes.frame import volume_grey

FLOATS = st.floats(-(2.0**99), 2.0**99, width=32)


def head(seed: int = 0) -> np.ndarray:
    """A ball of three intensities with noise, in dark air."""
    distance = np.sqrt(sum((n - 20) ** 2 for n in np.indices((40, 40, 40))))
    values = np.select([distance < 8, distance < 12, distance < 15], [160.0, 100.0, 45.0], 3.0)
    return (values + np.random.default_rng(seed).uniform(-2, 2, values.shape)).astype(np.float32)


@pytest.mark.parametrize("factor", [50, 200, 1e6])
def test_a_hot_voxel_and_a_capsule_leave_the_head_as_it_is(factor: float) -> None:
    values = head()
    plain = volume_grey(values)
    spotted = values.copy()
    spotted[20, 20, 20] *= factor
    spotted[2:4, 2:4, 2:4] = 160 * factor  # a vitamin capsule beside the head
    rest = spotted == values
    assert np.abs(volume_grey(spotted)[rest].astype(int) - plain[rest].astype(int)).max() <= 3
    assert plain.max() == 255
    assert plain[20, 20, 20] > 240


def test_air_around_the_head_changes_nothing() -> None:
    values = head()
    wide = np.pad(values, 30)
    np.testing.assert_array_equal(volume_grey(wide)[30:-30, 30:-30, 30:-30], volume_grey(values))


@given(arrays.arrays(np.float32, (3, 4, 5), elements=FLOATS), st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_unit_of_intensities_does_not_matter(values: np.ndarray, factor: float) -> None:
    grey = volume_grey(values)
    assert grey.dtype == np.uint8
    assert not grey[values <= 0].any()
    large = np.abs(values) > 1e-25  # smaller ones lose digits
    if large.all():
        assert np.abs(volume_grey(values * np.float32(factor)).astype(int) - grey).max() <= 1
    order = np.argsort(values, axis=None)
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()


def test_a_blank_plane_does_not_divide_a_brain() -> None:
    brain = np.sqrt(sum((n - 20) ** 2 for n in np.indices((40, 40, 40)))) < 10
    brain[18:20] = False
    np.testing.assert_array_equal(brain_piece(brain), brain)
    assert not brain_piece(np.zeros_like(brain)).any()
