"""`python -m oasis_jax.data COMMAND`: check, verify, rebuild, import or draw a tree of slices."""

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from oasis_jax.config import SPLITS, STRIDE
from oasis_jax.data import study
from oasis_jax.data.arguments import Check, Heads, Phantom, Rebuild, Verify, Volumes
from oasis_jax.data.build import Rule, write_study
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.heads import dataset as heads
from oasis_jax.data.heads.label_map import STANDARD, read_table
from oasis_jax.data.phantoms import volume as phantom_volume
from oasis_jax.data.phantoms.tree import write_tree
from oasis_jax.data.published.manifest import published
from oasis_jax.data.published.rebuild import rebuild
from oasis_jax.data.published.verify import compare
from oasis_jax.system import console, sharding
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import UserError, leave_some, run_command
from oasis_jax.volumes.nifti import check_orientation


def check(arguments: Check) -> None:
    if not arguments.splits:
        raise UserError("Name at least one split after --splits.")
    start = time.monotonic()
    tree = load_dataset(
        arguments.root, arguments.splits, track=console.track, shown=sys.maxsize if arguments.all else 20
    )
    seconds = time.monotonic() - start
    for split, pairs in tree.splits.items():
        subjects = {tree.subjects[pair.case] for pair in pairs}
        print(f"{split}: {len(pairs)} slices of {len(subjects)} subjects, fingerprint {tree.fingerprints[split][:16]}")
    files = 2 * sum(map(len, tree.splits.values()))
    print(f"All right: {files} files of {tree.size[0]}x{tree.size[1]}, {seconds:.1f} s.")


def write_phantoms(arguments: Phantom) -> None:
    if arguments.seed < 0:
        raise UserError(f"--seed is {arguments.seed} and must be 0 or more.")
    if (arguments.root is None) == (arguments.volume is None):
        raise UserError("Name a folder for a tree of slices, or --volume NAME.nii.gz for one head, not both.")
    if arguments.volume is not None:
        labels = _new_volume(arguments.volume)
        phantom_volume.write_volume(arguments.volume, arguments.seed, track=console.track)
        print(f"Wrote {arguments.volume} and its labels, {labels}.")
    elif arguments.root is not None:
        if arguments.root.exists():
            raise UserError(f"{arguments.root} exists already: name a new folder.")
        arguments.root.parent.mkdir(parents=True, exist_ok=True)
        write_tree(arguments.root, arguments.seed, console.track)
        print(f"Wrote {arguments.root}.")


def _new_volume(path: Path) -> Path:
    """The file of the labels of a volume that is to be written; neither exists yet, and the folder does."""
    labels = phantom_volume.label_file(path)
    if not path.name.endswith(".nii.gz"):
        raise UserError(f"{path} must end in .nii.gz.")
    if existing := [file for file in (path, labels) if file.exists()]:
        raise UserError(f"{existing[0]} exists already: name a new file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return labels


def write_volumes(arguments: Volumes) -> None:
    a = arguments
    if a.root.exists():
        raise UserError(f"{a.root} exists already: name a new folder.")
    _check_frame(a.frame)
    if not (0 <= a.start < 1 and 0 < a.extent < math.inf and a.seed >= 0):
        raise UserError("--start must be from 0 to below 1, --extent above 0 and --seed 0 or more.")
    check_orientation(a.orientation)
    values = a.values.by_class()
    scans = study.pair_scans(a.images, a.labels)
    rule = Rule(a.axis, a.start, a.extent, a.frame, values, a.orientation, a.every_height)
    a.root.parent.mkdir(parents=True, exist_ok=True)
    written = write_study(a.root, scans, rule, a.fractions, a.seed, console.track)
    for note in written.notes:
        print(f"note: {note}")
    counts = ", ".join(f"{list(written.splits.values()).count(split)} {split}" for split in SPLITS)
    print(f"Wrote {a.root}: {written.scans} scans of {len(written.splits)} subjects ({counts}).")
    print(f"Check the slices: {a.root / 'contact_sheet.png'}", flush=True)
    if written.problems:
        listing = "\n".join(f"  {problem}" for problem in written.problems)
        leave_some(f"{len(written.problems)} scan(s) could not be cut, the others are in {a.root}:\n{listing}")


def _check_frame(frame: tuple[int, int]) -> None:
    if min(frame) < STRIDE or any(side % STRIDE for side in frame):
        raise UserError(f"--frame is {frame[0]} {frame[1]} and must be two multiples of {STRIDE}.")


def draw_heads(arguments: Heads) -> None:
    a = arguments
    if (a.root is None) == (a.volume is None):
        raise UserError("Name a folder for a tree of slices, or --volume NAME.nii.gz for one head, not both.")
    if a.seed < 0 or a.heads < 1:
        raise UserError("--seed must be 0 or more, --heads 1 or more.")
    table = read_table(a.table) if a.table else STANDARD
    maps = heads.find_maps(a.maps)
    sharding.configure_jax()
    if a.volume is not None:
        labels = _new_volume(a.volume)
        heads.write_volume(a.volume, next(iter(maps.values())), table, a.seed)
        print(f"Wrote {a.volume} and its labels, {labels}.")
    elif a.root is not None:
        _check_frame(a.frame)
        if a.root.exists():
            raise UserError(f"{a.root} exists already: name a new folder.")
        splits = heads.splits_of(maps, a.validate, a.test)
        a.root.parent.mkdir(parents=True, exist_ok=True)
        count = heads.write_tree(
            a.root, maps, splits, table=table, heads=a.heads, seed=a.seed, frame=a.frame, track=console.track
        )
        print(f"Wrote {a.root}: {count:,} slices of {len(maps) * a.heads} heads from {len(maps)} maps.")
        print(f"Look at the heads: {a.root / 'contact_sheet.png'}")


def verify(arguments: Verify) -> None:
    splits = compare(arguments.root, published(), console.track)
    authentic = all(split.authentic for split in splits.values())
    if arguments.json:
        content = {name: {"authentic": split.authentic, **asdict(split)} for name, split in splits.items()}
        print(json.dumps({"authentic": authentic, "splits": content}, indent=1))
    else:
        for name, split in splits.items():
            print(f"{name}: {split}")
    sys.exit(not authentic)


def rebuild_tree(arguments: Rebuild) -> None:
    root, manifest = arguments.root, published()
    rebuilt = rebuild(root, arguments.discs, manifest, console.track)
    print(f"Wrote {root}: {len(rebuilt.written)} of {len(manifest.cases)} scans.")
    for trouble in rebuilt.troubles:
        print(f"Not used: {trouble}")
    if rebuilt.missing:
        print(f"Not written ({len(rebuilt.missing)}): {', '.join(rebuilt.missing)}")
    splits = compare(root, manifest, console.track)
    for name, split in splits.items():
        print(f"{name}: {split.identical:,} of {split.files:,} files equal the published ones, byte for byte")
    if not any(split.identical for split in splits.values()):
        print("None does: the discs, or the PNG files that Pillow writes on this machine, are of another kind.")
    if differ := not all(split.authentic for split in splits.values()):
        print(f"The others are named by: python -m oasis_jax.data verify {root} --json")
    sys.exit(differ)


def main() -> None:
    command = command_line(
        Annotated[Check, tyro.conf.subcommand("check")]  # type: ignore[arg-type]
        | Annotated[Verify, tyro.conf.subcommand("verify")]
        | Annotated[Rebuild, tyro.conf.subcommand("rebuild")]
        | Annotated[Volumes, tyro.conf.subcommand("volumes")]
        | Annotated[Phantom, tyro.conf.subcommand("phantom")]
        | Annotated[Heads, tyro.conf.subcommand("heads")],
        prog="python -m oasis_jax.data",
        description="Check, verify, rebuild, import or draw a tree of brain slices.",
    )
    _COMMANDS[type(command)](command)


_COMMANDS: dict[type, Callable[[Any], None]] = {
    Check: check,
    Verify: verify,
    Rebuild: rebuild_tree,
    Volumes: write_volumes,
    Phantom: write_phantoms,
    Heads: draw_heads,
}


cli = partial(run_command, main)


if __name__ == "__main__":
    cli()
