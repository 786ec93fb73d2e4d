"""Turn OASIS-1 discs into the `keras_png_slices_*` tree, and say for every file whether it is the published one."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from oasis_jax.data.published.archives import Other, Trouble
from oasis_jax.data.published.grey_rules import RULES
from oasis_jax.data.published.manifest import SLICES, Manifest, digest, pair_names
from oasis_jax.data.published.outcome import TABLE, Outcome, Row, nothing
from oasis_jax.data.published.png_encoder import Encoder
from oasis_jax.data.published.scans import Scan, read_scans
from oasis_jax.data.published.search import Recipe, cut, default_recipe, label_frame, search
from oasis_jax.data.slices import encode_png, folders
from oasis_jax.system.console import Tracker, silent
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import atomic_folder


def rebuild(
    out: Path, discs: Sequence[Path], manifest: Manifest, encode: Encoder | None, track: Tracker = silent
) -> Outcome:
    """Write the tree, whole or not at all, in one pass over the discs.

    The first scan fixes the recipe by search; a later scan that it does not fit is searched for again. Where nothing
    is found, the recipe found before is kept, or else the stated default taken.

    Args:
        out: the folder to make.
        discs: folders and archives of OASIS-1.
        manifest: the set to rebuild.
        encode: `png_encoder.published_encoder()`; None where this machine has none: then nothing is searched for.
        track: shows progress over the scans.

    Raises:
        UserError: `out` exists, a disc does not, or no scan could be read.
    """
    if out.exists():
        raise UserError(f"{out} exists already: name a new folder first, then the discs.")
    outcome = Outcome(provable=encode is not None)

    def fill(root: Path) -> None:
        for split in dict.fromkeys(manifest.cases.values()):
            for folder in folders(root, split):
                folder.mkdir()
        scans = {f"OAS1_{int(case):04d}_MR1": case for case in manifest.cases}
        found = track(read_scans(discs, list(scans)), len(scans), "Rebuilding")
        _write_scans(root, found, scans, manifest, encode, outcome)
        if not outcome.rows:
            raise UserError(nothing(discs, outcome))
        with (root / TABLE).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([Row._fields, *outcome.rows])

    atomic_folder(out, fill)
    return outcome


def _write_scans(
    root: Path,
    found: Iterable[Scan | Trouble | Other],
    scans: dict[str, str],
    manifest: Manifest,
    encode: Encoder | None,
    outcome: Outcome,
) -> None:
    """Write the files of every scan found, and enter in `outcome` what became of it."""
    known = None
    for one in found:
        if isinstance(one, Trouble):
            outcome.troubles.append(one)
        elif isinstance(one, Other):
            outcome.others += 1
        else:
            case = scans[one.name]
            names = [pair_names(manifest.cases[case], case, k) for k in range(SLICES)]
            files, recipe = _make(one, names, manifest.digests, encode, known)
            rows = [
                Row(name, one.name, recipe.placement.height(k // 2), "" if k % 2 else recipe.rule, same)
                for k, (name, same) in enumerate(_matches(files, manifest.digests).items())
            ]
            known = recipe if any(row.identical for row in rows) else known
            for name, content in files.items():
                (root / name).write_bytes(content)
            outcome.rows += rows
            outcome.recipes[one.name] = recipe
    order = {name: number for number, name in enumerate(manifest.digests)}
    outcome.rows.sort(key=lambda row: order[row.file])
    outcome.missing = tuple(name for name in scans if name not in outcome.recipes)
    # What a second copy of a scan put right is no trouble.
    outcome.troubles = [trouble for trouble in outcome.troubles if trouble.where not in outcome.recipes]


def _make(
    scan: Scan,
    names: Sequence[tuple[str, str]],
    digests: dict[str, bytes],
    encode: Encoder | None,
    known: Recipe | None,
) -> tuple[dict[str, bytes], Recipe]:
    """The files of a scan by name, and the recipe that made them."""
    recipe = known or default_recipe(scan.classes, SLICES)
    files = _draw(scan, names, recipe, encode or encode_png)
    if encode and not all(_matches(files, digests).values()):
        images, labels = ([digests[name] for name in column] for column in zip(*names, strict=True))
        recipe = search(scan.image, scan.classes, images, labels, lambda frame: digest(encode(frame)), recipe)
        files = _draw(scan, names, recipe, encode)
    return files, recipe


def _draw(scan: Scan, names: Sequence[tuple[str, str]], recipe: Recipe, encode: Encoder) -> dict[str, bytes]:
    """The files that a recipe makes of a scan, image and label by turns."""
    files = {}
    planes = zip(cut(scan.image, recipe.placement, SLICES), cut(scan.classes, recipe.placement, SLICES), strict=True)
    for (image, label), (values, classes) in zip(names, planes, strict=True):
        files[image] = encode(RULES[recipe.rule](values))
        files[label] = encode(label_frame(classes))
    return files


def _matches(files: dict[str, bytes], digests: dict[str, bytes]) -> dict[str, bool]:
    return {name: digest(content) == digests[name] for name, content in files.items()}
