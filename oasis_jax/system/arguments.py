"""Command lines, read by tyro. All paths are on this machine, and `~` stands for the user's home."""

import dataclasses
from pathlib import Path
from typing import Any

import tyro

from oasis_jax.system.errors import UserError


def command_line(kind: Any, **options: Any) -> Any:
    """Parse the command line into a `kind`. Further options go to `tyro.cli`.

    A flag is `--name`; it has the form `--no-name` too where `config` says so, as `()`.

    Raises:
        UserError: a path is in the home of an unknown user.
        SystemExit: the arguments do not fit; tyro has printed why.
    """
    return local(tyro.cli(kind, **{"config": (tyro.conf.FlagCreatePairsOff,), **options}))


def local(value: Any) -> Any:
    """Expand `~` in all paths of the arguments.

    Raises:
        UserError: a path is in the home of an unknown user.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: local(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    if isinstance(value, tuple):
        return tuple(map(local, value))
    if isinstance(value, Path) and value.parts[:1] and value.parts[0].startswith("~"):
        try:
            return value.expanduser()
        except RuntimeError:
            raise UserError(f"{value} is in the home of an unknown user: write the full path, from / on.") from None
    return value
