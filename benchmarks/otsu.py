"""What no learning reaches: three-class Otsu thresholds (Otsu 1979), slice by slice, inside the truth's brain mask.

Run:  python benchmarks/otsu.py TREE [SPLIT]        (needs: pip install -e ".[benchmarks]")

It is an oracle: the mask is the truth's, so its background is perfect by construction. Darkest class CSF, brightest
white matter. Prints hard Dice pooled over the split, as a row of `table.py`.
"""

import sys
from pathlib import Path

import numpy as np
from skimage.filters import threshold_multiotsu
from table import describe, format_row

from oasis_jax import labels, scores
from oasis_jax.data.slices import read_pair
from oasis_jax.data.tree import load_tree


def otsu(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Classes 0 to 3 `(H, W)` of grey levels, background where the truth has it."""
    brain = truth > 0
    thresholds = threshold_multiotsu(image[brain], classes=3, nbins=256)
    return np.where(brain, 1 + np.digitize(image, thresholds, right=True), 0)


def main() -> None:
    root, split = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "test"
    tree = load_tree(root, (split,))
    confusion = np.zeros((labels.COUNT, labels.COUNT), np.int64)
    for pair in tree.splits[split]:
        image, truth = read_pair(pair)
        np.add.at(confusion, (truth.ravel(), otsu(image, truth).ravel()), 1)
    people = len({tree.subjects[pair.case] for pair in tree.splits[split]})
    data = describe(root.name, split, len(tree.splits[split]), people)
    print(format_row(data, "Otsu inside the truth's brain mask", "-", scores.hard_dice(confusion), None))


if __name__ == "__main__":
    main()
