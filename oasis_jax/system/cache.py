"""The cache folder: compiled programs, phantoms and stamps of passed checks, kept to save time.

You can delete it at any time. If it cannot be used, everything works without it.
"""

import functools
import os
import sys
import tempfile
from pathlib import Path


def folder() -> Path | None:
    """`$OASIS_JAX_CACHE`, or `$XDG_CACHE_HOME/oasis_jax`, or `~/.cache/oasis_jax`.

    None, with a note, if it is not writable.
    """
    named, above = (os.environ.get(name) for name in ("OASIS_JAX_CACHE", "XDG_CACHE_HOME"))
    try:
        cache = Path(named) if named else Path(above or Path.home() / ".cache") / "oasis_jax"
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache) as file:
            file.write(bytes(1 << 20))  # os.access does not notice a full disk
        return cache
    except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home
        cannot_be_used(error)
        return None


def cannot_be_used(error: Exception) -> None:
    """Say that something could not be kept, once for each reason."""
    _say(error.strerror if isinstance(error, OSError) and error.strerror else str(error).rstrip("."))


@functools.cache
def _say(reason: str) -> None:
    sentence = f"The cache folder cannot be used ({reason}). This only costs time; OASIS_JAX_CACHE names another one."
    print(f"Note: {sentence}", file=sys.stderr)
