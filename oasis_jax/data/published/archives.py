"""Find the files of OASIS-1 scans on discs: folders, `.tar.gz` as downloaded, or folders that hold several of either.

Files are recognised by the last part of their names and read in memory. Nothing is unpacked, so an archive cannot write
anywhere.
"""

import gzip
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_FILE = re.compile(r"(OAS1_\d{4}_MR\d+)_mpr_n\d+_anon_111_t88_(gfc|masked_gfc_fseg)\.(hdr|img)")
_ARCHIVE = (".tar.gz", ".tgz", ".tar")

_LARGEST = 2**26
"""Bytes; a volume of the widest numbers has 52 million."""


class Part(NamedTuple):
    """One of the four files of a scan."""

    scan: str
    """OAS1_NNNN_MRk."""
    kind: str
    """`gfc.hdr`, `gfc.img`, `masked_gfc_fseg.hdr` or `masked_gfc_fseg.img`."""
    content: bytes


class Trouble(NamedTuple):
    """A scan, file or archive that could not be used; the others still are."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Other(NamedTuple):
    """A file of a scan that is not wanted."""

    scan: str


Entry = Part | Trouble | Other


def read_disc(disc: Path, wanted: set[str]) -> Iterator[Entry]:
    """Read the files of the wanted scans, in one pass from front to back.

    Args:
        disc: a folder or an archive.
        wanted: names of scans; looked up for each file, so the caller may remove names meanwhile.
    """
    return _folder(disc, wanted) if disc.is_dir() else _archive(disc, wanted)


def _folder(folder: Path, wanted: set[str]) -> Iterator[Entry]:
    """The parts in a folder and in its archives. Links that lead out of the folder are not followed."""
    home = folder.resolve()
    problems: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=problems.append):
        folders.sort()
        for name in [*folders, *sorted(files)]:
            path = Path(place, name)
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                if name in folders or _FILE.fullmatch(name) or name.endswith(_ARCHIVE):
                    yield Trouble(str(path), "skipped, a link that leads out of the disc; name its target as a disc.")
            elif name in folders:
                continue
            elif path.exists() and not path.is_file():  # reading a pipe would never end
                if _FILE.fullmatch(name):
                    yield Trouble(str(path), "skipped, not a regular file; get the disc again.")
            elif _FILE.fullmatch(name):
                try:
                    yield from _part(str(path), name, path.stat().st_size, path.read_bytes, wanted)
                except OSError as error:
                    problems.append(error)
            elif name.endswith(_ARCHIVE) and not name.startswith("."):
                yield from _archive(path, wanted)
    for problem in problems:
        yield Trouble(str(problem.filename), f"cannot be read ({problem.strerror}); check the disc.")


def _archive(path: Path, wanted: set[str]) -> Iterator[Entry]:
    """The parts in a tar archive, compressed or not, read from front to back once."""
    astray: list[str] = []
    try:
        with path.open("rb") as probe:
            opener = gzip.open if probe.read(2) == b"\x1f\x8b" else open
        # Not tarfile's own "r|gz": it accepts a file that was cut short.
        with opener(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as archive:
            for member in archive:
                inside = PurePosixPath(member.name)
                if inside.is_absolute() or ".." in inside.parts:
                    astray.append(member.name)
                elif _FILE.fullmatch(inside.name):
                    where = f"{path}, {member.name}"
                    if not member.isreg():
                        yield Trouble(where, "skipped, a link and not a file; download the archive again.")
                        continue
                    content = archive.extractfile(member)
                    assert content is not None  # a regular file has content
                    yield from _part(where, inside.name, member.size, content.read, wanted)
            while stream.read(1 << 20):  # to the end, where gzip keeps its checksum
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        yield Trouble(str(path), f"cannot be read to its end ({error}); download it again.")
    if astray:
        yield Trouble(
            str(path),
            f"skipped {len(astray)} names that lead out of the archive, such as {astray[0]!r}; download it again.",
        )


def _part(where: str, name: str, size: int, read: Callable[[], bytes], wanted: set[str]) -> Iterator[Entry]:
    match = _FILE.fullmatch(name)
    assert match
    scan, kind = match[1], f"{match[2]}.{match[3]}"
    if scan not in wanted:
        yield Other(scan)
    elif size > _LARGEST:
        yield Trouble(where, f"skipped, {size} bytes are too many for a T88_111 volume; get the disc again.")
    else:
        yield Part(scan, kind, read())
