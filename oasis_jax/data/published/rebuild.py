"""Make the `keras_png_slices_*` tree from OASIS-1 discs, and say for every file whether it equals the published one."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from oasis_jax.data.published.archives import Other, Trouble
from oasis_jax.data.published.grey_rules import RULES
from oasis_jax.data.published.manifest import SLICES, Manifest, digest, pair_names
from oasis_jax.data.published.outcome import TABLE, Outcome, Row, explain_empty
from oasis_jax.data.published.png_encoder import Encoder
from oasis_jax.data.published.scans import Scan, read_scans
from oasis_jax.data.published.search import KNOWN_RECIPE, Recipe, cut, label_frame, search
from oasis_jax.data.slices import encode_png, folders
from oasis_jax.system.console import Tracker, silent
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import atomic_folder


def rebuild(
    out: Path, discs: Sequence[Path], manifest: Manifest, encode: Encoder | None, track: Tracker = silent
) -> Outcome:
    """Write the tree in one pass over the discs; it appears whole or not at all.

    Each scan is cut by the last recipe that matched, at first by `search.KNOWN_RECIPE`. Where a digest does not match,
    a search follows; where the search finds nothing, the recipe is kept. If the discs hold two scans of a subject, the
    one that matches more digests is written.

    Args:
        out: the folder to make.
        discs: folders and archives of OASIS-1.
        manifest: the set to rebuild.
        encode: `png_encoder.published_encoder()`; None if this machine has none. There is no search then.
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
        scans = [scan for case in manifest.cases for scan in manifest.scans_of(case)]
        entries = track(read_scans(discs, scans), len(manifest.cases), "Rebuilding")
        _write_scans(root, entries, manifest, encode, outcome)
        if not outcome.rows:
            raise UserError(explain_empty(discs, outcome))
        with (root / TABLE).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([Row._fields, *outcome.rows])

    atomic_folder(out, fill)
    return outcome


def _write_scans(
    root: Path,
    entries: Iterable[Scan | Trouble | Other],
    manifest: Manifest,
    encode: Encoder | None,
    outcome: Outcome,
) -> None:
    """Write the files of every case, and enter in `outcome` what became of the scans."""
    cases = {scan: case for case in manifest.cases for scan in manifest.scans_of(case)}
    recipes: dict[str, Recipe] = {}
    written: dict[str, list[Row]] = {}
    last_match = KNOWN_RECIPE
    for entry in entries:
        if isinstance(entry, Trouble):
            outcome.troubles.append(entry)
        elif isinstance(entry, Other):
            outcome.others += 1
        else:
            case = cases[entry.name]
            names = [pair_names(manifest.cases[case], case, k) for k in range(SLICES)]
            files, recipe = _make(entry, names, manifest.digests, encode, last_match)
            rows = [
                Row(name, entry.name, recipe.placement.height(k // 2), "" if k % 2 else recipe.rule, same)
                for k, (name, same) in enumerate(_matches(files, manifest.digests).items())
            ]
            recipes[entry.name] = recipe
            last_match = recipe if _count(rows) else last_match
            # The expected scan is written even if nothing matches, the subject's other scan only if it matches better.
            fallback = -1 if entry.name == manifest.scans_of(case)[0] else 0
            if _count(rows) > (_count(written[case]) if case in written else fallback):
                written[case] = rows
                for name, content in files.items():
                    (root / name).write_bytes(content)
    _conclude(outcome, manifest, written, recipes)


def _conclude(outcome: Outcome, manifest: Manifest, written: dict[str, list[Row]], recipes: dict[str, Recipe]) -> None:
    """Enter the rows that were written for each case, and the recipes of all scans that were read."""
    outcome.rows = [row for case in manifest.cases for row in written.get(case, ())]
    outcome.recipes = {rows[0].scan: recipes[rows[0].scan] for rows in written.values()}
    outcome.others += len(recipes) - len(written)
    outcome.missing = tuple(manifest.scans_of(case)[0] for case in manifest.cases if case not in written)
    # A damaged scan does no harm if a second copy was read, or if the subject's other scan is proven.
    proven = [case for case, rows in written.items() if all(row.identical for row in rows)]
    harmless = recipes.keys() | {scan for case in proven for scan in manifest.scans_of(case)}
    outcome.troubles = [trouble for trouble in outcome.troubles if trouble.where not in harmless]


def _count(rows: Sequence[Row]) -> int:
    return sum(row.identical for row in rows)


def _make(
    scan: Scan,
    names: Sequence[tuple[str, str]],
    digests: dict[str, bytes],
    encode: Encoder | None,
    recipe: Recipe,
) -> tuple[dict[str, bytes], Recipe]:
    """The files of a scan by name, and the recipe that made them: the given one if it matches or none is found."""
    files = _draw(scan, names, recipe, encode or encode_png)
    if encode and not all(_matches(files, digests).values()):
        images, labels = ([digests[name] for name in column] for column in zip(*names, strict=True))
        recipe = search(scan.image, scan.classes, images, labels, lambda frame: digest(encode(frame)), recipe)
        files = _draw(scan, names, recipe, encode)
    return files, recipe


def _draw(scan: Scan, names: Sequence[tuple[str, str]], recipe: Recipe, encode: Encoder) -> dict[str, bytes]:
    """The files that a recipe makes of a scan, image and label in turn."""
    files = {}
    planes = zip(cut(scan.image, recipe.placement, SLICES), cut(scan.classes, recipe.placement, SLICES), strict=True)
    for (image, label), (values, classes) in zip(names, planes, strict=True):
        files[image] = encode(RULES[recipe.rule](values))
        files[label] = encode(label_frame(classes))
    return files


def _matches(files: dict[str, bytes], digests: dict[str, bytes]) -> dict[str, bool]:
    return {name: digest(content) == digests[name] for name, content in files.items()}
