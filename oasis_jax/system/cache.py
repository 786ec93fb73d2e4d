"""The cache folder: compiled programs, phantoms and stamps of passed checks, kept to save time.

You can delete it at any time. If it cannot be used, everything works without it.
"""

import os
import re
import tempfile
import warnings
from pathlib import Path

_SPACE = 1 << 20
"""Bytes that must be free."""

_ENTRY = re.compile(r"Error (reading|writing) persistent compilation cache entry for '([^']+)': (.*)", re.DOTALL)
"""JAX's warning about an entry that it cannot read or write."""


class CacheWarning(UserWarning):
    """Something could not be kept."""


def folder() -> Path | None:
    """`$OASIS_JAX_CACHE`, or `$XDG_CACHE_HOME/oasis_jax`, or `~/.cache/oasis_jax`.

    None, with a `CacheWarning`, if it is not writable.
    """
    named, above = (os.environ.get(name) for name in ("OASIS_JAX_CACHE", "XDG_CACHE_HOME"))
    try:
        cache = Path(named) if named else Path(above or Path.home() / ".cache") / "oasis_jax"
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache) as file:  # os.access does not notice a full disk
            file.write(bytes(_SPACE))
        return cache
    except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home
        warn(error)
        return None


def compiled() -> Path | None:
    """The folder of JAX's compiled programs; None if the user named another one to JAX, or if there is no cache."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    cache = folder()
    return cache and cache / "compiled"


def warn(error: Exception) -> None:
    """Warn that something could not be kept."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).rstrip(".")
    sentence = f"The cache folder cannot be used ({reason}). This only costs time; OASIS_JAX_CACHE names another one."
    warnings.warn(sentence, CacheWarning, stacklevel=1)


def note(message: Warning | str, category: type[Warning]) -> str | None:
    """The note that a command prints for a warning of the cache, maybe empty; None for other warnings.

    JAX never replaces a kept program that it cannot read, so such a program is removed here.
    """
    if category is CacheWarning:
        return f"Note: {message}"
    if not (match := _ENTRY.match(str(message))):
        return None
    if programs := compiled():
        for entry in programs.glob(f"{match[2]}-*"):
            entry.unlink(missing_ok=True)
    if match[1] == "writing":
        reason = re.search(r"\[Errno \d+\] ([^:]+)", match[3])
        warn(OSError(reason[1] if reason else match[3]))
    return ""
