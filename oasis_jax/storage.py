"""Where the program may write and how: one cache folder, and files that appear whole or not at all."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path


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


def write_folder(folder: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` put files into a neighbour of `folder`, which may not exist yet; then it appears at once."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        fill(part)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
