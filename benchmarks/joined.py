"""The data that the network of this program saw last: slices of OASIS, and in train phantoms too.

Run:  python benchmarks/joined.py TREE FOLDER [--seeds 101 102 103]

TREE is a `keras_png_slices_data`. Draws the phantoms of each seed into FOLDER/phantoms-SEED. FOLDER/joined then has
links to all slices of TREE and, in train, to all phantoms whose labels lie in the window of `experiments/oasis.py`.
"""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import trees
import tyro

from oasis_jax.config import SPLITS
from oasis_jax.data.geometry import Size, central
from oasis_jax.data.phantoms.dataset import write_tree
from oasis_jax.data.slices import Slice, read_pair
from oasis_jax.train import load_experiment, named_experiments


@dataclass(frozen=True)
class Arguments:
    """Join the slices of OASIS and phantoms."""

    tree: tyro.conf.Positional[Path]
    """A keras_png_slices_data."""
    folder: tyro.conf.Positional[Path]
    """Folder of the trees that are made."""
    seeds: tuple[int, ...] = (101, 102, 103)
    """Of the phantoms. The phantoms of the quickstart have seed 0."""


def fits(head: list[Slice], window: Size) -> bool:
    """Whether all labels of a head lie in the window in the middle of the frame."""
    labels = [read_pair(pair)[1] for pair in head]
    return all(np.count_nonzero(x[central(x.shape, window)]) == np.count_nonzero(x) for x in labels)


def phantoms(tree: Path, seed: int, window: Size) -> list[Slice]:
    """The slices of all heads that fit into a window; their names tell the seed."""
    if not tree.is_dir():
        write_tree(tree, seed)
    slices = [pair for split in SPLITS for pair in trees.all_slices(tree, split)]
    heads = [list(head) for _, head in groupby(slices, key=lambda pair: pair.case)]
    return [pair._replace(case=f"phantom-{seed}-{pair.case}") for head in heads if fits(head, window) for pair in head]


def main() -> None:
    arguments = tyro.cli(Arguments)
    window = load_experiment(named_experiments()["oasis"]).model.crop
    assert window is not None
    joined = arguments.folder / "joined"
    for split in SPLITS:
        trees.link(trees.all_slices(arguments.tree, split), joined, split)
    for seed in arguments.seeds:
        trees.link(phantoms(arguments.folder / f"phantoms-{seed}", seed, window), joined, "train")
    print(f"{joined}: {len(trees.all_slices(joined, 'train')):,} training slices")


if __name__ == "__main__":
    main()
