"""Every form of a convolution equals the plain convolution: in value, in both gradients, and as a Flax module."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oasis_jax.network import convolution
from oasis_jax.network.convolution import conv, upsample, upsample_conv
from oasis_jax.network.unet import Conv


def plain(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def assert_same(ours, theirs, size: tuple[int, int], channels: tuple[int, int], side: int = 3) -> None:
    """Values and gradients of random slices and kernels agree to 1e-5 of the largest one."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, *size, channels[0])), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(side, side, *channels)), jnp.float32)

    @partial(jax.jit, static_argnums=0)  # compiles one program, not one for each operation
    def value_and_gradients(convolve, change: jax.Array) -> tuple[jax.Array, ...]:
        y, back = jax.vjp(convolve, x, kernel)
        return y, *back(change)

    change = jnp.asarray(rng.normal(size=jax.eval_shape(theirs, x, kernel).shape), jnp.float32)
    for actual, expected in zip(value_and_gradients(ours, change), value_and_gradients(theirs, change), strict=True):
        assert actual.dtype == expected.dtype
        np.testing.assert_allclose(actual, expected, atol=1e-5 * max(1, float(jnp.abs(expected).max())))


@pytest.mark.parametrize(
    ("side", "stride", "size", "channels", "rows"),
    [
        (1, 1, (8, 4), (4, 3), 100),
        (3, 1, (10, 6), (4, 3), 1),
        (3, 1, (10, 6), (5, 1), 3),
        (3, 1, (2, 2), (1, 5), 100),
        (3, 2, (10, 6), (4, 3), 100),
        (3, 2, (2, 2), (5, 1), 100),
    ],
)
def test_a_convolution_is_the_plain_one_whatever_the_blocks(
    side: int, stride: int, size: tuple[int, int], channels: tuple[int, int], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The gradient of the kernel takes so many rows at a time.
    monkeypatch.setattr(convolution, "_BLOCK_BYTES", rows * 2 * size[1] * max(channels) * 4)
    assert_same(partial(conv, stride=stride), partial(plain, stride=stride), size, channels, side)


@pytest.mark.parametrize(("size", "channels"), [((1, 1), (4, 3)), ((3, 5), (4, 3))])
def test_upsampling_and_a_convolution_at_low_resolution_are_the_plain_way(
    size: tuple[int, int], channels: tuple[int, int]
) -> None:
    assert_same(upsample_conv, lambda x, kernel: plain(upsample(x), kernel), size, channels)


def test_a_gradient_in_bfloat16_is_added_up_in_float32() -> None:
    rng = np.random.default_rng(0)
    # All values have one sign, and rows are added: each of the 256 is below the precision of their bfloat16 sum.
    x, change = (jnp.asarray(rng.uniform(0.5, 1, (2, 256, 8, 4)), jnp.bfloat16) for _ in range(2))
    for side in (1, 3):
        kernel = jnp.zeros((side, side, 4, 4))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(convolution, "_BLOCK_BYTES", x.nbytes // 256)
            (ours,) = jax.vjp(partial(conv, x), kernel.astype("bfloat16"))[1](change)
        (exact,) = jax.vjp(partial(plain, x.astype("float32")), kernel)[1](change.astype("float32"))
        assert ours.dtype == jnp.bfloat16
        # bfloat16 has 8 binary digits, so a unit in the last place is 1/128.
        np.testing.assert_allclose(ours.astype("float32"), exact, rtol=1 / 128)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("way", [conv, upsample_conv])
def test_the_module_has_the_parameters_of_a_convolution_and_its_values(way, dtype: jnp.dtype) -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 8, 4)), jnp.float32)
    ours = Conv(3, dtype, way)
    theirs = nn.Conv(3, (3, 3), padding="SAME", dtype=dtype, kernel_init=nn.initializers.glorot_uniform())
    inputs = upsample(x) if way is upsample_conv else x
    params, wanted = ours.init(jax.random.key(3), x), theirs.init(jax.random.key(3), inputs)
    jax.tree.map(np.testing.assert_array_equal, params, wanted)
    params = jax.tree.map(lambda p: p + 0.1, params)
    y, wanted = jnp.asarray(ours.apply(params, x)), jnp.asarray(theirs.apply(params, inputs))
    assert y.dtype == wanted.dtype == dtype
    # bfloat16 has 8 binary digits; the tolerance is two units in the last place.
    rtol, atol = (1e-7, 1e-5) if dtype == jnp.float32 else (2**-6, 0.01)
    np.testing.assert_allclose(y.astype(jnp.float32), wanted.astype(jnp.float32), rtol, atol)
