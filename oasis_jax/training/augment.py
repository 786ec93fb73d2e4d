"""Random changes to one training slice: a pure function of its key. Labels move with the image.

Axes: rows run from left to right of the head, columns from back to front; so left and right are mirrored by rows.
"""

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Key, UInt8

from oasis_jax.config import Augment

_GRID = 8
"""Control points a side of the elastic warp."""


def augment(
    key: Key[Array, ""],
    image: Float[Array, "height width 1"],
    label: UInt8[Array, "height width"],
    config: Augment,
) -> tuple[Float[Array, "height width 1"], UInt8[Array, "height width"]]:
    """Mirror, warp and change the contrast of one slice; an option at 0 is not computed.

    The image is read between pixels linearly, the label at the nearest pixel; outside the frame lies the image's
    lowest value and background.
    """
    mirror_key, warp_key, gamma_key = jax.random.split(key, 3)
    if config.mirror:
        flip = jax.random.bernoulli(mirror_key)
        image = jnp.where(flip, image[::-1], image)
        label = jnp.where(flip, label[::-1], label)
    if config.rotate or config.scale or config.shift or config.elastic:
        where = _coordinates(warp_key, label.shape, config)
        low = image.min()
        image = map_coordinates((image - low)[..., 0], where, order=1, cval=0)[..., None] + low
        label = map_coordinates(label, where, order=0, cval=0)
    if config.gamma:
        log_gamma = jax.random.uniform(gamma_key, minval=-config.gamma, maxval=config.gamma)
        image = _gamma(image, jnp.exp(log_gamma))
    return image, label


def _coordinates(key: Array, size: tuple[int, ...], config: Augment) -> list[Array]:
    """Where in the old frame each pixel of the new one is read: rows and columns, each `(H, W)`."""
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
    """Raise grey levels, scaled to 0 to 1, to a power; mean and deviation of the slice stay as they were."""
    low, high = image.min(), image.max()
    curved = ((image - low) / jnp.maximum(high - low, 1e-6)) ** gamma
    spread = image.std() / jnp.maximum(curved.std(), 1e-6)
    return (curved - curved.mean()) * spread + image.mean()
