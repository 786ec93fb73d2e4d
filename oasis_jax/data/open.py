"""Open the data that a config names: one tree of slices, or several as one data set."""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import reduce

from oasis_jax.config import Data
from oasis_jax.data import appearance
from oasis_jax.data.dataset import Dataset, load_dataset, shared_subjects
from oasis_jax.data.phantoms.tree import default_tree
from oasis_jax.data.slices import Slice, folders, two_spellings
from oasis_jax.geometry import Size, central
from oasis_jax.system import console, distributed
from oasis_jax.system.errors import UserError


def open_data(data: Data, splits: tuple[str, ...]) -> Dataset:
    """Load and check the slices that settings name; draw the phantoms first if they name none.

    The spacing in the tree takes precedence over the setting.

    Raises:
        UserError: there is no such folder, the slices cannot be used, or the processes see different slices.
    """
    for folder in filter(None, (data.root, *data.join)):
        if not folder.is_dir():
            raise UserError(
                f"{folder} is not a folder: set --data-root, or --data.join, to one that holds keras_png_slices_train."
            )
    roots = (data.root or default_tree(), *data.join)
    trees = [load_dataset(root, splits, partial=len(roots) > 1) for root in roots]
    if "train" in splits:
        trees = _without(trees, data.leave_out)
    trees = [_spaced(tree, data) for tree in trees]
    joined = _join(trees) if len(trees) > 1 else trees[0]
    parts = {split: tuple(len(tree.splits.get(split, ())) for tree in trees) for split in joined.splits}
    if missing := [folders(joined.root, split)[0].name for split in splits if split not in joined.splits]:
        raise UserError(f"None of the joined folders has {missing[0]}: join one that has it.")
    distributed.assert_equal(joined.fingerprints, f"does not have the same slices in {' and '.join(map(str, roots))}")
    return replace(joined, parts=parts)


def _without(trees: Sequence[Dataset], subjects: Collection[str]) -> list[Dataset]:
    """Trees whose train splits leave out some subjects."""
    present = {tree.subjects[pair.case] for tree in trees for pair in tree.splits.get("train", ())}
    if missing := [name for name in subjects if name not in present]:
        listed = ", ".join(sorted(present)[:5])
        raise UserError(f"data.leave_out names {missing[0]}, who is in no train split: the first there are {listed}.")

    def left(tree: Dataset, split: str) -> tuple[Slice, ...]:
        pairs = tree.splits[split]
        return pairs if split != "train" else tuple(p for p in pairs if tree.subjects[p.case] not in subjects)

    return [replace(tree, splits={split: left(tree, split) for split in tree.splits}) for tree in trees]


def _spaced(tree: Dataset, data: Data) -> Dataset:
    """A tree with the spacing of the config, unless the tree itself says it."""
    own = tree.cut.spacing
    if own is None:
        return replace(tree, spacing=dict.fromkeys(tree.spacing, data.spacing_mm))
    if data.spacing_mm not in (own, Data().spacing_mm):  # the user asked for another one
        mm = " ".join(map(str, own))
        console.say(f"Note: {tree.root} says that its pixels are {mm} mm; data.spacing_mm is not used.")
    return tree


def _join(trees: Sequence[Dataset]) -> Dataset:
    """Join trees: their slices in order, padded to the largest rows and columns, with the tree's name before each case.

    A tree need not have every split. Neighbours and spacing of a slice stay those of its own tree.

    Raises:
        UserError: two trees have one name or show different planes, or a subject is in two splits.
    """
    names = Counter(tree.root.name for tree in trees)
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"Two of the joined folders are named {twice[0]}: rename one, as the name stands before cases.")
    if len(axes := {tree.cut.axis for tree in trees}) > 1:
        raise UserError(f"The joined folders show {' and '.join(sorted(axes))} slices: join folders of one plane.")
    size = max(tree.size[0] for tree in trees), max(tree.size[1] for tree in trees)
    tops, bottoms, lefts, rights = zip(*(_extent(tree, size) for tree in trees), strict=True)
    heights = [tree.cut.heights for tree in trees]
    known = [pair for pair in heights if pair is not None]
    every = len(known) < len(heights)  # one of them has every height
    splits = dict.fromkeys(split for tree in trees for split in tree.splits)
    joined = replace(
        trees[0],
        size=size,
        extent=(min(tops), max(bottoms), min(lefts), max(rights)),
        splits={
            split: tuple(
                pair._replace(case=_named(tree, pair.case)) for tree in trees for pair in tree.splits.get(split, ())
            )
            for split in splits
        },
        subjects={_named(tree, case): subject for tree in trees for case, subject in tree.subjects.items()},
        fingerprints={split: _fingerprint(trees, split) for split in splits},
        ranges={
            split: reduce(appearance.union, (tree.ranges[split] for tree in trees if split in tree.ranges))
            for split in splits
        },
        cut=replace(trees[0].cut, heights=None if every else (min(low for low, _ in known), max(h for _, h in known))),
        spacing={_named(tree, case): mm for tree in trees for case, mm in tree.spacing.items()},
    )
    _check_subjects(joined)
    return joined


def _named(tree: Dataset, case: str) -> str:
    """A case among those of other trees: with the name of its tree before it."""
    return f"{tree.root.name}-{case}"


def _extent(tree: Dataset, size: Size) -> tuple[int, int, int, int]:
    """The rows and columns with labels, in a larger frame."""
    rows, columns = central(size, tree.size)
    top, bottom, left, right = tree.extent
    return top + rows.start, bottom + rows.start, left + columns.start, right + columns.start


def _fingerprint(trees: Sequence[Dataset], split: str) -> str:
    lines = (f"{tree.root.name} {tree.fingerprints.get(split)} {len(tree.splits.get(split, ()))}\n" for tree in trees)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _check_subjects(joined: Dataset) -> None:
    """Raise `UserError` if a subject is in two splits, or seems to be written in two ways."""
    if shared := shared_subjects(joined.splits, joined.subjects):
        listed = "; ".join(f"{name}: {' and '.join(shared[name])}" for name in sorted(shared)[:8])
        raise UserError(
            f"{len(shared)} subject(s) of the joined folders are in two splits ({listed}{' ...' * (len(shared) > 8)}): "
            "leave them out of training with --data.leave-out."
        )
    if twins := two_spellings(set(joined.subjects.values())):
        raise UserError(f"The joined folders spell a subject in two ways ({twins[0]}): use one in each subjects.csv.")
