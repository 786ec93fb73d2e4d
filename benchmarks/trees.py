"""Trees made of links: any number of slices from a few."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from oasis_jax.data.slices import Slice, folders, slice_of, write_png

SLICES = 32
"""Slices per case, as in OASIS."""


def repeat(root: Path, pairs: Sequence[Slice], counts: Mapping[str, int]) -> Path:
    """Make a tree with `counts` slices in its splits, 32 per case. Its files are links to `pairs`, in turn."""
    case = 0
    for split, count in counts.items():
        for folder in folders(root, split):
            folder.mkdir(parents=True)
        for i in range(count):
            case += i % SLICES == 0
            pair, link = pairs[i % len(pairs)], slice_of(root, split, str(case), i % SLICES)
            link.image.symlink_to(pair.image.resolve())
            link.label.symlink_to(pair.label.resolve())
    return root


def draw(folder: Path, size: tuple[int, int], count: int = 8) -> list[Slice]:
    """Write a few slices of any size: four grey levels with noise, in a frame of background."""
    rng = np.random.default_rng(0)
    rows, columns = size
    folder.mkdir()
    pairs = []
    for k in range(count):
        label = np.zeros(size, np.uint8)
        label[rows // 4 : -rows // 4, columns // 4 : -columns // 4] = 1 + np.arange(columns // 2) * 3 // (columns // 2)
        image = np.clip(label * 60.0 + rng.normal(10, 5, size), 0, 255).astype(np.uint8)
        pairs.append(Slice("0", k, folder / f"image{k}.png", folder / f"label{k}.png"))
        write_png(pairs[-1].image, image)
        write_png(pairs[-1].label, label * np.uint8(85))
    return pairs
