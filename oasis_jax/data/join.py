"""Several trees of slices as one data set."""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import reduce

from oasis_jax.data import appearance
from oasis_jax.data.appearance import Ranges
from oasis_jax.data.dataset import Dataset, Index, shared_subjects
from oasis_jax.data.slices import two_spellings
from oasis_jax.geometry import Size, central
from oasis_jax.system.errors import UserError


def join(trees: Sequence[Dataset]) -> Dataset:
    """Join trees: their slices in order, padded to the largest rows and columns, with the tree's name before each case.

    A tree need not have every split. Neighbours and spacing of a slice stay those of its own tree.

    Raises:
        UserError: two trees have one name or show different planes, or a subject is in two splits.
    """
    if len(trees) == 1:
        return trees[0]
    names = [tree.root.name for tree in trees]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"Two of the joined folders are named {twice[0]}: rename one, as the name stands before cases.")
    if len(axes := {tree.cut.axis for tree in trees}) > 1:
        raise UserError(f"The joined folders show {' and '.join(sorted(axes))} slices: join folders of one plane.")
    size = max(tree.size[0] for tree in trees), max(tree.size[1] for tree in trees)
    splits = {
        split: tuple(
            pair._replace(case=f"{name}-{pair.case}")
            for name, tree in zip(names, trees, strict=True)
            for pair in tree.splits.get(split, ())
        )
        for split in dict.fromkeys(split for tree in trees for split in tree.splits)
    }
    subjects = {
        f"{name}-{case}": subject
        for name, tree in zip(names, trees, strict=True)
        for case, subject in tree.subjects.items()
    }
    _check_subjects(splits, subjects)
    return replace(
        trees[0],
        size=size,
        extent=_extent(trees, size),
        splits=splits,
        subjects=subjects,
        fingerprints={split: _fingerprint(trees, split) for split in splits},
        ranges={split: _ranges(trees, split) for split in splits},
        cut=replace(trees[0].cut, heights=_heights(trees)),
        spacing={
            f"{name}-{case}": mm for name, tree in zip(names, trees, strict=True) for case, mm in tree.spacing.items()
        },
        parts={split: tuple(len(tree.splits.get(split, ())) for tree in trees) for split in splits},
    )


def without(trees: Sequence[Dataset], subjects: Collection[str]) -> list[Dataset]:
    """Trees whose train splits leave out some subjects.

    Raises:
        UserError: no train split has such a subject.
    """
    present = {tree.subjects[pair.case] for tree in trees for pair in tree.splits.get("train", ())}
    if missing := [name for name in subjects if name not in present]:
        listed = ", ".join(sorted(present)[:5])
        raise UserError(f"data.leave_out names {missing[0]}, who is in no train split: the first there are {listed}.")
    return [_kept(tree, subjects) if "train" in tree.splits else tree for tree in trees]


def _kept(tree: Dataset, subjects: Collection[str]) -> Dataset:
    kept = tuple(pair for pair in tree.splits["train"] if tree.subjects[pair.case] not in subjects)
    return replace(tree, splits=tree.splits | {"train": kept}, parts=tree.parts | {"train": (len(kept),)})


def _check_subjects(splits: Index, subjects: dict[str, str]) -> None:
    """Raise `UserError` if a subject is in two splits, or seems to be written in two ways."""
    if shared := shared_subjects(splits, subjects):
        names = sorted(shared)
        listed = "; ".join(f"{name}: {' and '.join(shared[name])}" for name in names[:8]) + (
            " ..." if names[8:] else ""
        )
        raise UserError(
            f"{len(names)} subject(s) of the joined folders are in two splits ({listed}): leave them out of training "
            "with --data.leave-out."
        )
    if twins := two_spellings(set(subjects.values())):
        raise UserError(f"The joined folders spell a subject in two ways ({twins[0]}): use one in each subjects.csv.")


def _extent(trees: Sequence[Dataset], size: Size) -> tuple[int, int, int, int]:
    """The rows and columns with labels, in the larger frame."""
    ends = []
    for tree in trees:
        rows, columns = central(size, tree.size)
        top, bottom, left, right = tree.extent
        ends.append((top + rows.start, bottom + rows.start, left + columns.start, right + columns.start))
    tops, bottoms, lefts, rights = zip(*ends, strict=True)
    return min(tops), max(bottoms), min(lefts), max(rights)


def _fingerprint(trees: Sequence[Dataset], split: str) -> str:
    digest = hashlib.sha256()
    for tree in trees:
        digest.update(f"{tree.root.name} {tree.fingerprints.get(split)} {len(tree.splits.get(split, ()))}\n".encode())
    return digest.hexdigest()


def _ranges(trees: Sequence[Dataset], split: str) -> Ranges:
    return reduce(appearance.union, (tree.ranges[split] for tree in trees if split in tree.ranges))


def _heights(trees: Sequence[Dataset]) -> tuple[float, float] | None:
    """All heights that the trees show; None if one has every height."""
    heights = [tree.cut.heights for tree in trees]
    known = [pair for pair in heights if pair is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if len(known) == len(heights) else None
