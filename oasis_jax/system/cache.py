"""The cache folder: what can be made again (compiled programs, phantoms, stamps of passed checks), kept to save time.

It is safe to delete, and where it cannot be used all works without it.
"""

import os
import re
import tempfile
import warnings
from pathlib import Path

_ROOM = 1 << 20
"""Bytes that there must be room for."""

_ENTRY = re.compile(r"Error (reading|writing) persistent compilation cache entry for '([^']+)': (.*)", re.DOTALL)
"""What JAX warns of."""


class CacheWarning(UserWarning):
    """Nothing could be kept."""


def folder() -> Path | None:
    """`$OASIS_JAX_CACHE`, or `$XDG_CACHE_HOME/oasis_jax`, or `~/.cache/oasis_jax`.

    None, with a `CacheWarning`, where it cannot be written to.
    """
    try:
        cache = _named()
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache) as file:  # os.access knows nothing of full disks
            file.write(bytes(_ROOM))
        return cache
    except (OSError, RuntimeError) as error:
        warn(error)
        return None


def compiled() -> Path | None:
    """Where JAX keeps compiled programs; None where the user has named another place to JAX, or there is no cache."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    cache = folder()
    return cache and cache / "compiled"


def warn(error: Exception) -> None:
    """Warn that something could not be kept."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).rstrip(".")
    _warn(reason)


def tell(message: Warning | str, category: type[Warning]) -> str | None:
    """What a command says of a warning, if it is one of the cache; None of others.

    JAX never replaces a program that it kept but cannot read, so that one is removed here.
    """
    if category is CacheWarning:
        return f"Note: {message}"
    if not (found := _ENTRY.match(str(message))):
        return None
    if place := compiled():
        for entry in place.glob(f"{found[2]}-*"):
            entry.unlink(missing_ok=True)
    if found[1] == "writing":
        reason = re.search(r"\[Errno \d+\] ([^:]+)", found[3])
        _warn(reason[1] if reason else found[3])
    return ""


def _named() -> Path:
    """The folder, there or not; RuntimeError where the user has no home."""
    if named := os.environ.get("OASIS_JAX_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oasis_jax"


def _warn(reason: str) -> None:
    told = f"Nothing can be kept in the cache folder ({reason}), which costs time only; OASIS_JAX_CACHE names another."
    warnings.warn(told, CacheWarning, stacklevel=1)
