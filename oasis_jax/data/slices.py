"""Slices on disk: how files are named, paired, ordered and read.

`keras_png_slices_SPLIT/case_CASE_slice_K.nii.png` has its label in
`keras_png_slices_seg_SPLIT/seg_CASE_slice_K.nii.png`.
"""

import io
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from oasis_jax.classes import STEP
from oasis_jax.config import STRIDE
from oasis_jax.geometry import Pair, Pixels, Size
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.finding import natural
from oasis_jax.volumes.png import BROKEN

_NAME = re.compile(r"(?:case|seg)_(?P<case>.+)_slice_(?P<number>\d+)(?:\.nii)?\.png")

_NO_TEST = (
    "; a tree without test needs --train.evaluate validate (train), --split validate (evaluate) or --splits train "
    "validate (data check)"
)

Problem = tuple[str, str]
"""The kind of a problem, and its place."""


class Slice(NamedTuple):
    """One image and its label; `number` counts upward through the head."""

    case: str
    number: int
    image: Path
    label: Path


def folders(root: Path, split: str) -> tuple[Path, Path]:
    """The image folder and the label folder of a split."""
    return root / f"keras_png_slices_{split}", root / f"keras_png_slices_seg_{split}"


def slice_of(root: Path, split: str, case: str, number: int) -> Slice:
    """The files of a slice in a tree."""
    (images, labels), name = folders(root, split), f"{case}_slice_{number}.nii.png"
    return Slice(case, number, images / f"case_{name}", labels / f"seg_{name}")


def check_sides(frame: Size) -> None:
    """Raise `UserError` if networks cannot halve the (rows, columns) that slices shall have often enough."""
    if min(frame) < STRIDE or any(side % STRIDE for side in frame):
        raise UserError(f"--frame is {frame[0]} {frame[1]} and must be two multiples of {STRIDE}.")


def find_slices(root: Path, split: str) -> tuple[tuple[Slice, ...], list[Problem]]:
    """The slices of a split, paired by name and ordered by case and number, and the problems of the layout.

    Hidden files, and files whose name does not end in `.png`, are ignored.
    """
    hint = _NO_TEST if split == "test" and folders(root, "train")[0].is_dir() else ""
    if missing := [folder.name for folder in folders(root, split) if not folder.is_dir()]:
        return (), [(f"missing folder{hint}", name) for name in missing]
    image_folder, label_folder = folders(root, split)
    images, image_problems = _names(image_folder, "case_")
    masks, label_problems = _names(label_folder, "seg_")
    problems = image_problems + label_problems
    problems += [("image without label", f"{image_folder.name}/{images[key]}") for key in images.keys() - masks]
    problems += [("label without image", f"{label_folder.name}/{masks[key]}") for key in masks.keys() - images]
    if not images:
        problems.append((f"no slices{hint}", f"{image_folder.name} holds no file named case_CASE_slice_K.nii.png"))
    keys = sorted(images.keys() & masks.keys(), key=lambda key: (natural(key[0]), key[1]))
    return tuple(Slice(*key, image_folder / images[key], label_folder / masks[key]) for key in keys), problems


def tidy(name: str) -> str:
    """A name without invisible differences: outer blanks, kinds of blanks, format characters, forms of Unicode."""
    visible = "".join(mark for mark in unicodedata.normalize("NFC", name) if unicodedata.category(mark) != "Cf")
    return " ".join(visible.split())


def two_spellings(names: Iterable[str]) -> list[str]:
    """The tidy names that differ only in capitals or in the width of letters: "A, a" for each name spelled twice."""
    alike: dict[str, set[str]] = {}
    for name in names:
        alike.setdefault(unicodedata.normalize("NFKC", name).casefold(), set()).add(name)
    return [", ".join(sorted(spellings)) for spellings in alike.values() if len(spellings) > 1]


def read_pair(pair: Slice) -> Pair:
    """Decode a slice.

    Raises:
        UserError: a file was removed or damaged after the tree was checked.
    """
    try:
        with Image.open(pair.image) as image, Image.open(pair.label) as label:
            return np.array(image), np.asarray(label) // np.uint8(STEP)
    except BROKEN as error:
        raise UserError(f"Cannot read {pair.image} with its label: {error}. Put the files back.") from error


def write_pair(root: Path, split: str, case: str, number: int, image: Pixels, classes: Pixels) -> None:
    """Write a slice, its grey levels and its classes 0 to 3, into a tree whose folders exist."""
    pair = slice_of(root, split, case, number)
    write_png(pair.image, image)
    write_png(pair.label, classes * np.uint8(STEP))


def encode_png(pixels: Pixels) -> bytes:
    """Grey levels as the bytes of an 8-bit PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def write_png(path: Path, pixels: Pixels) -> None:
    """Write grey levels as an 8-bit PNG file."""
    path.write_bytes(encode_png(pixels))


def _names(folder: Path, prefix: str) -> tuple[dict[tuple[str, int], str], list[Problem]]:
    """The file name of each (case, number) in a folder, and the problems of the names."""
    names: dict[tuple[str, int], str] = {}
    problems: list[Problem] = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        place, match = f"{folder.name}/{entry.name}", _NAME.fullmatch(entry.name)
        if entry.name[0] == "." or not entry.name.lower().endswith(".png"):
            continue
        if not entry.is_file():
            problems.append(("unreadable", f"{place}: no file"))
        elif not match or not entry.name.startswith(prefix):
            problems.append((f"not named {prefix}CASE_slice_K.nii.png", place))
        elif (first := names.setdefault((match["case"], int(match["number"])), entry.name)) != entry.name:
            problems.append(("two files for one slice", f"{folder.name}/{first} and {entry.name}"))
    return names, problems
