"""A made-up head and its axial slices.

A head is a set of smooth closed shapes in millimetres (one pixel is one millimetre): scalp, skull, a brain whose
cortex folds along the zero lines of a random field, ventricles and deep gray matter. Each tissue has a mean grey level;
partial volume, a smooth bias field, texture and noise are added, and every slice is scaled so that its brightest pixel
is 255, as in the OASIS slices. Grey levels and proportions follow one genuine slice by eye. The head is a test object
for software, not a model of anatomy.

Axes: rows from left to right, columns from back to front, slices upward.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8
from scipy import ndimage

from oasis_jax.volumes.frame import centre

VIEW = (176, 208)
"""Field of view of an OASIS scan, drawn here and padded with zeros to 256x256."""

_SECTIONS = (-98.0, 74.0)
"""Heights of the lowest and the highest section of the brain that are drawn; beyond them, it closes like a cone."""

_SULCI = 46
"""Control points of the folding field around the head. The field changes sign along a sulcus."""


class Head(NamedTuple):
    """The head of one made-up subject: shape, tissue contrast and the random fields behind the detail."""

    centre: Float64[np.ndarray, "2"]
    tilt: float
    half_axes: Float64[np.ndarray, "2"]
    skull: float
    scalp: float
    cortex: float
    sulcus: float
    ventricle: float
    greys: dict[str, float]
    noise: float
    folds: Float64[np.ndarray, "angles depths heights"]
    outline: Float64[np.ndarray, "angles depths heights"]
    rim: Float64[np.ndarray, "angles depths heights"]
    wobble: Float64[np.ndarray, "fields rows columns heights"]
    bias: Float64[np.ndarray, "rows columns heights"]
    texture: Float64[np.ndarray, "rows columns heights"]


def make_head(rng: np.random.Generator) -> Head:
    """Draw the head of a subject at random."""
    age = rng.uniform(0, 1)  # older: wider sulci and ventricles, thinner cortex
    jitter = rng.normal(1, 0.04, 4)
    greys = {"csf": 30, "gray": 78 * jitter[0], "deep": 92 * jitter[0], "white": 116 * jitter[1]}
    greys |= {"skull": 14, "marrow": 60 * jitter[2], "scalp": 190 * jitter[3], "air": 3}
    return Head(
        centre=np.array(VIEW) / 2 + rng.uniform(-4, 4, 2),
        tilt=np.deg2rad(rng.uniform(-6, 6)),
        half_axes=np.array([63, 80]) * rng.uniform(0.95, 1.05) * rng.uniform(0.97, 1.03, 2),
        skull=rng.uniform(5, 7.5),
        scalp=rng.uniform(4, 6.5),
        cortex=4.0 - 0.6 * age + rng.uniform(-0.2, 0.2),
        sulcus=0.9 + 0.8 * age + rng.uniform(-0.1, 0.1),
        ventricle=0.8 + 0.6 * age + rng.uniform(-0.1, 0.1),
        greys=greys,
        noise=rng.uniform(3.5, 6.5),
        folds=rng.normal(size=(_SULCI, 7, 9)),
        outline=rng.normal(size=(10, 1, 5)),
        rim=rng.normal(size=(12, 1, 5)),
        wobble=rng.normal(size=(3, 9, 11, 6)),
        bias=rng.normal(size=(4, 4, 3)),
        texture=rng.normal(size=(40, 40, 10)),
    )


def draw_slice(
    head: Head, height: float, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "256 256"], UInt8[np.ndarray, "256 256"]]:
    """Draw one slice like those of OASIS, with noise: grey levels, of which the brightest is 255, and classes 0 to 3.

    Its height is in millimetres above the lowest slice of the quickstart's phantoms, 0 to 40.
    """
    noisy, label = draw_plane(head, height, rng)
    # First divide: a number divided by itself is exactly 1, so the brightest pixel is exactly 255.
    image = np.floor(255 * (noisy / noisy.max())).astype(np.uint8)
    return centre(image, (256, 256)), centre(label, (256, 256))


def draw_plane(
    head: Head, height: float, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "176 208"], UInt8[np.ndarray, "176 208"]]:
    """Draw one plane as a scanner measures it: intensities from 0, at most about 250, and classes 0 to 3.

    Its height is as for `draw_slice`, from -156 (below the head) to 110 (above it).
    """
    across, along = _head_coordinates(head, height)
    inside, angle = _depth(head, across, along, height)
    distance = _cortex_distance(head, inside, angle, across, along, height)
    deep, ventricles = _deep_structures(head, across, along, height)
    brain, parts = _brain(head, inside, distance, deep, ventricles)
    parts |= _shell(head, inside, angle, height, brain)
    tissue = np.stack([parts["csf"], parts["gray"] + parts["deep"], parts["white"]])
    label = np.where(brain > 0.5, 1 + tissue.argmax(0), 0).astype(np.uint8)

    clean = sum(head.greys[name] * share for name, share in parts.items())
    clean = clean * (1 + 0.05 * _field(head.texture, across / 6 + 20, along / 6 + 20, height / 6) * brain)
    clean = clean * np.exp(0.16 * _field(head.bias, across / 90 + 1.5, along / 90 + 1.5, height / 40))
    clean = ndimage.gaussian_filter(clean, 0.55)
    return np.hypot(clean + rng.normal(0, head.noise, VIEW), rng.normal(0, head.noise, VIEW)), label


def _brain(
    head: Head, inside: np.ndarray, distance: np.ndarray, deep: np.ndarray, ventricles: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Membership of the brain and of each of its tissues, 0 to 1; edges about a pixel wide are the partial volume."""
    brain = _edge(inside + 1.5)
    pial = _edge(distance - head.sulcus)
    white = _edge(distance - head.sulcus - head.cortex) * pial
    gray = pial - white
    core, white = white * deep, white * (1 - deep)
    return brain, {
        "csf": brain * ((1 - pial) * (1 - ventricles) + ventricles),
        "gray": brain * gray * (1 - ventricles),
        "deep": brain * core * (1 - ventricles),
        "white": brain * white * (1 - ventricles),
    }


def _shell(
    head: Head, inside: np.ndarray, angle: np.ndarray, height: float, brain: np.ndarray
) -> dict[str, np.ndarray]:
    """Membership of skull, marrow, scalp and air, outside the brain."""
    outer = -inside - 1.5
    # The thickness of skull and scalp varies around the head.
    uneven = _around(head.rim, angle, 0.0 * angle, height / 20 + 1)
    bone, skin = head.skull + 0.5 * uneven, head.scalp * (1 + 0.15 * uneven)
    skull = _edge(outer - 1.0) * _edge(bone - outer)
    marrow = skull * np.exp(-(((outer - 0.55 * bone) / (0.2 * bone)) ** 2))
    scalp = _edge(outer - bone) * _edge(bone + skin - outer)
    rim = np.exp(-(((outer - bone - 0.45 * skin) / (0.3 * skin)) ** 2))
    return {
        "skull": (1 - brain) * (skull - marrow),
        "marrow": (1 - brain) * marrow,
        "scalp": (1 - brain) * scalp * (0.35 + 0.65 * rim),
        "air": (1 - brain) * _edge(outer - bone - skin),
    }


def _edge(distance: np.ndarray) -> np.ndarray:
    """0 outside, 1 inside, over about one pixel."""
    return 1 / (1 + np.exp(-4 * np.clip(distance, -8, 8)))


def _head_coordinates(head: Head, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Millimetres across and along the head from its centre, gently warped."""
    y, x = np.meshgrid(*(np.arange(n, dtype=float) for n in VIEW), indexing="ij")
    y, x = y - head.centre[0], x - head.centre[1]
    across = np.cos(head.tilt) * y - np.sin(head.tilt) * x
    along = np.sin(head.tilt) * y + np.cos(head.tilt) * x
    point = across / 28 + 4, along / 28 + 5, height / 14 + 1
    return across + 1.6 * _field(head.wobble[0], *point), along + 1.6 * _field(head.wobble[1], *point)


def _depth(head: Head, across: np.ndarray, along: np.ndarray, height: float) -> tuple[np.ndarray, ...]:
    """Depth below the brain's surface (negative outside), and the angle around the head."""
    section = min(max(height, _SECTIONS[0]), _SECTIONS[1])
    shrink = np.sqrt(1 - ((section + 12) / 88) ** 2)
    a, b = head.half_axes * shrink
    # Wider at the back than at the front, as seen from above.
    a = a * (1 - 0.11 * np.tanh(along / b))
    radius = ((np.abs(across) / a) ** 2.3 + (np.abs(along) / b) ** 2.3) ** (1 / 2.3)
    angle = np.arctan2(across / a, along / b) / (2 * np.pi) % 1
    outline = 0.007 * _around(head.outline, angle, 0 * angle, height / 20 + 1)
    radius = radius * (1 + outline)
    # First-order distance to the outline: (1 - r) over the length of r's gradient.
    slope = np.hypot(*np.gradient(radius))
    depth = (1 - radius) / np.maximum(slope, 0.006)
    if beyond := abs(height - section):
        depth = np.minimum(depth, a.min()) - beyond
    return depth, angle


def _cortex_distance(
    head: Head, inside: np.ndarray, angle: np.ndarray, across: np.ndarray, along: np.ndarray, height: float
) -> np.ndarray:
    """Distance to the nearest outer surface of the brain, which includes sulci and the fissure between the halves."""
    depth = np.clip(inside, 0, None)
    folds = _around(head.folds, angle + 0.010 * np.sin(depth / 6), np.clip(depth / 13, 0, 6), height / 9 + 1)
    slope = np.hypot(*np.gradient(folds))
    # The number of folds is fixed, so they would crowd near the centre: sulci end at a depth that varies over the head.
    reach = 17 + 6 * _field(head.wobble[2], across / 30 + 4, along / 30 + 5, height / 14 + 1)
    sulci = np.abs(folds) / np.maximum(slope, 0.02) + 0.05 * depth + 0.8 * np.clip(depth - reach, 0, None)
    # The fissure reaches from both ends toward the middle, farther in higher slices.
    middle = across + 1.5 * np.sin(along / 11) + 0.8 * np.sin(along / 4.7)
    free = 0.42 + 0.014 * height
    ends = np.clip((1 - free) * head.half_axes[1] - np.abs(along), 0, None)
    fissure = np.abs(middle) - 0.5 + 0.9 * ends
    return np.minimum(np.minimum(inside, sulci), fissure)


def _deep_structures(head: Head, across: np.ndarray, along: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Membership of deep gray matter and of the ventricles."""
    side = np.abs(across)
    size = head.ventricle

    def blob(y: float, x: float, ry: float, rx: float, turn: float = 0.0) -> np.ndarray:
        """Signed depth in an ellipse (and its mirror image) at (y across, x along), turned by an angle."""
        if min(ry, rx) <= 0.5:
            return np.full(VIEW, -9.0)
        u, v = side - y, along - x
        u, v = np.cos(turn) * u - np.sin(turn) * v, np.sin(turn) * u + np.cos(turn) * v
        return (1 - np.hypot(u / ry, v / rx)) * min(ry, rx)

    low = np.clip(1 + height / 20, 0, 1)  # nothing of them lies far below the lowest slice of the quickstart
    fade = low * np.clip(1 - height / 34, 0, 1) ** 0.5
    body = np.clip(1.15 - np.abs(height - 14) / 22, 0, 1)
    front = blob(8.0, 22.0, 4.0 * size * body, 17 * body, 0.42)
    trunk = blob(8.0, -3.0, 4.0 * size * body * min(1.0, height / 8), 25 * body, -0.16)
    back = blob(15.0, -28.0, 5.0 * size * fade, 16 * fade, -0.38)
    third = blob(0.0, 2.0, 2.2 * size * low * np.clip(1 - height / 10, 0, 1), 12.0)
    ventricles = _edge(np.maximum.reduce([front, trunk, back, third]))
    thalamus = blob(10.0, -2.0, 8 * fade, 13 * fade, -0.3)
    putamen = blob(25.0, 10.0, 5.5 * fade, 16 * fade, 0.12)
    caudate = blob(14.5, 22.0, 4.2 * fade, 9 * fade, 0.45)
    return _edge(np.maximum.reduce([thalamus, putamen, caudate])), ventricles


def _field(knots: np.ndarray, y: np.ndarray, x: np.ndarray, height: float) -> np.ndarray:
    """A smooth random field through control points (cubic spline) at rows `y` and columns `x` of one height.

    All count in control points. Beyond the outer ones, the field is mirrored.
    """
    rows, columns = np.indices(knots.shape[:2])
    plane = ndimage.map_coordinates(knots, [rows, columns, np.full_like(rows, height, float)], order=3, mode="mirror")
    return ndimage.map_coordinates(plane, [y, x], order=3, mode="mirror")


def _around(knots: np.ndarray, angle: np.ndarray, depth: np.ndarray, height: float) -> np.ndarray:
    """As `_field`, but around the head: by angle (a turn is 1), which is periodic, and depth."""
    wrapped = np.concatenate([knots[-4:], knots, knots[:4]])
    return _field(wrapped, angle * len(knots) + 4, depth, height)
