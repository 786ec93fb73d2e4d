"""Dropout drops the given share, keeps the mean and finite numbers, and makes the mask of a slice from its own key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oasis_jax.network.dropout import dropout


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.9])
def test_the_share_and_the_mean_are_as_requested(rate: float) -> None:
    x = jnp.ones((4, 64, 64, 16))
    y = np.asarray(dropout(x, jax.random.split(jax.random.key(0), 4), rate))
    deviation = 5 * np.sqrt(rate * (1 - rate) / y.size)  # five standard deviations of a share of independent draws
    np.testing.assert_allclose((y == 0).mean(), rate, atol=deviation + 1e-4)
    np.testing.assert_allclose(y[y > 0], 1 / (1 - rate), rtol=2e-4)
    # Neighbours are independent, and so are the two halves of a row, which share random words.
    dropped = y == 0
    for first, second in ((dropped[:, :-1], dropped[:, 1:]), (dropped[:, :, :32], dropped[:, :, 32:])):
        np.testing.assert_allclose((first & second).mean(), rate**2, atol=5 * rate / np.sqrt(first.size) + 1e-4)


def test_a_slices_mask_follows_from_its_key_alone() -> None:
    x = jnp.ones((3, 2, 5, 3), jnp.bfloat16)  # an odd width, of whose last words half are not needed
    keys = jax.random.split(jax.random.key(1), 3)
    y = dropout(x, keys, 0.5)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert not np.array_equal(y[0], y[1])
    np.testing.assert_array_equal(y[1:], dropout(x[1:], keys[1:], 0.5))
    assert jnp.isfinite(dropout(x, keys, 1 - 1e-9)).all()
