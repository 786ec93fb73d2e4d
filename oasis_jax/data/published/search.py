"""How the published slices were cut from a scan, found by calculation: which heights, which way up, which grey rule.

The digests of the published files say when a guess is right, so the search knows no other measure. All functions are
pure; a `Digest` maps a uint8 frame `(256, 256)` to what the manifest holds for it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from oasis_jax.classes import STEP
from oasis_jax.data.published.grey_rules import DEFAULT, FRAME, RULES
from oasis_jax.data.volumes.frame import centre

Digest = Callable[[np.ndarray], bytes]


class Placement(NamedTuple):
    """Where the slices of a scan lie: slice k is at height `first + k * step`, perhaps mirrored."""

    first: int
    """Index of slice 0 along the third axis of the volume, 1 mm each, 0 the lowest."""
    step: int = 1
    """1 upward, -1 downward."""
    flip_rows: bool = False
    flip_columns: bool = False

    def height(self, number: int) -> int:
        """Where slice `number` lies."""
        return self.first + number * self.step

    def __str__(self) -> str:
        way = "upward" if self.step > 0 else "downward"
        turned = [name for name, flip in (("rows", self.flip_rows), ("columns", self.flip_columns)) if flip]
        return f"{self.first} {way}" + (f", {' and '.join(turned)} reversed" if turned else "")


class Recipe(NamedTuple):
    """How to make the slices of a scan."""

    placement: Placement
    rule: str
    """A key of `grey_rules.RULES`."""


def cut(volume: np.ndarray, placement: Placement, count: int) -> list[np.ndarray]:
    """`count` axial planes `(rows, columns)` of a volume `(rows, columns, heights)`."""
    rows, columns = (-1 if flip else 1 for flip in (placement.flip_rows, placement.flip_columns))
    return [volume[::rows, ::columns, placement.height(k)] for k in range(count)]


def label_frame(plane: np.ndarray) -> np.ndarray:
    """Classes 0 to 3 of a plane as the grey levels of a label file, uint8 `(256, 256)`."""
    return centre(plane.astype(np.uint8) * np.uint8(STEP), FRAME)


def find_placement(classes: np.ndarray, wanted: Sequence[bytes], digest: Digest) -> Placement | None:
    """Search all heights, both directions and all mirrorings for the published label slices.

    Args:
        classes: labels 0 to 3, `(rows, columns, heights)`.
        wanted: digest of label slice 0, 1, ...
        digest: of a label frame.

    Returns:
        The placement under which most slices match, or None where fewer than two do: one slice shows no direction.
    """
    numbers = {known: number for number, known in enumerate(wanted)}
    votes = Counter[Placement]()
    for flips in product((False, True), repeat=2):
        for height in np.flatnonzero(classes.any((0, 1))).tolist():
            (plane,) = cut(classes, Placement(height, 1, *flips), 1)
            number = numbers.get(digest(label_frame(plane)))
            if number is None:
                continue
            for step in (1, -1):
                placement = Placement(height - number * step, step, *flips)
                if all(0 <= placement.height(k) < classes.shape[2] for k in (0, len(wanted) - 1)):
                    votes[placement] += 1
        if votes and max(votes.values()) == len(wanted):
            break
    best = votes.most_common(1)
    return best[0][0] if best and best[0][1] > 1 else None


def find_rule(planes: Sequence[np.ndarray], wanted: Sequence[bytes], digest: Digest) -> str | None:
    """Search the grey rules for the one that gives most of the published images, or None where none gives any.

    Args:
        planes: the planes of a scan in published order, any real dtype, `(rows, columns)`.
        wanted: digest of image slice 0, 1, ...
        digest: of an image frame.
    """

    def matches(name: str, numbers: Sequence[int]) -> int:
        return sum(digest(RULES[name](planes[k])) == wanted[k] for k in numbers)

    few = sorted({0, len(planes) // 2, len(planes) - 1})
    scores: dict[str, int] = {}
    for name in RULES:
        # A few slices rule most out. Rules that differ in few pixels may pass them, so all slices decide.
        scores[name] = matches(name, range(len(planes))) if matches(name, few) else 0
        if scores[name] == len(planes):
            break
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] else None


def default_placement(classes: np.ndarray, count: int) -> Placement:
    """From half the labelled brain's height upward, as far up as the volume allows: a stated guess, not verified."""
    heights = np.flatnonzero(classes.any((0, 1)))
    middle = int(heights[0] + heights[-1] + 1) // 2
    return Placement(min(middle, classes.shape[2] - count))


def default_recipe(classes: np.ndarray, count: int) -> Recipe:
    """What is written where nothing could be verified."""
    return Recipe(default_placement(classes, count), DEFAULT)


def search(
    image: np.ndarray,
    classes: np.ndarray,
    images: Sequence[bytes],
    labels: Sequence[bytes],
    digest: Digest,
    otherwise: Recipe,
) -> Recipe:
    """The recipe that gives the published slices of a scan; `otherwise` for the part that nothing is found for.

    Args:
        image: intensities, `(rows, columns, heights)`.
        classes: labels 0 to 3 of the same shape.
        images: digest of image slice 0, 1, ...
        labels: digest of label slice 0, 1, ...
        digest: of a frame.
        otherwise: placement and rule where none matches.
    """
    placement = find_placement(classes, labels, digest) or otherwise.placement
    return Recipe(placement, find_rule(cut(image, placement, len(images)), images, digest) or otherwise.rule)
