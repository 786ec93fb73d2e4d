"""Where the program may write and how: one cache folder, and files that appear whole or not at all."""

import csv
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """`$OASIS_JAX_CACHE`, or `$XDG_CACHE_HOME/oasis_jax`, or `~/.cache/oasis_jax`.

    It holds what can be made again (compiled programs, phantoms, stamps of passed checks) and is safe to delete.
    """
    if named := os.environ.get("OASIS_JAX_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "oasis_jax"


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a neighbour of `path`, then put it in place at once, safe against a crash of the machine."""
    part = path.with_name(f".{os.getpid()}.{threading.get_ident()}.{path.name[-20:]}")  # the end says what kind it is
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_folder(folder: Path, fill: Callable[[Path], object], replace: bool = False) -> None:
    """Let `fill` put files into a neighbour of `folder`; then it appears at once, in place of an older one if asked.

    Raises:
        OSError: the folder exists, holds something, and is not to be replaced.
    """
    part, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{kind}") for kind in ("part", "old"))
    part.mkdir(parents=True)
    try:
        fill(part)
        if replace and folder.exists():
            folder.rename(old)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as comma-separated values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
