"""Draw a T1 scan of a head, and its labels, from a label map: a pure JAX function of a key and the map.

The way of SynthSeg (Billot et al., Medical Image Analysis 2023), with T1 contrast alone: the map is posed and warped,
each structure gets a mean intensity at random, fat lies in islands between muscle, skin and marrow, and the scanner
adds blur, a bias field and noise.

Labels follow FSL FAST, as those of OASIS do: inside the brain mask, a voxel of the brain belongs to the tissue (CSF,
gray, white matter) whose mean intensity is nearest to its own, before texture, bias and noise. So deep gray matter is
divided by its brightness. Ventricles are CSF.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from jax.scipy.special import ndtri
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key, UInt8

from oasis_jax.data.heads.priors import CORTEX, CSF, STRUCTURES, WHITE, Range

_LEVEL, _FAT = np.array([(s.level, s.fat) for s in STRUCTURES.values()], np.float32).transpose(1, 2, 0)
_OUTSIDE, _VENTRICLE = (np.array([s.role == role for s in STRUCTURES.values()]) for role in ("outside", "ventricle"))


class HeadMap(NamedTuple):
    """What a head is made of, in RAS order and voxels of 1 mm."""

    structure: UInt8[Array, "x y z"]
    """Index into `priors.NAMES`."""
    beyond: UInt8[Array, "x y z"]
    """Distance to the brain mask, mm, 0 inside; rounded up, at most 255."""


class Style(NamedTuple):
    """How much heads differ; lengths in mm, angles in degrees. A pair is a range, from which each scan draws evenly."""

    rotate: float = 12.0
    """Largest turn about each axis."""
    scale: Range = (0.88, 1.06)
    stretch: float = 0.03
    """Typical relative change of each axis alone."""
    shift: float = 8.0
    warp: float = 3.0
    """Typical displacement by the smooth warp."""
    gray: Range = (0.58, 0.87)
    """Gray matter, as a share of white matter: inversion recovery (MPRAGE) has about .6 to .7, spoiled gradient echo
    (SPGR) and old scanners of 1.5 T .75 to .85."""
    csf: Range = (0.12, 0.55)
    """CSF, as a share of gray matter: dark after an inversion pulse, half as bright without one."""
    fat: Range = (0.3, 2.0)
    """Fat, as a share of white matter: suppressed, or the brightest of all."""
    texture: Range = (0.0, 0.3)
    """Standard deviation within a structure, as a share of the contrast of gray and white matter: none in an average of
    many scans; SynthSeg's priors, which count noise too, have .25 to .3."""
    blur: Range = (0.3, 1.5)
    """Standard deviation of the blur along each axis: half of all scans have less than .45, those of thick slices 1.5,
    which is 3.5 mm wide at half height."""
    bias: Range = (0.0, 0.35)
    """Typical logarithm of a bias field of 70 mm and more."""
    dome: Range = (-0.3, 0.8)
    """Logarithm of the brightness of the scalp over the middle: at 3 T the middle is brighter, near surface coils the
    rim."""
    noise: Range = (0.0, 0.06)
    """Standard deviation of the noise, as a share of white matter: 0 in averages, .06 for the contrast-to-noise ratio
    of 2 to 7 of a fast scan."""
    strip: float = 0.3
    """Share of heads without skull."""
    rim: Range = (0.0, 2.5)
    """What stripping leaves around the brain."""
    scraps: Range = (0.0, 5.0)
    """Typical thickness of the scraps that it leaves here and there."""


STYLE = Style()


@partial(jax.jit, static_argnames="size")
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
        Intensities, of which white matter has 1, and classes 0 to 3, in RAS order and voxels of 1 mm.
    """
    pose_key, tissue_key, texture_key, scanner_key, strip_key = jax.random.split(key, 5)
    where = _coordinates(pose_key, head.structure.shape, size, style)
    means, fat = _intensities(tissue_key, style)
    structure = map_coordinates(head.structure, where, order=0, cval=0)
    beyond = map_coordinates(head.beyond, where, order=0, cval=255)
    clean = means[0] + map_coordinates((means - means[0])[head.structure], where, order=1, cval=0)
    blur_key, scanner_key = jax.random.split(scanner_key)
    # The cube makes most scans sharp along most axes.
    sigma = style.blur[0] + (style.blur[1] - style.blur[0]) * jax.random.uniform(blur_key, (3,)) ** 3
    lean = ndtri(1 - fat)[structure]
    detail = _detail(texture_key, clean, lean, 1 - means[CORTEX], style)
    clean = _blur(clean, sigma)
    label = _label(clean, structure, beyond, means)
    image = _scanned(scanner_key, jnp.maximum(clean + _blur(detail, sigma), 0), style)
    return jnp.where(beyond <= _rim(strip_key, size, style), image, 0), label


def _uniform(key: Array, low: ArrayLike, high: ArrayLike) -> Array:
    """An even draw from each range."""
    return jax.random.uniform(key, jnp.shape(low), minval=low, maxval=high)


def _label(clean: Array, structure: Array, beyond: Array, means: Array) -> Array:
    """The rule of the labels; see the top of this file."""
    tissues = means[jnp.array([CSF, CORTEX, WHITE])]
    nearest = 1 + jnp.argmin(jnp.stack([jnp.abs(clean - tissue) for tissue in tissues]), axis=0)
    tissue = jnp.where(jnp.asarray(_VENTRICLE)[structure], 1, nearest)
    return jnp.where((beyond == 0) & ~jnp.asarray(_OUTSIDE)[structure], tissue, 0).astype(jnp.uint8)


def _coordinates(key: Array, old: tuple[int, ...], new: tuple[int, ...], style: Style) -> list[Array]:
    """The place in the map that each voxel of the scan shows: three arrays, in voxels."""
    turn_key, scale_key, stretch_key, shift_key, warp_key, mirror_key = jax.random.split(key, 6)
    matrix = _rotation(jnp.deg2rad(style.rotate) * jax.random.uniform(turn_key, (3,), minval=-1, maxval=1))
    scale = _uniform(scale_key, *style.scale) * jnp.exp(style.stretch * jax.random.normal(stretch_key, (3,)))
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
    """The brightness of each structure in this scan, as a share of that of white matter, and its share of fat."""
    gray_key, csf_key, level_key, fat_key = jax.random.split(key, 4)
    gray = _uniform(gray_key, *style.gray)
    csf = gray * _uniform(csf_key, *style.csf)
    level = _uniform(level_key, *_LEVEL)
    tissue = jnp.interp(level, jnp.arange(3.0), jnp.stack([csf, gray, jnp.ones(())]))
    return jnp.where(_OUTSIDE, level, tissue), _uniform(fat_key, *_FAT)


def _detail(key: Array, clean: Array, lean: Array, contrast: Array, style: Style) -> Array:
    """What differs within structures: islands of fat, where a normal field is above `lean`, and a grain."""
    small_key, large_key, fine_key, size_key, fat_key, grain_key = jax.random.split(key, 6)
    small, large = _smooth(small_key, clean.shape, 3), _smooth(large_key, clean.shape, 12)
    coarse = _uniform(size_key, 0.6, 1.0)
    islands = jnp.sqrt(1 - coarse) * small + jnp.sqrt(coarse) * large
    fat = jax.nn.sigmoid(4 * (islands - lean))
    grain = 0.9 * jax.random.normal(fine_key, clean.shape) + 0.4 * small
    return fat * (_uniform(fat_key, *style.fat) - clean) + contrast * _uniform(grain_key, *style.texture) * grain


def _smooth(key: Array, size: tuple[int, ...], mm: int) -> Array:
    """A smooth random field of deviation 1, whose hills are about `mm` wide."""
    field = jax.image.resize(jax.random.normal(key, tuple(n // mm for n in size)), size, "cubic")
    return field / field.std()


def _blur(image: Array, sigma: Array) -> Array:
    """Gaussian blur along each axis, of up to 1.5 voxels."""
    for axis, n in enumerate(image.shape):
        weights = jnp.exp(-0.5 * (jnp.arange(-4, 5) / sigma[axis]) ** 2)
        padded = jnp.pad(image, [(4, 4) if k == axis else (0, 0) for k in range(3)], mode="edge")
        shifted = (jax.lax.slice_in_dim(padded, k, k + n, axis=axis) for k in range(9))
        parts = (weight * part for weight, part in zip(weights / weights.sum(), shifted, strict=True))
        image = sum(parts, jnp.zeros(()))
    return image


def _scanned(key: Array, image: Array, style: Style) -> Array:
    """What a scanner makes of intensities: bias field and Rician noise."""
    knots_key, bias_key, dome_key, level_key, noise_key = jax.random.split(key, 5)
    knots = _uniform(bias_key, *style.bias) * jax.random.normal(knots_key, (4, 4, 4))
    radius = sum(x**2 for x in jnp.meshgrid(*(jnp.linspace(-1, 1, n) for n in image.shape), sparse=True, indexing="ij"))
    field = jax.image.resize(knots, image.shape, "cubic") + _uniform(dome_key, *style.dome) * radius
    real, imaginary = _uniform(level_key, *style.noise) * jax.random.normal(noise_key, (2, *image.shape))
    return jnp.hypot(image * jnp.exp(field) + real, imaginary)


def _rim(key: Array, size: tuple[int, ...], style: Style) -> Array:
    """How far from the brain the scan shows anything, mm."""
    bare_key, rim_key, scraps_key, field_key = jax.random.split(key, 4)
    scraps = _uniform(scraps_key, *style.scraps) * jnp.maximum(_smooth(field_key, size, 16), 0)
    return jnp.where(jax.random.bernoulli(bare_key, style.strip), _uniform(rim_key, *style.rim) + scraps, 255)
