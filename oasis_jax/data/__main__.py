"""`python -m oasis_jax.data COMMAND`: check, verify, rebuild, import or draw a tree of slices."""

import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from oasis_jax.config import SPLITS, Split
from oasis_jax.data.build import Rule, write_study
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.heads import tree as heads
from oasis_jax.data.heads.label_map import STANDARD, read_table
from oasis_jax.data.phantoms import tree as phantoms
from oasis_jax.data.phantoms import volume as phantom_volume
from oasis_jax.data.published.manifest import published
from oasis_jax.data.published.rebuild import rebuild
from oasis_jax.data.published.verify import verify
from oasis_jax.data.slices import check_sides
from oasis_jax.data.study import pair_scans, split_subjects
from oasis_jax.system import console, sharding
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
        tree = load_dataset(self.root, self.splits, track=console.track, shown=sys.maxsize if self.all else 20)
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
        splits = verify(self.root, published(), console.track)
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
        rebuilt = rebuild(self.root, self.discs, manifest, console.track)
        print(f"Wrote {self.root}: {len(rebuilt.written)} of {len(manifest.cases)} scans.")
        for problem in rebuilt.problems:
            print(f"Not used: {problem}")
        if rebuilt.missing:
            print(f"Not written ({len(rebuilt.missing)}): {', '.join(rebuilt.missing)}")
        splits = verify(self.root, manifest, console.track)
        for name, split in splits.items():
            print(f"{name}: {split.identical:,} of {split.files:,} files equal the published ones, byte for byte")
        if not any(split.identical for split in splits.values()):
            print("None does: the discs, or the PNG files that Pillow writes on this machine, are of another kind.")
        if differ := not all(split.authentic for split in splits.values()):
            print(f"The others are named by: python -m oasis_jax.data verify {self.root} --json")
        sys.exit(differ)


@dataclass(frozen=True)
class Volumes:
    """Make a tree of slices from T1 volumes and their label volumes (NIfTI), split at random by subject."""

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
        _prepare(self.root, None, self.seed)
        self.rule.check()
        scans = pair_scans(self.images, self.labels)
        splits = split_subjects(scans, self.fractions, self.seed)
        written = write_study(self.root, scans, splits, self.rule, console.track)
        for note in written.notes:
            print(f"note: {note}")
        counts = ", ".join(f"{list(written.splits.values()).count(split)} {split}" for split in SPLITS)
        print(f"Wrote {self.root}: {written.scans} scans of {len(written.splits)} subjects ({counts}).")
        print(f"Check the slices: {self.root / 'contact_sheet.png'}", flush=True)
        if written.problems:
            listing = "\n".join(f"  {problem}" for problem in written.problems)
            leave_some(f"{len(written.problems)} scan(s) could not be cut, the others are in {self.root}:\n{listing}")


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
        _prepare(self.root, self.volume, self.seed)
        if self.volume is not None:
            phantom_volume.write_volume(self.volume, self.seed, track=console.track)
            print(f"Wrote {self.volume} and its labels, {phantom_volume.label_file(self.volume)}.")
        elif self.root is not None:
            phantoms.write_tree(self.root, self.seed, console.track)
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
        _prepare(self.root, self.volume, self.seed)
        if self.heads < 1:
            raise UserError(f"--heads is {self.heads} and must be 1 or more.")
        check_sides(self.frame)
        table = read_table(self.table) if self.table else STANDARD
        maps = heads.find_maps(self.maps)
        sharding.configure_jax()
        if self.volume is not None:
            heads.write_volume(self.volume, next(iter(maps.values())), table, self.seed)
            print(f"Wrote {self.volume} and its labels, {phantom_volume.label_file(self.volume)}.")
        elif self.root is not None:
            splits = heads.splits_of(maps, self.validate, self.test)
            count = heads.write_tree(
                *(self.root, maps, splits),
                table=table,
                heads=self.heads,
                seed=self.seed,
                frame=self.frame,
                track=console.track,
            )
            print(f"Wrote {self.root}: {count:,} slices of {len(maps) * self.heads} heads from {len(maps)} maps.")
            print(f"Look at the heads: {self.root / 'contact_sheet.png'}")


def _prepare(root: Path | None, volume: Path | None, seed: int) -> None:
    """Make the folder of a volume that is to be written.

    Raises:
        UserError: not one of the two is named; it, or the labels of the volume, exist already; the seed is negative.
    """
    if seed < 0:
        raise UserError(f"--seed is {seed} and must be 0 or more.")
    if (root is None) == (volume is None):
        raise UserError("Name a folder for a tree of slices, or --volume NAME.nii.gz for one head, not both.")
    if root is not None and root.exists():
        raise UserError(f"{root} exists already: name a new folder.")
    if volume is not None:
        if not volume.name.endswith(".nii.gz"):
            raise UserError(f"{volume} must end in .nii.gz.")
        if existing := [file for file in (volume, phantom_volume.label_file(volume)) if file.exists()]:
            raise UserError(f"{existing[0]} exists already: name a new file.")
        volume.parent.mkdir(parents=True, exist_ok=True)


def main() -> None:
    command_line(
        Check | Verify | Rebuild | Volumes | Phantom | Heads,
        prog="python -m oasis_jax.data",
        description="Check, verify, rebuild, import or draw a tree of brain slices.",
    ).run()


cli = partial(run_command, main)


if __name__ == "__main__":
    cli()
