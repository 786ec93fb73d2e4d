"""`python -m oasis_jax.data COMMAND`: check a tree of slices, or write made-up ones."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from oasis_jax import progress
from oasis_jax.config import SPLITS, Split
from oasis_jax.data import phantom
from oasis_jax.data.tree import load_tree
from oasis_jax.errors import UserError, run_command


@dataclass(frozen=True)
class Check:
    """Check a folder of keras_png_slices_*: pairs, names, sizes, every pixel, subjects in two splits."""

    root: tyro.conf.Positional[Path]
    """Folder that holds keras_png_slices_train, _validate, _test and their _seg_ twins."""
    splits: tuple[Split, ...] = SPLITS
    """Splits to check."""
    all: bool = False
    """List every problem, not the first 20 of a kind."""


@dataclass(frozen=True)
class Phantom:
    """Write made-up heads as a tree of slices; the same seed gives the same pixels."""

    root: tyro.conf.Positional[Path]
    """Folder to make; it must not exist yet."""
    seed: int = 0
    """Seed of the heads; 0 gives those of the quickstart."""


def check(arguments: Check) -> None:
    start = time.monotonic()
    tree = load_tree(arguments.root, arguments.splits, track=progress.track, shown=sys.maxsize if arguments.all else 20)
    seconds = time.monotonic() - start
    people = {split: len({tree.subjects[p.case] for p in pairs}) for split, pairs in tree.splits.items()}
    for split, pairs in tree.splits.items():
        print(f"{split}: {len(pairs)} slices of {people[split]} subjects, fingerprint {tree.fingerprints[split][:16]}")
    files = 2 * sum(map(len, tree.splits.values()))
    print(f"All right: {files} files of {tree.size[0]}x{tree.size[1]}, {seconds:.1f} s.")


def write_phantoms(arguments: Phantom) -> None:
    if arguments.seed < 0:
        raise UserError(f"--seed is {arguments.seed} and must be 0 or more.")
    if arguments.root.exists():
        raise UserError(f"{arguments.root} exists already: name a new folder.")
    arguments.root.parent.mkdir(parents=True, exist_ok=True)
    phantom.write_tree(arguments.root, arguments.seed, progress.track)
    print(f"Wrote {arguments.root}.")


def main() -> None:
    command = tyro.cli(
        Annotated[Check, tyro.conf.subcommand("check")] | Annotated[Phantom, tyro.conf.subcommand("phantom")],  # type: ignore[arg-type]
        prog="python -m oasis_jax.data",
        description="Check a tree of brain slices, or write made-up ones.",
    )
    check(command) if isinstance(command, Check) else write_phantoms(command)


if __name__ == "__main__":
    run_command(main)
