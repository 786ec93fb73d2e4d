"""The input files that a user names, or that lie in a folder that the user names, and the names of their results."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from oasis_jax.volumes.header import files_of
from oasis_jax.volumes.nifti import SUFFIXES
from oasis_jax.volumes.other_kinds import other_kind

Problems = dict[Path, str]
"""A sentence about each path that cannot be used."""

_LONGEST = 220
"""Bytes of a file's name without its ending. File systems allow 255, with all that is added to the name."""

_NO_VOLUME = f"and no volume ({', '.join(SUFFIXES)})"


class InputFile(NamedTuple):
    """A file to read."""

    path: Path
    name: str
    """The start of the names of its results, relative to the output folder."""

    @property
    def shown(self) -> str:
        """Its name in tables: the name of the file, after folders where files of one name lie in several."""
        return os.path.join(os.path.dirname(self.name), self.path.name)


def find_inputs(paths: Sequence[Path]) -> tuple[list[InputFile], Problems]:
    """The PNG files and volumes among the paths, or in folders among them, and a sentence about each unusable file.

    Folders within folders are not searched. Hidden files, and files of other kinds in a folder, are ignored. Results
    of files of one name, as `sub-*/anat/T1.nii.gz`, go to folders like theirs: `sub-01/anat/T1_labels.nii.gz`.
    """
    files: dict[Path, InputFile] = {}
    problems: Problems = {}
    for path in paths:
        for place, file in (_in_folder(path) if path.is_dir() else {path: _file(path)}).items():
            if isinstance(file, str):
                problems[place] = file
                continue
            first = files.setdefault(file.path.resolve(), file)
            if os.path.abspath(first.path) != os.path.abspath(file.path):  # not one path named twice, but two links
                problems[file.path] = f"{file.path} is the same file as {first.path}: only that one is labelled"
    names: dict[str, InputFile] = {}
    for file in _told_apart(list(files.values())):
        if len(os.fsencode(os.path.basename(file.name))) > _LONGEST:
            problems[file.path] = f"{file.path} has a name that is too long for the names of its results: shorten it"
        elif (other := names.setdefault(file.name, file)) is not file:
            problems[file.path] = f"{file.path} has the same name as {other.path}: label it with another --output"
    return list(names.values()), problems


def _told_apart(files: list[InputFile]) -> list[InputFile]:
    """The same files. The names of those of one name in several folders begin with these folders, where they differ."""
    folders: dict[str, list[str]] = {}
    for file in files:
        folders.setdefault(file.name, []).append(_folder(file))
    tops = {name: os.path.commonpath(places) for name, places in folders.items()}
    return [
        file._replace(name=os.path.relpath(os.path.join(_folder(file), file.name), tops[file.name])) for file in files
    ]


def _folder(file: InputFile) -> str:
    return os.path.dirname(os.path.abspath(file.path))


def _file(path: Path) -> InputFile | str:
    """A file to read, or a sentence about why it cannot be used."""
    path = of_pair(path)
    name = stem(path.name)
    if path.is_symlink() and not path.exists():
        problem = "is a link to a file that does not exist: fetch that file (in DataLad: datalad get), or remove it"
    elif not path.exists():
        problem = "does not exist"
    elif name is None or not path.is_file():
        problem = f"is no PNG file {f'but {kind}' if (kind := _other_kind(path)) else _NO_VOLUME}"
    else:
        return InputFile(path, name)
    return f"{path} {problem}"


def of_pair(path: Path) -> Path:
    """The header of a volume in two files, .hdr and .img, which stands for both; any other file itself."""
    header, _ = files_of(path)
    return header if header.exists() else path


def _in_folder(folder: Path) -> dict[Path, InputFile | str]:
    """As `_file`, of each file in a folder that should be one to read; of the folder itself if there is none."""
    names = sorted(os.listdir(folder), key=lambda name: [natural(part) for part in re.split(r"(\d+)", name)])
    paths = [folder / name for name in names if not (name.startswith(".") or stem(name) is None)]
    found = {path: _file(path) for path in paths if not path.is_dir()}
    if not found:
        inside = sorted(folder.glob("[!.]*"))
        first = next((path for path in inside if path.is_file()), folder)
        searched = f", and folders in it are not searched: name {folder / '*'}"
        mend = searched if any(path.is_dir() for path in inside) else ": name another folder"
        mend = f"; {first.name} is {kind}" if (kind := _other_kind(first)) else mend
        found[folder] = f"{folder} holds no PNG file and no volume{mend}"
    return found


def _other_kind(path: Path) -> str | None:
    """As `other_kind`; None for an empty file, one that cannot be read, and what is no regular file."""
    with suppress(OSError):
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                return other_kind(file.read(1024))
    return None


def natural(case: str) -> tuple[int, int, str]:
    """Sort key: numbers before words, numbers by value, so 2 comes before 10."""
    return (0, int(case), case) if case.isdecimal() else (1, 0, case)


def stem(name: str) -> str | None:
    """A file's name without its ending; None for other kinds of file."""
    for ending in (".nii.png", ".png", *SUFFIXES):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return None
