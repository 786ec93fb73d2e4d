"""`python -m oasis_jax.data COMMAND`: check, verify, rebuild, import or draw a tree of slices."""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from oasis_jax.config import SPLITS, Split
from oasis_jax.data.cut_study import Rule, cut_study
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.heads import tree as heads
from oasis_jax.data.heads.label_map import STANDARD, read_table
from oasis_jax.data.phantoms import tree as phantoms
from oasis_jax.data.phantoms import volume as phantom
from oasis_jax.data.published.manifest import published
from oasis_jax.data.published.rebuild import rebuild
from oasis_jax.data.published.verify import verify
from oasis_jax.data.slices import check_sides
from oasis_jax.data.study import pair_scans, split_subjects
from oasis_jax.data.tree import SHEET, write_tree
from oasis_jax.data.volume import label_file, write_head
from oasis_jax.system import sharding
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import UserError, leave_some, run_command


@dataclass(frozen=True)
class Check:
    """Check a folder of keras_png_slices_*: pairs, names, sizes, every pixel, subjects in two splits."""

    root: tyro.conf.Positional[Path]
    """Folder that holds keras_png_slices_train, _validate, _test and their _seg_ twins."""
    splits: tuple[Split, ...] = SPLITS
    """Splits to check."""
    all: bool = False
    """List every problem, not the first 20 of a kind."""

    def run(self) -> None:
        if not self.splits:
            raise UserError("Name at least one split after --splits.")
        start = time.monotonic()
        tree = load_dataset(self.root, self.splits, shown=sys.maxsize if self.all else 20)
        seconds = time.monotonic() - start
        for split, pairs in tree.splits.items():
            subjects = len({tree.subjects[pair.case] for pair in pairs})
            print(f"{split}: {len(pairs)} slices of {subjects} subjects, fingerprint {tree.fingerprints[split][:16]}")
        files = 2 * sum(map(len, tree.splits.values()))
        print(f"All right: {files} files of {tree.size[0]}x{tree.size[1]}, {seconds:.1f} s.")


@dataclass(frozen=True)
class Verify:
    """Compare a keras_png_slices_data folder with the published one, byte for byte; status 1 if they differ."""

    root: tyro.conf.Positional[Path]
    """Folder that holds keras_png_slices_train, _validate, _test and their _seg_ twins."""
    json: bool = False
    """Print the result as JSON, with every name."""

    def run(self) -> None:
        splits = verify(self.root, published())
        authentic = all(split.authentic for split in splits.values())
        if self.json:
            content = {name: {"authentic": split.authentic, **asdict(split)} for name, split in splits.items()}
            print(json.dumps({"authentic": authentic, "splits": content}, indent=1))
        else:
            for name, split in splits.items():
                print(f"{name}: {split}")
        sys.exit(not authentic)


@dataclass(frozen=True)
class Rebuild:
    """Make the keras_png_slices_* folders from OASIS-1 discs; status 1 if a file differs from the published one."""

    root: tyro.conf.Positional[Path]
    """Folder to make; it must not exist yet."""
    discs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of the unpacked discs, or one that holds several of them."""

    def run(self) -> None:
        manifest = published()
        cases, problems = rebuild(self.root, self.discs, manifest)
        print(f"Wrote {self.root}: {len(cases)} of {len(manifest.cases)} scans.")
        for problem in problems:
            print(f"Not used: {problem}")
        names = {case.name for case in cases}
        if missing := [manifest.scan_of(case) for case in manifest.cases if case not in names]:
            print(f"Not written ({len(missing)}): {', '.join(missing)}")
        print(f"Compared with the published files, as by python -m oasis_jax.data verify {self.root}:")
        Verify(self.root).run()


@dataclass(frozen=True)
class Volumes:
    """Make a tree of slices from T1 volumes and their label volumes (NIfTI, MGH, Analyze), split by subject."""

    root: tyro.conf.Positional[Path]
    """Folder to make; it must not exist yet."""
    images: str
    """Path of the T1 volumes; {subject} (and {session}) stand for what varies: "study/sub-{subject}/*_T1w.nii.gz"."""
    labels: str
    """The same for the label volumes, which lie on the grid of their T1."""
    rule: Annotated[Rule, tyro.conf.arg(name="")] = Rule()  # noqa: RUF009
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    """Shares of the subjects in train, validate and test; 0 leaves a split empty."""
    seed: int = 0
    """Seed of the split."""

    def run(self) -> None:
        _check(self.root, None, self.seed)
        self.rule.check()
        scans = pair_scans(self.images, self.labels)
        splits = split_subjects(scans, self.fractions, self.seed)
        cuts = cut_study(scans, splits, self.rule)
        cases, problems = write_tree(self.root, cuts, self.rule.axis)
        for case in cases:
            for note in case.notes:
                print(f"note: {note}")
        written = list({case.subject: case.split for case in cases}.values())
        counts = ", ".join(f"{written.count(split)} {split}" for split in SPLITS)
        print(f"Wrote {self.root}: {len(cases)} scans of {len(written)} subjects ({counts}).")
        print(f"Check the slices: {self.root / SHEET}", flush=True)
        if problems:
            sentence = f"{len(problems)} scan(s) could not be cut, the others are in {self.root}:"
            leave_some("\n  ".join([sentence, *problems]))


@dataclass(frozen=True)
class Phantom:
    """Draw made-up heads as a tree of slices, or one head as a volume; the same seed gives the same pixels."""

    root: tyro.conf.Positional[Path | None] = None
    """Folder of the tree to make; it must not exist yet."""
    volume: Path | None = None
    """Write one head to this file, NAME.nii.gz, and its labels to NAME_labels.nii.gz."""
    seed: int = 0
    """Seed of the heads; 0 gives those of the quickstart."""

    def run(self) -> None:
        _check(self.root, self.volume, self.seed)
        if self.volume is not None:
            phantom.write_volume(self.volume, self.seed)
            print(f"Wrote {self.volume} and its labels, {label_file(self.volume)}.")
        elif self.root is not None:
            write_tree(self.root, phantoms.cases(self.seed))
            print(f"Wrote {self.root}.")


@dataclass(frozen=True)
class Heads:
    """Draw T1 scans of heads from label maps, as a tree of slices or one as a volume."""

    maps: tyro.conf.Positional[Path]
    """A label map (NIfTI, MGH), or a folder of them. Values are those of FreeSurfer, and above 500 of CHARM."""
    root: tyro.conf.Positional[Path | None] = None
    """Folder of the tree to make; it must not exist yet."""
    volume: Path | None = None
    """Write one head, from the first map, to this file, NAME.nii.gz, and its labels to NAME_labels.nii.gz."""
    table: Path | None = None
    """What other values stand for: a CSV file with the columns value and structure."""
    heads: int = 3
    """Heads to draw from each map."""
    validate: tuple[str, ...] = ()
    """Names of the maps whose heads are for validation (without endings, as 17)."""
    test: tuple[str, ...] = ()
    """Names of the maps whose heads are for testing."""
    frame: tuple[int, int] = (256, 256)
    """Rows and columns of the slices, multiples of 16, 1 mm each."""
    seed: int = 0
    """Random seed; the same seed gives the same pixels."""

    def run(self) -> None:
        _check(self.root, self.volume, self.seed)
        if self.heads < 1:
            raise UserError(f"--heads is {self.heads} and must be 1 or more.")
        check_sides(self.frame)
        table = read_table(self.table) if self.table else STANDARD
        maps = heads.find_maps(self.maps)
        sharding.configure_jax()
        if self.volume is not None:
            _, head = next(heads.draw_heads(maps, table, 1, self.seed))
            write_head(self.volume, head.image, head.classes)
            print(f"Wrote {self.volume} and its labels, {label_file(self.volume)}.")
        elif self.root is not None:
            splits = heads.splits_of(maps, self.validate, self.test)
            drawn = heads.cases(maps, splits, table=table, heads=self.heads, seed=self.seed, frame=self.frame)
            cases, _ = write_tree(self.root, drawn)
            print(f"Wrote {self.root}: {len(cases)} heads from {len(maps)} maps.")
            print(f"Look at the heads: {self.root / SHEET}")


def _check(root: Path | None, volume: Path | None, seed: int) -> None:
    """Raise `UserError` if not one of the two is named, if it is there already, or if the seed is negative."""
    if seed < 0:
        raise UserError(f"--seed is {seed} and must be 0 or more.")
    if (root is None) == (volume is None):
        raise UserError("Name a folder for a tree of slices, or --volume NAME.nii.gz for one head, not both.")
    if volume is not None and not volume.name.endswith(".nii.gz"):
        raise UserError(f"{volume} must end in .nii.gz.")
    for path in filter(None, (root, volume, volume and label_file(volume))):
        if path.exists():
            raise UserError(f"{path} exists already: choose another name.")


def main() -> None:
    command_line(
        Check | Verify | Rebuild | Volumes | Phantom | Heads,
        prog="python -m oasis_jax.data",
        description="Check, verify, rebuild, import or draw a tree of brain slices.",
    ).run()


if __name__ == "__main__":
    run_command(main)
