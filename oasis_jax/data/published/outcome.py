"""The outcome of a rebuild: which files equal the published ones, and the report for the user."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from oasis_jax.data.published.archives import Trouble
from oasis_jax.data.published.grey_rules import DEFAULT
from oasis_jax.data.published.manifest import SLICES, Manifest
from oasis_jax.data.published.search import Recipe
from oasis_jax.data.slices import folders_of

TABLE = "rebuilt.csv"
"""File in the tree with a row for every slice file."""

_PROVEN = """\
Files that do not match follow what is known of the published slices:
  Proven by 290 genuine label files: height, directions and labels of slice 17.
  Measured in pictures of one subject: slice 0 lies 17 mm below slice 17.
  Counted in 400 genuine images: the brightest pixel is 255 and the scaling truncates.
  Not proven: {}."""


class Row(NamedTuple):
    """One written file."""

    file: str
    scan: str
    height: int
    """Index of the axial slice in the volume."""
    rule: str
    """The grey rule of an image; empty for a label."""
    identical: bool
    """Whether its digest is the published one. If not, the file follows what is known of the set."""


@dataclass
class Outcome:
    """The files that were written, and the scans that were not."""

    provable: bool
    """Whether this machine has an encoder that gives the published bytes."""
    rows: list[Row] = field(default_factory=list)
    recipes: dict[str, Recipe] = field(default_factory=dict)
    """The recipe of each written scan."""
    missing: tuple[str, ...] = ()
    """Scans of the set that were not written."""
    troubles: list[Trouble] = field(default_factory=list)
    others: int = 0
    """Scans on the discs that the set does not show."""

    @property
    def proven(self) -> bool:
        """Whether the whole set was written and every file equals the published one."""
        return not self.missing and all(row.identical for row in self.rows)


def explain_empty(discs: Sequence[Path], outcome: Outcome) -> str:
    """The error if no scan was written."""
    places = ", ".join(map(str, discs)) or "no disc"
    if outcome.troubles:
        return "\n".join(
            [f"No scan could be rebuilt from {places}:", *(f"  {trouble}" for trouble in outcome.troubles)]
        )
    if outcome.others:
        return f"{places}: {outcome.others} scans, none of them of the published set; name other discs."
    return f"{places}: no OASIS-1 scan; name the folders disc1, disc2, ... or their .tar.gz as downloaded."


def summary(outcome: Outcome, manifest: Manifest) -> str:
    """The report for the user, text of several lines."""
    lines = []
    for split in dict.fromkeys(manifest.cases.values()):
        cases = sum(other == split for other in manifest.cases.values())
        rows = [row for row in outcome.rows if row.file.split("/")[0] in folders_of(split)]
        images, labels = [row for row in rows if row.rule], [row for row in rows if not row.rule]
        lines.append(
            f"{split}: {len(images) // SLICES} of {cases} scans; byte for byte as published: "
            f"{sum(row.identical for row in images)} of {len(images)} images, "
            f"{sum(row.identical for row in labels)} of {len(labels)} labels"
        )
    recipes = outcome.recipes
    lines += _spread("Byte for byte as published", {scan: _matches(outcome.rows, scan) for scan in recipes})
    lines += _spread("Height of slice 0", {scan: str(recipe.placement) for scan, recipe in recipes.items()})
    lines += _spread("Grey rule", {scan: recipe.rule for scan, recipe in recipes.items()})
    if outcome.others:
        lines.append(f"Skipped: {outcome.others} scans that are not of the published set.")
    if outcome.missing:
        lines.append(f"Not written ({len(outcome.missing)}): {', '.join(outcome.missing)}")
    lines += ["Trouble:", *(f"  {trouble}" for trouble in outcome.troubles)] if outcome.troubles else []
    return "\n".join([*lines, _verdict(outcome)])


def _spread(title: str, values: dict[str, str]) -> list[str]:
    """The most frequent value with its count, then each other value with its scans."""
    (usual, count), *rare = Counter(values.values()).most_common()
    lines = [f"{title}: {usual} ({count} scans)"]
    return lines + [f"  {value}: {', '.join(scan for scan in values if values[scan] == value)}" for value, _ in rare]


def _matches(rows: Sequence[Row], scan: str) -> str:
    """How many files of a scan equal the published ones."""
    images, labels = ([row.identical for row in rows if row.scan == scan and bool(row.rule) == kind] for kind in (1, 0))
    return f"{sum(images)} of {len(images)} images, {sum(labels)} of {len(labels)} labels"


def _verdict(outcome: Outcome) -> str:
    images = any(row.identical for row in outcome.rows if row.rule)
    labels = any(row.identical for row in outcome.rows if not row.rule)
    if outcome.proven:
        return "All is there, byte for byte as published."
    if all(row.identical for row in outcome.rows):
        return "What was written is byte for byte as published, but scans are missing."
    if images:
        return (
            f"Not all is as published: {TABLE} says which files are (column identical). The others are not proven; "
            "they were made in the way that gives the files that match."
        )
    if labels:
        return (
            f"Not verified: the labels match, but no known grey rule gives the published images; {DEFAULT} was taken.\n"
            + _PROVEN.format("the exact product of the scaling")
        )
    reason = (
        "no file matches a published digest."
        if outcome.provable
        else "this machine's zlib writes other PNG bytes than those of the published files, so no digest can match, "
        "even if the pixels are right; try another machine."
    )
    unknown = "how the discs store their axes, and the exact product of the scaling"
    return f"Not verified: {reason}\n{_PROVEN.format(unknown)}"
