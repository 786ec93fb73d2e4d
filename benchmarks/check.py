"""How long the check of a tree of the real set's size takes: 22,656 files, every pixel, then again unchanged.

Run:  python benchmarks/check.py

The files are links to one phantom slice and its label, so the disk's own speed is left out.
"""

import os
import tempfile
import time
from pathlib import Path

import figures
import numpy as np

from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.phantoms import head
from oasis_jax.data.slices import folders, write_png

CASES = {"train": range(1, 303), "validate": range(402, 437), "test": range(441, 458)}
"""As many cases a split as the real set has, 32 slices each."""


def make(root: Path) -> None:
    """Write the tree."""
    image, label = head.draw_slice(head.make_head(np.random.default_rng(0)), 8.0, np.random.default_rng(1))
    write_png(root / "image.png", image)
    write_png(root / "label.png", label * np.uint8(85))
    for split, cases in CASES.items():
        for folder, source, prefix in zip(
            folders(root, split), ("image.png", "label.png"), ("case", "seg"), strict=True
        ):
            folder.mkdir()
            for case in cases:
                for k in range(32):
                    os.link(root / source, folder / f"{prefix}_{case:03d}_slice_{k}.nii.png")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OASIS_JAX_CACHE"] = str(Path(folder, "cache"))
        root = Path(folder, "tree")
        root.mkdir()
        make(root)
        times = []
        for _ in range(2):
            start = time.monotonic()
            tree = load_dataset(root)
            times.append(time.monotonic() - start)
    files = 2 * sum(map(len, tree.splits.values()))
    print(f"{files} files: {times[0]:.1f} s with every pixel, {times[1]:.1f} s unchanged; {figures.machine()}")


if __name__ == "__main__":
    main()
