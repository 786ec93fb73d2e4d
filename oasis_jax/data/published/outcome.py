"""What became of a rebuild: every file with its proof, and what a person is told."""

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
"""In the tree: a row for every file."""


class Row(NamedTuple):
    """One written file."""

    file: str
    scan: str
    height: int
    """Index of the axial slice in the volume."""
    rule: str
    """The grey rule of an image; empty for a label."""
    identical: bool
    """Whether its bytes are the published ones, by digest."""


@dataclass
class Outcome:
    """What was written and what was not."""

    provable: bool
    """Whether this machine has an encoder that writes the published bytes."""
    rows: list[Row] = field(default_factory=list)
    recipes: dict[str, Recipe] = field(default_factory=dict)
    """How each written scan was cut."""
    missing: tuple[str, ...] = ()
    """Scans of the set that were not written."""
    troubles: list[Trouble] = field(default_factory=list)
    others: int = 0
    """Scans on the discs that are not of the set."""

    @property
    def proven(self) -> bool:
        """Whether the whole set was written and every byte is as published."""
        return not self.missing and all(row.identical for row in self.rows)


def nothing(discs: Sequence[Path], outcome: Outcome) -> str:
    """Why no scan was written."""
    places = ", ".join(map(str, discs)) or "no disc"
    if outcome.troubles:
        return "\n".join(
            [f"No scan could be rebuilt from {places}:", *(f"  {trouble}" for trouble in outcome.troubles)]
        )
    if outcome.others:
        return f"{places}: {outcome.others} scans, none of them of the published set; name other discs."
    return f"{places}: no OASIS-1 scan; name the folders disc1, disc2, ... or their .tar.gz as downloaded."


def summary(outcome: Outcome, manifest: Manifest) -> str:
    """What a person wants to know of it, as text of several lines."""
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
    lines += _spread("Height of slice 0", {scan: str(recipe.placement) for scan, recipe in recipes.items()})
    lines += _spread("Grey rule", {scan: recipe.rule for scan, recipe in recipes.items()})
    if outcome.others:
        lines.append(f"Passed over: {outcome.others} scans that are not of the published set.")
    if outcome.missing:
        lines.append(f"Not written ({len(outcome.missing)}): {', '.join(outcome.missing)}")
    lines += ["Trouble:", *(f"  {trouble}" for trouble in outcome.troubles)] if outcome.troubles else []
    return "\n".join([*lines, _verdict(outcome)])


def _spread(title: str, values: dict[str, str]) -> list[str]:
    """The usual value with its count, and whose value is another."""
    (usual, count), *rare = Counter(values.values()).most_common()
    lines = [f"{title}: {usual} ({count} scans)"]
    return lines + [f"  {value}: {', '.join(scan for scan in values if values[scan] == value)}" for value, _ in rare]


def _verdict(outcome: Outcome) -> str:
    images = any(row.identical for row in outcome.rows if row.rule)
    labels = any(row.identical for row in outcome.rows if not row.rule)
    if outcome.proven:
        return "All is there, byte for byte as published."
    if all(row.identical for row in outcome.rows):
        return "What was written is byte for byte as published, but scans are missing."
    if not outcome.provable:
        return (
            "Not verified: this machine's zlib writes other PNG bytes than the published files have, so no digest can "
            "match here whatever the pixels. Height and grey rule are the defaults; try another machine."
        )
    if not labels and not images:
        return "Not verified: no published label slice was found at any height. Height and grey rule are the defaults."
    if not images:
        return (
            "Not verified: the labels give the height, but no known grey rule gives the published images; "
            f"{DEFAULT} was taken."
        )
    return f"Not all is as published: {TABLE} says which files are."
