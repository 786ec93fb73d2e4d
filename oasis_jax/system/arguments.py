"""Command lines: read by tyro; paths are on this machine, and `~` is the user's home in all of them."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import tyro

from oasis_jax.system.errors import UserError

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/+(.*)", re.DOTALL)


def command_line(kind: Any, **options: Any) -> Any:
    """What the command line says, as `kind`; further options are those of `tyro.cli`.

    Raises:
        UserError: a path is a URL, or of a home that nobody has.
        SystemExit: the words do not fit; tyro has said so.
    """
    return local(tyro.cli(kind, **options))


def local(value: Any) -> Any:
    """Arguments with every path on this machine.

    Raises:
        UserError: a path is a URL, or of a home that nobody has.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: local(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    if isinstance(value, tuple):
        return tuple(map(local, value))
    if isinstance(value, str | Path) and (url := _URL.fullmatch(str(value))):
        mend = f"say /{url[2].lstrip('/')}" if url[1] == "file" else "copy or mount it, and name the folder it then has"
        raise UserError(f"{url[1]}://{url[2]} is a URL, and files are read and written on this machine only: {mend}.")
    if isinstance(value, Path) and value.parts[:1] and value.parts[0].startswith("~"):
        try:
            return value.expanduser()
        except RuntimeError:
            raise UserError(f"{value} lies in a home that cannot be found: write the path from / on.") from None
    return value
