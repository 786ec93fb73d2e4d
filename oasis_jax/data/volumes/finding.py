"""The files that a user names, or that lie in a folder that is named, and what their results are called."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from oasis_jax.data.slices import natural
from oasis_jax.data.volumes.nifti import SUFFIXES

_LONGEST = 220
"""Bytes of a file's name without its ending; file systems allow 255 with all that is added to it."""

_DANGLING = "is a link that leads nowhere: fetch the file it stands for (in DataLad: datalad get), or remove it"


class Found(NamedTuple):
    """A file to read, and the name, without ending, of what is written for it, relative to the output folder."""

    path: Path
    name: str


def find_inputs(paths: Sequence[Path]) -> tuple[list[Found], list[str]]:
    """The PNG files and volumes that are named, or lie in a folder that is named, and what is wrong with others.

    Folders are not searched further down; hidden files, and files of other kinds in a folder, are passed over.
    """
    found: dict[Path, Found] = {}
    names: dict[str, Path] = {}
    problems = []
    for path in paths:
        inside, more = _in_folder(path) if path.is_dir() else _file(path)
        problems += more
        for one in inside:
            real = one.path.resolve()
            if real in found:
                if found[real].name != one.name:  # not the same path named twice, but two links
                    problems.append(f"{one.path} leads to the same file as {found[real].path}: only that is labelled")
                continue
            if one.name in names:
                problems.append(f"{one.path} would be written under the name of {names[one.name]}: label it apart")
                continue
            if len(os.fsencode(one.name)) > _LONGEST:
                problems.append(f"{one.path} has too long a name to add to: shorten it")
                continue
            found[real], names[one.name] = one, one.path
    return list(found.values()), problems


def _file(path: Path) -> tuple[list[Found], list[str]]:
    header = path.with_suffix(".hdr")
    if path.suffix.lower() == ".img" and header.exists():  # one of a pair is enough
        path = header
    name = stem(path.name)
    if path.is_symlink() and not path.exists():
        return [], [f"{path} {_DANGLING}"]
    if not path.exists():
        return [], [f"{path} does not exist"]
    if name is None or not path.is_file():
        return [], [f"{path} is no PNG file and no volume ({', '.join(SUFFIXES)})"]
    return [Found(path, name)], []


def _in_folder(folder: Path) -> tuple[list[Found], list[str]]:
    found, problems = [], []
    for name in sorted(os.listdir(folder), key=_in_order):
        path = folder / name
        if name.startswith(".") or stem(name) is None or path.is_dir():
            continue
        if not path.exists():
            problems.append(f"{path} {_DANGLING}")
        elif not path.is_file():
            problems.append(f"{path} is no regular file")
        else:
            found += _file(path)[0]
    if not found and not problems:
        problems.append(f"{folder} holds no PNG file and no volume: name a folder that does")
    return found, problems


def _in_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key of a file's name: numbers in it by value."""
    return [natural(part) for part in re.split(r"(\d+)", name)]


def stem(name: str) -> str | None:
    """A file's name without its ending; None for other kinds of file."""
    for ending in (".nii.png", ".png", ".nii.gz", *SUFFIXES):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return None
