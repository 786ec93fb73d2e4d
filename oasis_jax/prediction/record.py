"""What a result was made from, in a file beside it, so that a second start labels only what is missing or changed."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from oasis_jax import __version__
from oasis_jax.prediction.summary import FileSummary
from oasis_jax.system import records
from oasis_jax.system.files import write_text
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.header import files_of
from oasis_jax.volumes.neighbours import neighbour_files
from oasis_jax.volumes.nifti import is_volume


@dataclass(frozen=True)
class Settings:
    """What a result depends on beside its input."""

    weights: tuple[str, ...]
    """SHA-256 of the parameters of each network."""
    neighbours: int
    """Slices on each side that the networks see."""
    mirror: bool
    orientation: str | None
    values: str
    """One of `bids.VALUES`."""

    @property
    def text(self) -> str:
        """What made the labels, for people: the start of each digest, and the options that change labels."""
        weights = " + ".join(digest[:12] for digest in self.weights)
        orientation = f", orientation {self.orientation}" if self.orientation else ""
        return f"weights {weights}{', mirror' if self.mirror else ''}{orientation}"


@dataclass(frozen=True)
class Record:
    """From what a result was made, and what was found."""

    input: str
    """As `seen`."""
    settings: Settings
    outputs: dict[str, str]
    """SHA-256 of each file, by its name in its folder."""
    summary: FileSummary | None
    """None from when the files begin to be written until all are there."""
    version: str = __version__
    """Of this program."""


def read(folder: Path, file: InputFile) -> Record | None:
    """The record of a file in a folder of results; None if there is none that this version can read."""
    try:
        return records.from_json(Record, json.loads(_path(folder, file).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def write(folder: Path, file: InputFile, record: Record) -> None:
    """Write the record of a file to a folder of results."""
    write_text(_path(folder, file), json.dumps(records.to_json(record), allow_nan=False) + "\n")


def seen(file: InputFile, neighbours: int) -> str:
    """As `digest` of what a network sees of an input: a slice with its neighbours, or a volume with its header."""
    path = file.path
    return digest(dict.fromkeys(files_of(path) if is_volume(path) else neighbour_files(path, neighbours)))


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 of the contents of one file; of several, of their digests.

    Raises:
        OSError: a file cannot be read.
    """
    found = []
    for path in paths:
        with path.open("rb") as file:
            found.append(hashlib.file_digest(file, "sha256").hexdigest())
    return found[0] if len(found) == 1 else hashlib.sha256("\n".join(found).encode()).hexdigest()


def _path(folder: Path, file: InputFile) -> Path:
    return folder / f"{file.name}_record.json"
