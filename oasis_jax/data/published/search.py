"""Search for the way in which the published slices were cut from a scan: heights, directions and grey rule.

A guess is right when it gives the digests of the published files. All functions are pure; a `Digest` maps a uint8 frame
`(256, 256)` to the digest of its file.
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
    """Position of the slices in a scan: slice k is at height `first + k * step`; its axes may be reversed."""

    first: int
    """Index of slice 0 along the third axis of the volume, 1 mm each, 0 the lowest."""
    step: int = 1
    """1 upward, -1 downward."""
    flip_rows: bool = False
    flip_columns: bool = False

    def height(self, number: int) -> int:
        """Index of slice `number` along the third axis of the volume."""
        return self.first + number * self.step

    def __str__(self) -> str:
        way = "upward" if self.step > 0 else "downward"
        reverse = [name for name, flip in (("rows", self.flip_rows), ("columns", self.flip_columns)) if flip]
        return f"{self.first} {way}" + (f", {' and '.join(reverse)} reversed" if reverse else "")


class Recipe(NamedTuple):
    """How to make the slices of a scan."""

    placement: Placement
    rule: str
    """A key of `grey_rules.RULES`."""


KNOWN_RECIPE = Recipe(Placement(72, flip_rows=True), DEFAULT)
"""The recipe by what is known of the published slices, for scans that no digest matches.

Slice k is plane 72 + k from the feet (counted from 0), its row is 175 - x, its columns run from back to front. This is
proven for OASIS-1's own pictures of labels: they become published files, byte for byte
(tests/data/published/test_label_gifs.py). Their names (`tra_90`, `sag_95`, `cor_110`) say where the axes of a volume
start. Whether the files on the discs store the axes in this way is not proven.
"""


def cut(volume: np.ndarray, placement: Placement, count: int) -> list[np.ndarray]:
    """`count` axial planes `(rows, columns)` of a volume `(rows, columns, heights)`."""
    rows, columns = (-1 if flip else 1 for flip in (placement.flip_rows, placement.flip_columns))
    return [volume[::rows, ::columns, placement.height(k)] for k in range(count)]


def label_frame(plane: np.ndarray) -> np.ndarray:
    """Classes 0 to 3 of a plane as the grey levels of a label file, uint8 `(256, 256)`."""
    return centre(plane.astype(np.uint8) * np.uint8(STEP), FRAME)


def find_placement(classes: np.ndarray, wanted: Sequence[bytes], digest: Digest) -> Placement | None:
    """Search all heights, both directions and all reversals of axes for the published label slices.

    Args:
        classes: labels 0 to 3, `(rows, columns, heights)`.
        wanted: digest of label slice 0, 1, ...
        digest: of a label frame.

    Returns:
        The placement under which most slices match, or None where fewer than two do: one slice shows no direction.
    """
    numbers = {published: number for number, published in enumerate(wanted)}
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
    """Search for the grey rule that gives most of the published images; None if no rule gives any of them.

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
        # Three slices exclude most rules. Two rules may differ in few pixels, so all slices decide between the rest.
        scores[name] = matches(name, range(len(planes))) if matches(name, few) else 0
        if scores[name] == len(planes):
            break
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] else None


def search(
    image: np.ndarray,
    classes: np.ndarray,
    images: Sequence[bytes],
    labels: Sequence[bytes],
    digest: Digest,
    otherwise: Recipe,
) -> Recipe:
    """The recipe that gives the published slices of a scan.

    Args:
        image: intensities, `(rows, columns, heights)`.
        classes: labels 0 to 3 of the same shape.
        images: digest of image slice 0, 1, ...
        labels: digest of label slice 0, 1, ...
        digest: of a frame.
        otherwise: gives the placement where none matches, and the rule where none matches.
    """
    placement = find_placement(classes, labels, digest) or otherwise.placement
    return Recipe(placement, find_rule(cut(image, placement, len(images)), images, digest) or otherwise.rule)
