"""The convolution at low resolution is the one on repeated pixels: values and both gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_jax.model import UpsampleConv
from oasis_jax.upsample import upsample, upsample_conv


def plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(upsample(x), kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 1), (1, 4), (3, 5), (8, 2)]), st.sampled_from([(1, 1), (4, 3)]))
@settings(max_examples=12)
def test_values_and_gradients_are_those_of_the_plain_way(
    seed: int, size: tuple[int, int], channels: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(2, *size, channels[0])), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, *channels)), jnp.float32)
    ours, back = jax.vjp(upsample_conv, x, kernel)
    theirs, reference = jax.vjp(plain, x, kernel)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    change = jnp.asarray(rng.normal(size=ours.shape), jnp.float32)
    for one, other in zip(back(change), reference(change), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * max(1, float(jnp.abs(other).max())))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_module_has_the_parameters_of_a_convolution_and_its_values(dtype: jnp.dtype) -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 8, 4)), jnp.float32)
    conv = nn.Conv(3, (3, 3), padding="SAME", dtype=dtype, kernel_init=nn.initializers.glorot_uniform())
    params = UpsampleConv(3, dtype).init(jax.random.key(3), x)
    wanted = conv.init(jax.random.key(3), upsample(x))
    assert jax.tree.structure(params) == jax.tree.structure(wanted)
    for ours, theirs in zip(jax.tree.leaves(params), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    params = jax.tree.map(lambda p: p + 0.1, params)
    ours, theirs = UpsampleConv(3, dtype).apply(params, x), conv.apply(params, upsample(x))
    assert ours.dtype == theirs.dtype == dtype  # pyright: ignore
    # bfloat16 keeps 8 binary digits: two units in the last place.
    np.testing.assert_allclose(
        *(side.astype(jnp.float32) for side in (ours, theirs)),  # pyright: ignore
        **({"atol": 1e-5} if dtype == jnp.float32 else {"rtol": 2**-6, "atol": 0.01}),
    )
