"""Write a study of volumes as a tree of slices, with a picture that shows what was cut."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from oasis_jax import labels, pictures
from oasis_jax.config import SPLITS
from oasis_jax.data import tree
from oasis_jax.data.frame import Size, centre
from oasis_jax.data.slices import Tracker, folders, silent, write_png
from oasis_jax.data.study import Cut, Rule, Scan, cut_scan, split_subjects
from oasis_jax.errors import UserError, describe
from oasis_jax.storage import csv_text, write_folder, write_text

_SHOWN = 12
"""Scans in the contact sheet at most."""

_LINE = (255, 80, 80)

_SAME = 0.01
"""mm by which slices of two scans may be further apart and count as alike."""


class Written(NamedTuple):
    """What a tree was made of."""

    scans: int
    splits: dict[str, str]
    """The split of each subject."""
    notes: list[str]
    """What a user should know about some of the scans."""
    problems: list[str]
    """A sentence about each scan that could not be cut and is left out."""


def write_study(
    root: Path,
    scans: Sequence[Scan],
    rule: Rule,
    fractions: tuple[float, float, float],
    seed: int,
    track: Tracker = silent,
) -> Written:
    """Cut every scan and write the tree `root`, which may not exist yet; it appears whole or not at all.

    Beside the slices lie `subjects.csv`, `volumes.csv` (where each case comes from), `cut.json` (what prediction must
    know) and `contact_sheet.png`.

    Returns:
        What was written, and what was left out.

    Raises:
        UserError: a split is left without a scan; lists every one that cannot be cut.
    """
    splits = split_subjects(scans, fractions, seed)
    written: list[Written] = []
    write_folder(root, lambda part: written.append(_fill(part, root.name, scans, rule, splits, track)))
    return written[0]


def _fill(part: Path, name: str, scans: Sequence[Scan], rule: Rule, splits: dict[str, str], track: Tracker) -> Written:
    """Write all of a tree into a folder."""
    rows, notes, strips, heights, gaps, problems = [], [], [], [], [], []
    sampled = {scans[int(i)] for i in np.linspace(0, len(scans) - 1, min(_SHOWN, len(scans)))}
    for split in SPLITS:
        for folder in folders(part, split):
            folder.mkdir()
    for scan in track(scans, len(scans), "Cutting volumes"):
        try:
            cut = cut_scan(scan, rule)
        except Exception as error:
            problems.append(describe(scan.image, error))
            continue
        split = splits[scan.subject]
        _write_slices(part, split, scan.case, cut)
        facts = [scan.case, scan.subject, split, scan.image, scan.label, cut.first, len(cut.images)]
        rows.append([*facts, *(f"{mm:.4g}" for mm in cut.spacing)])
        notes += [f"{scan.image}: {note}" for note in cut.notes]
        heights.append(cut.heights)
        gaps.append(cut.spacing[2])
        if scan in sampled:
            strips.append(_strip(f"{scan.case}, {split}", cut, rule.frame))
    if empty := [split for split in SPLITS if split not in {row[2] for row in rows}]:
        listing = "\n".join(f"  {problem}" for problem in problems)
        raise UserError(
            f"{name} was not written: nothing is left for {' and '.join(empty)}. {len(problems)} problem(s):\n{listing}"
        )
    lowest, highest = zip(*heights, strict=True)
    gap = gaps[0] if max(gaps) - min(gaps) < _SAME else None
    tree.write_cut(part, tree.Cut(rule.axis, (min(lowest), max(highest)), (1.0, 1.0, gap)))
    header = ["case", "subject", "split", "image", "label", "first_slice", "slices", "row_mm", "column_mm", "slice_mm"]
    write_text(part / "volumes.csv", csv_text(header, rows))
    write_text(part / "subjects.csv", csv_text(["case", "oasis_subject"], [row[:2] for row in rows]))
    pictures.write_picture(part / "contact_sheet.png", pictures.mosaic(strips, columns=1))
    return Written(len(rows), {row[1]: row[2] for row in rows}, notes, problems)


def _write_slices(root: Path, split: str, case: str, cut: Cut) -> None:
    image_folder, label_folder = folders(root, split)
    for k, (image, classes) in enumerate(zip(cut.images, cut.classes, strict=True)):
        write_png(image_folder / f"case_{case}_slice_{k}.nii.png", image)
        write_png(label_folder / f"seg_{case}_slice_{k}.nii.png", classes * np.uint8(labels.STEP))


def _strip(title: str, cut: Cut, frame: Size) -> np.ndarray:
    """One scan: the head cut across the slices, with a line at the first and the last; first, middle, last slice."""
    profile = np.repeat(centre(cut.profile, (max(frame), max(frame)))[..., None], 3, axis=2)
    extent = cut.profile.shape[0]
    above = (profile.shape[0] - extent) // 2 if profile.shape[0] >= extent else -((extent - profile.shape[0]) // 2)
    for number in (cut.first, cut.first + len(cut.images) - 1):
        row = above + extent - 1 - round(number * cut.spacing[2])
        if 0 <= row < len(profile):
            profile[row] = _LINE
    middle = len(cut.images) // 2
    tiles = [pictures.overlay(cut.images[k], cut.classes[k]) for k in (0, middle, len(cut.images) - 1)]
    height = max(profile.shape[0], frame[0])
    pieces = [np.pad(piece, ((0, height - piece.shape[0]), (0, 0), (0, 0))) for piece in (profile, *tiles)]
    image = Image.fromarray(np.concatenate(pieces, axis=1))
    ImageDraw.Draw(image).text((6, 4), title, fill=(255, 255, 255))
    return np.asarray(image)
