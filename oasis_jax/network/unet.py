"""The Improved U-Net (Isensee et al. 2017, arXiv:1802.10508), as the seed project built it and as the paper did.

With `stem=16, norm="none", segmentation="3x3", dropout=0.3` it has the seed's 2,779,472 parameters. This is the only
file that knows Flax modules.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from oasis_jax import classes
from oasis_jax.config import LEVELS, Model
from oasis_jax.network import convolution
from oasis_jax.network.convolution import upsample, upsample_conv
from oasis_jax.network.dropout import dropout
from oasis_jax.system.errors import UserError

Params = Any
Init = Callable[[Array, tuple[int, int, int]], Params]
Apply = Callable[..., Array]

LEAKY_SLOPE = 0.01

_BACKGROUND_LOGIT = 30.0
"""Logit difference that stands for certainty: exp(-30) is far below the resolution of a float32 probability."""


def network(config: Model) -> tuple[Init, Apply]:
    """The network as two pure functions.

    Returns:
        `init(key, (H, W, C)) -> params`: float32; Glorot-uniform kernels and zero biases, as Keras has them; the same
        for every (H, W).
        `apply(params, image, dropout_keys=None) -> logits`: `image` float32 `(B, H, W, C)`, normalised; logits
        float32 `(B, H, W, 4)`. Dropout is on exactly when `dropout_keys`, one key a slice `(B,)`, is given.
    """
    module = ImprovedUNet(
        stem=config.stem,
        instance_norm=config.norm == "instance",
        pre_activation=config.pre_activation,
        linear_segmentation=config.segmentation == "1x1",
        dropout=config.dropout,
        dtype=jnp.dtype(config.dtype),
    )

    def init(key: Array, shape: tuple[int, int, int]) -> Params:
        return module.init(key, jnp.zeros((1, *shape)))["params"]

    def apply(
        params: Params,
        image: Float[Array, "batch height width channels"],
        dropout_keys: Key[Array, " batch"] | None = None,
    ) -> Float[Array, "batch height width 4"]:
        if config.crop is None:
            return whole(params, image, dropout_keys)
        return _pad_background(whole(params, _centre(image, config.crop), dropout_keys), image.shape[1:3])

    def whole(params: Params, image: Array, dropout_keys: Array | None) -> Array:
        return cast(Array, module.apply({"params": params}, image, dropout_keys))

    return init, apply


class ImprovedUNet(nn.Module):
    """A residual encoder, a decoder with localisation modules, and segmentation layers summed upward."""

    stem: int
    instance_norm: bool
    pre_activation: bool
    linear_segmentation: bool
    dropout: float
    dtype: Any

    @nn.compact
    def __call__(self, image: Array, dropout_keys: Array | None = None) -> Array:
        def conv(features: int, name: str, kernel: int = 3, stride: int = 1) -> Conv:
            return Conv(features, self.dtype, partial(convolution.conv, stride=stride), kernel, name=name)

        def norm_act(x: Array, name: str) -> Array:
            if self.instance_norm:
                x = nn.InstanceNorm(epsilon=1e-5, dtype=self.dtype, name=f"{name}_norm")(x)
            return nn.leaky_relu(x, LEAKY_SLOPE)

        def block(x: Array, features: int, name: str, kernel: int = 3, stride: int = 1) -> Array:
            return norm_act(conv(features, name, kernel, stride)(x), name)

        def drop(x: Array, level: int) -> Array:
            if dropout_keys is None or self.dropout == 0:
                return x
            return dropout(x, jax.vmap(partial(jax.random.fold_in, data=level))(dropout_keys), self.dropout)

        def context(x: Array, level: int) -> Array:
            """Conv, dropout, conv; added to the input."""
            name, features = f"encoder{level}_context", x.shape[-1]
            if self.pre_activation:
                y = conv(features, f"{name}_conv1")(norm_act(x, f"{name}_conv1"))
                y = conv(features, f"{name}_conv2")(norm_act(drop(y, level), f"{name}_conv2"))
            else:
                y = drop(block(x, features, f"{name}_conv1"), level)
                y = block(y, features, f"{name}_conv2")
            return x + y

        def segmentation(x: Array, name: str) -> Array:
            if self.linear_segmentation:
                return conv(classes.COUNT, name, kernel=1)(x)
            return nn.leaky_relu(conv(classes.COUNT, name)(x), LEAKY_SLOPE)

        widths = [self.stem * 2**level for level in range(LEVELS)]
        x = image.astype(self.dtype)
        skips = []
        for level, width in enumerate(widths):
            x = block(x, width, f"encoder{level}_conv", stride=1 if level == 0 else 2)
            x = context(x, level)
            skips.append(x)

        total = None
        for level in reversed(range(LEVELS - 1)):
            width = widths[level]
            x = Conv(width, self.dtype, upsample_conv, name=f"decoder{level}_up")(x)
            x = jnp.concatenate([x, skips[level]], axis=-1)
            if level > 0:
                x = block(x, width, f"decoder{level}_localisation1")
                x = block(x, width, f"decoder{level}_localisation2", kernel=1)
            else:
                x = block(x, 2 * width, "decoder0_conv")
            if level < LEVELS - 2:
                scores = segmentation(x, f"decoder{level}_segmentation")
                total = scores if total is None else upsample(total) + scores
        assert total is not None
        return conv(classes.COUNT, "logits", kernel=1)(total).astype(jnp.float32)


class Conv(nn.Module):
    """`nn.Conv` with the same parameters, by a function `(x, kernel) -> y`."""

    features: int
    dtype: Any
    convolve: Callable[[Array, Array], Array]
    size: int = 3

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        return self.convolve(x.astype(self.dtype), kernel.astype(self.dtype)) + bias.astype(self.dtype)


def _centre(image: Array, size: tuple[int, int]) -> Array:
    """The central (rows, columns) of `(B, H, W, C)`; not larger than the image."""
    top, left = ((whole - part) // 2 for whole, part in zip(image.shape[1:3], size, strict=True))
    return image[:, top : top + size[0], left : left + size[1]]


def _pad_background(logits: Array, size: tuple[int, ...]) -> Array:
    """The inverse of `_centre`: around the logits, all probability lies on background."""
    pads = [((whole - part) // 2, -((part - whole) // 2)) for whole, part in zip(size, logits.shape[1:3], strict=True)]
    padded = jnp.pad(logits[..., 1:], ((0, 0), *pads, (0, 0)), constant_values=-_BACKGROUND_LOGIT)
    background = jnp.pad(logits[..., :1], ((0, 0), *pads, (0, 0)))
    return jnp.concatenate([background, padded], axis=-1)


def check_frame(config: Model, size: tuple[int, int], extent: tuple[int, int, int, int] | None = None) -> None:
    """Check that the network can see slices of a size, and all of what is labelled in them.

    Args:
        config: the network.
        size: (rows, columns) of the slices.
        extent: first and last row, first and last column with a label above background.

    Raises:
        UserError: the crop is larger than the slices, or cuts labels off.
    """
    if config.crop is None:
        return
    if any(part > whole for part, whole in zip(config.crop, size, strict=True)):
        problem = f"is larger than the slices, {size[0]}x{size[1]}"
    elif extent is not None and any(
        first <= last and (first < (whole - part) // 2 or last >= (whole - part) // 2 + part)
        for first, last, whole, part in zip(extent[::2], extent[1::2], size, config.crop, strict=True)
    ):
        problem = f"cuts off labels, which reach rows {extent[0]} to {extent[1]} and columns {extent[2]} to {extent[3]}"
    else:
        return
    raise UserError(f"model.crop, {config.crop[0]}x{config.crop[1]}, {problem}: change it, or set --model.crop None.")


def count_parameters(params: Params) -> int:
    """Numbers in a tree of arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
