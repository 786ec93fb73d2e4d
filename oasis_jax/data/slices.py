"""Slices on disk: how files are named, paired, ordered and read.

`keras_png_slices_SPLIT/case_CASE_slice_K.nii.png` has its label in
`keras_png_slices_seg_SPLIT/seg_CASE_slice_K.nii.png`.
"""

import io
import os
import re
import struct
import unicodedata
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from oasis_jax import classes
from oasis_jax.system.errors import UserError

_NAME = re.compile(r"(?:case|seg)_(?P<case>.+)_slice_(?P<number>\d+)(?:\.nii)?\.png")

_NUMBERED = re.compile(r"(.+_slice_)(\d+)(\D*)")
"""The name of a slice whose neighbours can be found."""

BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises on a damaged image."""

LARGEST = 2048
"""Pixels a side: many times a slice, and far from what exhausts memory."""

Problem = tuple[str, str]
"""What kind of problem, and where."""


class Slice(NamedTuple):
    """One image and its label; `number` counts upward through the head."""

    case: str
    number: int
    image: Path
    label: Path


def folders_of(split: str) -> tuple[str, str]:
    """Name of the image folder and of the label folder of a split."""
    return f"keras_png_slices_{split}", f"keras_png_slices_seg_{split}"


def folders(root: Path, split: str) -> tuple[Path, Path]:
    """The image folder and the label folder of a split."""
    images, masks = folders_of(split)
    return root / images, root / masks


def find_slices(root: Path, split: str) -> tuple[tuple[Slice, ...], list[Problem]]:
    """The slices of a split, paired by name and ordered by case and number, and what is wrong with the layout.

    Hidden files and files that are no PNG are passed over.
    """
    if missing := [folder.name for folder in folders(root, split) if not folder.is_dir()]:
        return (), [("missing folder", name) for name in missing]
    image_folder, label_folder = folders(root, split)
    images, problems = _names(image_folder, "case_")
    masks, more = _names(label_folder, "seg_")
    problems += more
    problems += [("image without label", f"{image_folder.name}/{images[key]}") for key in images.keys() - masks]
    problems += [("label without image", f"{label_folder.name}/{masks[key]}") for key in masks.keys() - images]
    if not images:
        problems.append(("no slices", f"{image_folder.name} holds no file named case_CASE_slice_K.nii.png"))
    keys = sorted(images.keys() & masks.keys(), key=lambda key: (natural(key[0]), key[1]))
    return tuple(Slice(*key, image_folder / images[key], label_folder / masks[key]) for key in keys), problems


def natural(case: str) -> tuple[int, int, str]:
    """Sort key: numbers before words, numbers by value, so 2 comes before 10."""
    return (0, int(case), case) if case.isdecimal() else (1, 0, case)


def neighbour_files(path: Path, reach: int) -> list[Path]:
    """The files of the slices around a slice, itself in the middle, found beside it by name (`CASE_slice_K`).

    Where there is none of a number, the one before is repeated, as in `neighbours.neighbour_rows`.
    """
    below, above = [path], [path]
    for distance in range(1, reach + 1):
        for found, step in ((below, -distance), (above, distance)):
            found.append(_beside(path, step) or found[-1])
    return [*reversed(below), *above[1:]]


def missing_neighbours(path: Path) -> list[int]:
    """Numbers of the slices next to one that are not there, though the case goes on behind them."""
    number = int(match[2]) if (match := _NUMBERED.fullmatch(path.name)) else 0
    return [number + step for step in (-1, 1) if not _beside(path, step) and _beside(path, 2 * step)]


def _beside(path: Path, step: int) -> Path | None:
    """The file of the slice `step` numbers on, if there is one."""
    name = _NUMBERED.fullmatch(path.name)
    if name is None or (number := int(name[2]) + step) < 0:
        return None
    texts = (str(number), f"{number:0{len(name[2])}d}")
    files = (path.with_name(f"{name[1]}{text}{name[3]}") for text in texts)
    return next((file for file in files if file.is_file()), None)


def tidy(name: str) -> str:
    """A name without what nobody sees in it: blanks at its ends, kinds of blanks, unseen marks, Unicode's forms."""
    seen = "".join(mark for mark in unicodedata.normalize("NFC", name) if unicodedata.category(mark) != "Cf")
    return " ".join(seen.split())


def two_spellings(names: Iterable[str]) -> list[str]:
    """Those tidy names that differ only in capitals or in the width of letters: "A, a" for each name spelled twice."""
    alike: dict[str, set[str]] = {}
    for name in names:
        alike.setdefault(unicodedata.normalize("NFKC", name).casefold(), set()).add(name)
    return [", ".join(sorted(spellings)) for spellings in alike.values() if len(spellings) > 1]


def read_pair(pair: Slice) -> tuple[np.ndarray, np.ndarray]:
    """Decode a slice: grey levels and classes 0 to 3, both uint8 `(H, W)`.

    Raises:
        UserError: a file vanished or was damaged after the tree was checked.
    """
    try:
        with Image.open(pair.image) as image, Image.open(pair.label) as label:
            return np.array(image), np.asarray(label) // np.uint8(classes.STEP)
    except BROKEN as error:
        raise UserError(f"Cannot read {pair.image} with its label: {error}. Put the files back.") from error


def encode_png(pixels: np.ndarray) -> bytes:
    """The bytes of uint8 grey levels `(H, W)` as an 8-bit PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 grey levels `(H, W)` as an 8-bit PNG."""
    path.write_bytes(encode_png(pixels))


def _names(folder: Path, prefix: str) -> tuple[dict[tuple[str, int], str], list[Problem]]:
    """File name of each (case, number) in a folder."""
    names: dict[tuple[str, int], str] = {}
    problems: list[Problem] = []
    with os.scandir(folder) as entries:
        listed = {e.name: e.is_file() for e in entries if e.name.lower().endswith(".png") and e.name[0] != "."}
    problems += [("unreadable", f"{folder.name}/{name}: no file") for name, is_file in listed.items() if not is_file]
    for name in sorted(name for name, is_file in listed.items() if is_file):
        match = _NAME.fullmatch(name)
        if not match or not name.startswith(prefix):
            problems.append((f"not named {prefix}CASE_slice_K.nii.png", f"{folder.name}/{name}"))
            continue
        key = match["case"], int(match["number"])
        if key in names:
            problems.append(("two files for one slice", f"{folder.name}/{names[key]} and {name}"))
        names[key] = name
    return names, problems
