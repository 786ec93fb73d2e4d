"""The Improved U-Net (Isensee et al. 2017, arXiv:1802.10508), in the variants of the paper and of the original.

The original is the Keras project of 2020. With `stem=16, norm="none", segmentation="3x3", dropout=0.3` the network has
the 2,779,472 parameters of the original. No other file knows Flax modules.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float, Key

from oasis_jax import classes
from oasis_jax.config import Model
from oasis_jax.geometry import central
from oasis_jax.network import convolution
from oasis_jax.network.convolution import upsample, upsample_conv
from oasis_jax.network.dropout import dropout
from oasis_jax.system.errors import UserError

Params = Any
Init = Callable[[Array, tuple[int, int, int]], Params]
Apply = Callable[..., Array]

LEAKY_SLOPE = 0.01

_BACKGROUND_LOGIT = 30.0
"""A logit difference that means certainty: exp(-30) is far below the resolution of a float32 probability near 1."""


class Network(NamedTuple):
    """A network as two pure functions."""

    init: Init
    """`init(key, (H, W, C)) -> params`: float32; Glorot-uniform kernels and zero biases, as in Keras; the same for
    every (H, W)."""
    apply: Apply
    """`apply(params, image, dropout_keys=None) -> logits`: normalised `image` float32 `(B, H, W, C)`; logits float32
    `(B, H, W, 4)`. Dropout is on if and only if `dropout_keys` `(B,)`, a key for each slice, are given."""

    def abstract(self, shape: tuple[int, int, int]) -> Params:
        """Names, shapes and types of the parameters for slices `(H, W, C)`."""
        return jax.eval_shape(lambda: self.init(jax.random.key(0), shape))


def network(config: Model) -> Network:
    """Build the network that a config describes."""
    module = ImprovedUNet(config)

    def init(key: Array, shape: tuple[int, int, int]) -> Params:
        return module.init(key, jnp.zeros((1, *shape)))["params"]

    def apply(
        params: Params,
        image: Float[Array, "batch height width channels"],
        dropout_keys: Key[Array, " batch"] | None = None,
    ) -> Float[Array, "batch height width 4"]:
        size = image.shape[1:3]
        window = central(size, config.crop)
        logits = cast(Array, module.apply({"params": params}, image[:, *window], dropout_keys))
        return logits if config.crop is None else _pad_background(logits, window, size)

    return Network(init, apply)


class ImprovedUNet(nn.Module):
    """A residual encoder, a decoder with localisation modules, and segmentation layers whose outputs are added up."""

    config: Model

    @nn.compact
    def __call__(self, image: Array, dropout_keys: Array | None = None) -> Array:
        *skips, bottom = self._encoder(image.astype(self.config.dtype), dropout_keys)
        return self._conv(classes.COUNT, "logits", kernel=1)(self._decoder(bottom, skips)).astype(jnp.float32)

    def _encoder(self, x: Array, dropout_keys: Array | None) -> list[Array]:
        """The features of each level, from the finest to the coarsest."""
        features = []
        for level in range(self.config.levels):
            x = self._block(x, self.config.stem * 2**level, f"encoder{level}_conv", stride=1 if level == 0 else 2)
            x = self._context(x, level, dropout_keys)
            features.append(x)
        return features

    def _decoder(self, x: Array, skips: list[Array]) -> Array:
        """The sum of all segmentation layers, at the resolution of the image."""
        total = None
        for level, skip in reversed(list(enumerate(skips))):
            width = skip.shape[-1]
            x = Conv(width, self.config.dtype, upsample_conv, name=f"decoder{level}_up")(x)
            x = jnp.concatenate([x, skip], axis=-1)
            if level > 0:
                x = self._block(x, width, f"decoder{level}_localisation1")
                x = self._block(x, width, f"decoder{level}_localisation2", kernel=1)
            else:
                x = self._block(x, 2 * width, "decoder0_conv")
            if level < self.config.levels - 2:
                scores = self._segmentation(x, f"decoder{level}_segmentation")
                total = scores if total is None else upsample(total) + scores
        assert total is not None
        return total

    def _context(self, x: Array, level: int, dropout_keys: Array | None) -> Array:
        """The context module: a convolution, dropout and a convolution, added to the input."""
        name, features = f"encoder{level}_context", x.shape[-1]

        def half(x: Array, name: str) -> Array:
            if self.config.pre_activation:
                return self._conv(features, name)(self._norm_act(x, name))
            return self._block(x, features, name)

        return x + half(self._drop(half(x, f"{name}_conv1"), level, dropout_keys), f"{name}_conv2")

    def _segmentation(self, x: Array, name: str) -> Array:
        if self.config.segmentation == "1x1":
            return self._conv(classes.COUNT, name, kernel=1)(x)
        return nn.leaky_relu(self._conv(classes.COUNT, name)(x), LEAKY_SLOPE)

    def _block(self, x: Array, features: int, name: str, kernel: int = 3, stride: int = 1) -> Array:
        return self._norm_act(self._conv(features, name, kernel, stride)(x), name)

    def _conv(self, features: int, name: str, kernel: int = 3, stride: int = 1) -> "Conv":
        return Conv(features, self.config.dtype, partial(convolution.conv, stride=stride), kernel, name=name)

    def _norm_act(self, x: Array, name: str) -> Array:
        if self.config.norm == "instance":
            x = nn.InstanceNorm(epsilon=1e-5, dtype=jnp.dtype(self.config.dtype), name=f"{name}_norm")(x)
        return nn.leaky_relu(x, LEAKY_SLOPE)

    def _drop(self, x: Array, level: int, dropout_keys: Array | None) -> Array:
        if dropout_keys is None or self.config.dropout == 0:
            return x
        return dropout(x, jax.vmap(partial(jax.random.fold_in, data=level))(dropout_keys), self.config.dropout)


class Conv(nn.Module):
    """A convolution with the parameters of `nn.Conv`; `convolve(x, kernel) -> y` computes it."""

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


def _pad_background(logits: Array, window: tuple[slice, ...], size: tuple[int, ...]) -> Array:
    """Logits of a frame, (rows, columns), of which the network sees a window: certain background around it."""
    pads = [(part.start, side - part.stop) for part, side in zip(window, size, strict=True)]
    padded = jnp.pad(logits[..., 1:], ((0, 0), *pads, (0, 0)), constant_values=-_BACKGROUND_LOGIT)
    background = jnp.pad(logits[..., :1], ((0, 0), *pads, (0, 0)))
    return jnp.concatenate([background, padded], axis=-1)


def check_frame(config: Model, size: tuple[int, int], extent: tuple[int, int, int, int] | None = None) -> None:
    """Check that the crop of the network fits into slices and holds all of their labels.

    Args:
        config: settings of the network.
        size: (rows, columns) of the slices.
        extent: first and last row, and first and last column, with a label above background; None: not checked.

    Raises:
        UserError: the crop is larger than the slices, or it cuts labels off.
    """
    if config.crop is None:
        return
    if any(part > whole for part, whole in zip(config.crop, size, strict=True)):
        problem = f"is larger than the slices, {size[0]}x{size[1]}"
    elif extent is not None and any(
        first <= last and (first < part.start or last >= part.stop)
        for first, last, part in zip(extent[::2], extent[1::2], central(size, config.crop), strict=True)
    ):
        problem = f"cuts off labels, which reach rows {extent[0]} to {extent[1]} and columns {extent[2]} to {extent[3]}"
    else:
        return
    raise UserError(f"model.crop, {config.crop[0]}x{config.crop[1]}, {problem}: change it, or set --model.crop None.")


def flatten(params: Params) -> dict[str, Any]:
    """Parameters by their names, such as "encoder0_conv/kernel"."""
    return flatten_dict(params, sep="/")


def unflatten(arrays: dict[str, Any]) -> Params:
    """The inverse of `flatten`."""
    return unflatten_dict(arrays, sep="/")


def count_parameters(params: Params) -> int:
    """The number of parameters in a tree of arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
