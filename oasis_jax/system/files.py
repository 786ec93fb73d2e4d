"""How the program writes: files and folders appear complete or not at all."""

import csv
import fcntl
import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`; safe if the machine crashes."""
    token = secrets.token_hex(4)  # processes of several containers may have one number
    part = path.with_name(f".{token}.{path.name[-20:]}")  # keeps the suffix: the format
    try:
        with _named_as(path, part):
            write(part)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        with suppress(OSError):  # it would hide what went wrong before, as on a read-only disk
            part.unlink(missing_ok=True)


def atomic_folder(folder: Path, fill: Callable[[Path], object], replace: bool = False) -> None:
    """Let `fill` write into a temporary folder beside `folder`, then rename it to `folder`.

    Raises:
        OSError: the folder exists, is not empty, and `replace` is false.
    """
    token = secrets.token_hex(4)  # not the number of this process: in a container, a killed one had the same
    part, old = (folder.with_name(f".{folder.name}.{token}.{kind}") for kind in ("part", "old"))
    with _named_as(folder, part):
        part.mkdir(parents=True)
        try:
            fill(part)
            if replace and folder.exists():
                folder.rename(old)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            if old.exists() and not folder.exists():
                old.rename(folder)
            shutil.rmtree(old, ignore_errors=True)


def lock_file(handle: int, wait: bool = False) -> str | None:
    """Lock an open file for this process. The system frees the lock when the file is closed, however the process ends.

    Returns:
        None if the file is locked now; otherwise the reason why its disk has no locks, as some network file systems.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is false.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (BlockingIOError, PermissionError) as error:  # CIFS says the second
        raise BlockingIOError from error
    except OSError as error:  # whatever else: a disk that fails says so again when something is written
        return error.strerror
    return None


@contextmanager
def alone_in(folder: Path) -> Iterator[str | None]:
    """Wait until no other process is in such a block for the same folder.

    Yields:
        As `lock_file` returns: a reason if the disk has no locks, so that others may be in the block too.
    """
    path = folder / ".being-written"
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        without_locks = lock_file(handle, wait=True)
        with suppress(OSError):  # NFS says so of a file that is gone
            if without_locks or os.fstat(handle).st_nlink:
                break
        os.close(handle)  # the process before has removed this very file
    try:
        yield without_locks
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def _named_as(path: Path, part: Path) -> Iterator[None]:
    """In errors, replace the name of `part`, or of a file in it, by that of `path`, which the user knows."""
    try:
        yield
    except OSError as error:
        if isinstance(error.filename, str | Path) and Path(error.filename).is_relative_to(part):
            error.filename, error.filename2 = str(path / Path(error.filename).relative_to(part)), None
        raise


def plain_name(path: Path) -> str:
    """The last name of a path, also of one such as `.`; a link keeps its own."""
    return Path(os.path.abspath(path)).name


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as comma-separated values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def printable(text: str) -> str:
    r"""A text with names of files in it; bytes in the names that are not UTF-8 are escaped: `caf\xe9.png`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, complete or not at all."""
    atomic_write(path, lambda part: part.write_text(printable(text), encoding="utf-8"))
