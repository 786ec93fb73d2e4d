"""Trees of any number of slices, made of links to a few: for measurements, where only the number matters."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from oasis_jax.data.slices import Slice, folders, slice_names, write_png

SLICES = 32
"""Slices a case, as OASIS has them."""


def repeat(root: Path, pairs: Sequence[Slice], counts: Mapping[str, int]) -> Path:
    """A tree with so many slices in each split, in cases of 32; every file is a link to one of `pairs`, in turn."""
    case = 0
    for split, count in counts.items():
        for folder in folders(root, split):
            folder.mkdir(parents=True)
        images, masks = folders(root, split)
        for i in range(count):
            case += i % SLICES == 0
            source = pairs[i % len(pairs)]
            image_name, label_name = slice_names(str(case), i % SLICES)
            os.symlink(source.image.resolve(), images / image_name)
            os.symlink(source.label.resolve(), masks / label_name)
    return root


def draw(folder: Path, size: tuple[int, int], count: int = 8) -> list[Slice]:
    """A few slices of any size: noise around four grey levels in a frame of background."""
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
