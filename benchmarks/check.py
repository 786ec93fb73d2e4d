"""How long it takes to check a tree as large as the real set (22,656 files): every pixel first, then unchanged.

Run:  python benchmarks/check.py

The files are links to one phantom slice and its label, so the speed of the disk does not count.
"""

import os
import tempfile
import time
from pathlib import Path

import figures
import numpy as np

from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.phantoms import head
from oasis_jax.data.slices import folders, slice_names, write_png

CASES = {"train": range(1, 303), "validate": range(402, 437), "test": range(441, 458)}
"""The cases of each split, as many as in the real set, with 32 slices each."""


def make(root: Path) -> None:
    """Write the tree."""
    image, label = head.draw_slice(head.make_head(np.random.default_rng(0)), 8.0, np.random.default_rng(1))
    write_png(root / "image.png", image)
    write_png(root / "label.png", label * np.uint8(85))
    for split, cases in CASES.items():
        for folder in folders(root, split):
            folder.mkdir()
        for case in cases:
            for k in range(32):
                names = slice_names(f"{case:03d}", k)
                for folder, source, name in zip(folders(root, split), ("image.png", "label.png"), names, strict=True):
                    os.link(root / source, folder / name)


def seconds_of_check(root: Path) -> tuple[int, float]:
    """Number of files, and seconds to check them."""
    start = time.monotonic()
    tree = load_dataset(root)
    seconds = time.monotonic() - start
    return 2 * sum(map(len, tree.splits.values())), seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OASIS_JAX_CACHE"] = str(Path(folder, "cache"))
        root = Path(folder, "tree")
        root.mkdir()
        make(root)
        files, first = seconds_of_check(root)
        _, second = seconds_of_check(root)
    print(f"{files} files: {first:.1f} s with every pixel, {second:.1f} s unchanged; {figures.machine()}")


if __name__ == "__main__":
    main()
