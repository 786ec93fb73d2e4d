"""Draw a T1 scan of a head, and its labels, from a label map: a pure JAX function of a key and the map.

The way of SynthSeg (Billot et al., Medical Image Analysis 2023), with T1 contrast alone: the map is posed and warped,
each structure gets a mean intensity and a texture at random, and the scanner adds blur, a bias field, contrast and
noise.

Labels follow FSL FAST, as those of OASIS do: inside the brain mask, a voxel of the brain belongs to the tissue (CSF,
gray, white matter) whose mean intensity is nearest to its own, before texture, bias and noise. So deep gray matter is
divided by its brightness. Ventricles are CSF.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Key, UInt8

from oasis_jax.data.heads.priors import CORTEX, CSF, STRUCTURES, WHITE

_PRIORS = np.array([structure[1:5] for structure in STRUCTURES.values()], np.float32)
_ROLES = np.array([["outside", "fluid", "ventricle", "brain"].index(s.role) for s in STRUCTURES.values()])
_OUTSIDE, _FLUID, _VENTRICLE, _BRAIN = range(4)

_FLOORS = np.array([{"brain-stem": 1.6, "cerebellum-white": 1.65}.get(name, 0.75) for name in STRUCTURES], np.float32)
"""What FAST, which corrects the bias field first, does not call darker: the brain stem and the white matter of the
cerebellum are white matter to it, and no gray matter is CSF as a whole."""


class HeadMap(NamedTuple):
    """What a head is made of, in RAS order and voxels of 1 mm."""

    structure: UInt8[Array, "x y z"]
    """Index into `priors.NAMES`."""
    beyond: UInt8[Array, "x y z"]
    """Distance to the brain mask, mm, 0 inside; rounded up, at most 255."""


class Style(NamedTuple):
    """How much heads differ; lengths in mm, angles in degrees."""

    rotate: float = 12.0
    """Largest turn about each axis."""
    scale: tuple[float, float] = (0.88, 1.06)
    stretch: float = 0.03
    """Typical relative change of each axis alone."""
    shift: float = 8.0
    warp: float = 3.0
    """Typical displacement by the smooth warp."""
    spread: float = 1.5
    """Factor of the spread of mean intensities over scans."""
    texture: float = 0.6
    """Factor of the standard deviation within a structure."""
    blur: tuple[float, float] = (0.4, 0.75)
    """Standard deviation of the scanner's blur."""
    bias: float = 0.25
    """Typical logarithm of the bias field."""
    gamma: float = 0.25
    """Largest change of log gamma."""
    noise: tuple[float, float] = (1.0, 9.0)
    """Standard deviation of the noise; white matter has 160."""
    strip: float = 0.3
    """Share of heads without skull."""


STYLE = Style()


def draw(
    key: Key[Array, ""], head: HeadMap, style: Style, size: tuple[int, int, int]
) -> tuple[Float[Array, "x y z"], UInt8[Array, "x y z"]]:
    """Draw one scan.

    Args:
        key: random key of this scan.
        head: the label map.
        style: how much scans differ.
        size: voxels of the scan; the middle of the map comes to lie near its middle.

    Returns:
        Intensities from 0 to about 300, and classes 0 to 3, in RAS order and voxels of 1 mm.
    """
    pose_key, tissue_key, texture_key, scanner_key, strip_key = jax.random.split(key, 5)
    where = _coordinates(pose_key, head.structure.shape, size, style)
    means, deviations = _intensities(tissue_key, style)
    structure = map_coordinates(head.structure, where, order=0, cval=0)
    beyond = map_coordinates(head.beyond, where, order=0, cval=255)
    clean = means[0] + map_coordinates((means - means[0])[head.structure], where, order=1, cval=0)
    blur_key, scanner_key = jax.random.split(scanner_key)
    sigma = jax.random.uniform(blur_key, (3,), minval=style.blur[0], maxval=style.blur[1])
    clean = _blur(clean, sigma)
    label = _label(clean, structure, beyond, means)
    coarse = jnp.asarray(_ROLES == _OUTSIDE)[structure]
    image = clean + _blur(_texture(texture_key, size, coarse) * deviations[structure], sigma)
    bare_key, rim_key = jax.random.split(strip_key)
    rim = jnp.where(jax.random.bernoulli(bare_key, style.strip), jax.random.uniform(rim_key, maxval=2.5), 255)
    image = _scanned(scanner_key, jnp.maximum(image, 0), style)
    return jnp.where(beyond <= rim, image, 0), label


def _label(clean: Array, structure: Array, beyond: Array, means: Array) -> Array:
    """The rule of the labels; see the top of this file."""
    tissues = means[jnp.array([CSF, CORTEX, WHITE])]
    nearest = 1 + jnp.argmin(jnp.stack([jnp.abs(clean - tissue) for tissue in tissues]), axis=0)
    role = jnp.asarray(_ROLES)[structure]
    tissue = jnp.where(role == _VENTRICLE, 1, nearest)
    return jnp.where((beyond == 0) & (role != _OUTSIDE), tissue, 0).astype(jnp.uint8)


def _coordinates(key: Array, old: tuple[int, ...], new: tuple[int, ...], style: Style) -> list[Array]:
    """The place in the map that each voxel of the scan shows: three arrays, in voxels."""
    turn_key, scale_key, stretch_key, shift_key, warp_key, mirror_key = jax.random.split(key, 6)
    matrix = _rotation(jnp.deg2rad(style.rotate) * jax.random.uniform(turn_key, (3,), minval=-1, maxval=1))
    scale = jax.random.uniform(scale_key, minval=style.scale[0], maxval=style.scale[1])
    scale = scale * jnp.exp(style.stretch * jax.random.normal(stretch_key, (3,)))
    matrix = matrix / scale[:, None]
    matrix = matrix.at[0].multiply(jnp.where(jax.random.bernoulli(mirror_key), -1, 1))
    shift = style.shift * jax.random.uniform(shift_key, (3,), minval=-1, maxval=1)
    grid = jnp.meshgrid(*(jnp.arange(n) - (n - 1) / 2 for n in new), indexing="ij")
    knots = style.warp * jax.random.normal(warp_key, (3, *(n // 32 for n in new)))
    warp = jax.image.resize(knots, (3, *new), "cubic")
    return [sum(matrix[i, j] * grid[j] for j in range(3)) + shift[i] + warp[i] + (old[i] - 1) / 2 for i in range(3)]


def _rotation(angles: Array) -> Array:
    """A rotation by three angles (radians) about the three axes in turn."""
    out = jnp.eye(3)
    for axis in range(3):
        i, j = (k for k in range(3) if k != axis)
        cos, sin = jnp.cos(angles[axis]), jnp.sin(angles[axis])
        out = out @ jnp.eye(3).at[(i, i, j, j), (i, j, i, j)].set(jnp.stack([cos, -sin, sin, cos]))
    return out


def _intensities(key: Array, style: Style) -> tuple[Array, Array]:
    """Mean and standard deviation of each structure in this scan."""
    mean_key, deviation_key = jax.random.split(key)
    mean, mean_spread, deviation, deviation_spread = jnp.asarray(_PRIORS.T)
    # Most of the spread is common to the tissues of a brain: it is that of scanners, not of single structures.
    common = jnp.where(_ROLES != _OUTSIDE, jax.random.normal(jax.random.fold_in(mean_key, 1)), 0)
    own = jax.random.normal(mean_key, mean.shape)
    means = mean + style.spread * mean_spread * jnp.where(_ROLES != _OUTSIDE, 0.7 * own + 0.7 * common, own)
    deviations = deviation + deviation_spread * jax.random.normal(deviation_key, mean.shape)
    means = jnp.maximum(means, 2)
    # T1: CSF is darker than gray matter, gray than white; less than this and no scanner would be used.
    means = means.at[CORTEX].set(jnp.maximum(means[CORTEX], means[CSF] + 25))
    means = means.at[WHITE].set(jnp.maximum(means[WHITE], means[CORTEX] + 30))
    # Where each structure lies between CSF, 0, cortex, 1, and white matter, 2, at least.
    low, middle, high = means[CSF], means[CORTEX], means[WHITE]
    floor = jnp.interp(_FLOORS, jnp.arange(3.0), jnp.stack([low, middle, high]))
    means = jnp.where(_ROLES == _BRAIN, jnp.maximum(means, floor), means)
    return means, style.texture * jnp.maximum(deviations, 1)


def _texture(key: Array, size: tuple[int, int, int], coarse: Array) -> Array:
    """Noise of deviation about 1: fine in the brain, of about 3 mm where it is coarse."""
    fine_key, coarse_key = jax.random.split(key)
    large = jax.image.resize(jax.random.normal(coarse_key, tuple(n // 3 for n in size)), size, "linear")
    fine = jax.random.normal(fine_key, size)
    return jnp.where(coarse, 1.2 * large + 0.4 * fine, 0.9 * fine + 0.7 * large)


def _blur(image: Array, sigma: Array) -> Array:
    """Gaussian blur along each axis."""
    reach = jnp.arange(-2, 3)
    for axis in range(3):
        weights = jnp.exp(-0.5 * (reach / sigma[axis]) ** 2)
        weights = weights / weights.sum()
        padded = jnp.pad(image, [(2, 2) if k == axis else (0, 0) for k in range(3)], mode="edge")
        n = image.shape[axis]
        shifted = jnp.stack([jax.lax.slice_in_dim(padded, k, k + n, axis=axis) for k in range(5)])
        image = jnp.tensordot(weights, shifted, 1)
    return image


def _scanned(key: Array, image: Array, style: Style) -> Array:
    """What a scanner makes of intensities: bias field, contrast, Rician noise."""
    bias_key, gamma_key, level_key, noise_key = jax.random.split(key, 4)
    knots = style.bias * jax.random.normal(bias_key, (4, 4, 4))
    image = image * jnp.exp(jax.image.resize(knots, image.shape, "cubic"))
    gamma = jnp.exp(jax.random.uniform(gamma_key, minval=-style.gamma, maxval=style.gamma))
    image = 160 * (image / 160) ** gamma
    level = jax.random.uniform(level_key, minval=style.noise[0], maxval=style.noise[1])
    real, imaginary = level * jax.random.normal(noise_key, (2, *image.shape))
    return jnp.hypot(image + real, imaginary)
