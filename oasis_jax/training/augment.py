"""Random changes to a training slice, a pure function of its key. Labels and neighbours move with the image.

Rows run from left to right of the head, columns from back to front. So mirroring left and right reverses the rows.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Bool, Float, Key, UInt8

from oasis_jax.config import Augment
from oasis_jax.data.normalise import Method, normalise
from oasis_jax.geometry import Size, central
from oasis_jax.inference.mirror import mirror, mirror_shift

_GRID = 8
"""Control points of the elastic warp along each side."""

_FIELD_GRID = 4
"""Control points of the bias field along each side."""

_TINY = 1e-6
"""Smallest divisor, so that constant images divide by more than 0."""


def augment(
    key: Key[Array, ""],
    image: Float[Array, "height width channels"],
    label: UInt8[Array, "height width"],
    brain: Bool[Array, "height width channels"] | None,
    *,
    config: Augment,
    method: Method,
    window: Size | None = None,
) -> tuple[Float[Array, "height width channels"], UInt8[Array, "height width"]]:
    """Strip, mirror, warp and change the contrast of a slice. An option that is 0 costs nothing.

    All channels get the same change. Warps interpolate the image linearly and take the label of the nearest pixel.
    Outside the frame the image has the lowest value of its channel, and the label is background.

    Args:
        key: random key of this slice at this step.
        image: the slice and its neighbours, normalised by `method`.
        label: classes of the slice, 0 to 3.
        brain: the brain mask of each channel; only `strip` needs it.
        config: the changes.
        method: normalisation of the image.
        window: (rows, columns) of the central part that the network sees. Pixels around it are not warped.
    """
    mirror_key, warp_key, gamma_key = jax.random.split(key, 3)
    if config.strip:
        assert brain is not None
        bare = jax.random.bernoulli(jax.random.fold_in(key, 1), config.strip)
        image = jnp.where(bare, _without_skull(image, brain, method), image)
    if config.mirror:
        flip, shift = jax.random.bernoulli(mirror_key), mirror_shift(config.mirror_axis, len(label))
        image = jnp.where(flip, mirror(image, shift, image.min((0, 1))), image)
        label = jnp.where(flip, mirror(label, shift, 0), label)
    if config.rotate or config.scale or config.shift or config.elastic:
        moved, moved_label = _warp(warp_key, image, label, config, window)
        chosen = config.warped == 1 or jax.random.bernoulli(jax.random.fold_in(key, 3), config.warped)
        image, label = jnp.where(chosen, moved, image), jnp.where(chosen, moved_label, label)
    if config.gamma:
        log_gamma = jax.random.uniform(gamma_key, minval=-config.gamma, maxval=config.gamma)
        image = _gamma(image, jnp.exp(log_gamma))
    if config.bias_field:
        image = _bias_field(jax.random.fold_in(key, 2), image, config.bias_field)
    return image, label


def _without_skull(image: Array, brain: Array, method: Method) -> Array:
    """The slices as if the skull had been removed before scaling to 0 to 255; the darkest pixel becomes 0."""
    grey = jnp.where(brain, image - image.min((0, 1)), 0)
    return normalise(255 * grey / jnp.maximum(grey.max((0, 1)), _TINY), method)


def _warp(key: Array, image: Array, label: Array, config: Augment, window: Size | None) -> tuple[Array, Array]:
    inside = central(label.shape, window)
    coordinates = [coordinate[inside] for coordinate in _coordinates(key, label.shape, config)]
    low = image.min((0, 1))
    move = jax.vmap(partial(map_coordinates, coordinates=coordinates, order=1, cval=0), in_axes=-1, out_axes=-1)
    image = image.at[inside].set(move(image - low) + low)
    return image, label.at[inside].set(map_coordinates(label, coordinates, order=0, cval=0))


def _coordinates(key: Array, size: tuple[int, ...], config: Augment) -> list[Array]:
    """Source coordinates of each pixel after the warp: rows and columns, each `(H, W)`."""
    rotate_key, scale_key, shift_key, elastic_key = jax.random.split(key, 4)
    angle = jnp.deg2rad(config.rotate) * jax.random.uniform(rotate_key, minval=-1, maxval=1)
    zoom = 1 + config.scale * jax.random.uniform(scale_key, minval=-1, maxval=1)
    shift = config.shift * jax.random.uniform(shift_key, (2,), minval=-1, maxval=1)
    centre = (jnp.array(size) - 1) / 2
    y, x = jnp.meshgrid(*(jnp.arange(n) - c for n, c in zip(size, centre, strict=True)), indexing="ij")
    cos, sin = jnp.cos(angle) / zoom, jnp.sin(angle) / zoom
    rows = cos * y - sin * x + centre[0] + shift[0]
    columns = sin * y + cos * x + centre[1] + shift[1]
    if config.elastic:
        knots = config.elastic * jax.random.normal(elastic_key, (2, _GRID, _GRID))
        warp = jax.image.resize(knots, (2, *size), "cubic")
        rows, columns = rows + warp[0], columns + warp[1]
    return [rows, columns]


def _gamma(image: Array, gamma: Array) -> Array:
    """Scale grey levels to 0 to 1, raise them to a power, and restore mean and standard deviation."""
    low, high = image.min((0, 1)), image.max((0, 1))
    return _restored(((image - low) / jnp.maximum(high - low, _TINY)) ** gamma, image)


def _bias_field(key: Array, image: Array, strength: float) -> Array:
    """Multiply grey levels by the exponential of a smooth field, and restore mean and standard deviation."""
    knots = strength * jax.random.normal(key, (_FIELD_GRID, _FIELD_GRID))
    field = jnp.exp(jax.image.resize(knots, image.shape[:2], "cubic"))
    return _restored((image - image.min((0, 1))) * field[..., None], image)


def _restored(changed: Array, image: Array) -> Array:
    """Give each channel of `changed` the mean and standard deviation of `image`."""
    scale = image.std((0, 1)) / jnp.maximum(changed.std((0, 1)), _TINY)
    return (changed - changed.mean((0, 1))) * scale + image.mean((0, 1))
