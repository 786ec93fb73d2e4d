"""One checkpoint on disk: what it holds, and its arrays restored.

A checkpoint holds `params`, `rest` (step and optimizer state) and a `card`: the validation loss, if the step was
validated, and a SHA-256 of each part. Everything that is read is compared with its SHA-256, because Orbax's own
checksums miss damage inside compressed arrays.
"""

import hashlib
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from oasis_jax.runs import arrays
from oasis_jax.runs.state import TrainState
from oasis_jax.system import distributed
from oasis_jax.system.errors import UserError


class CheckpointInfo(NamedTuple):
    """One checkpoint on disk: `loss` is its validation loss, or None if it was saved between validations."""

    step: int
    loss: float | None
    digests: dict[str, str]


class OtherArrays(UserError):
    """A sound checkpoint holds other arrays than the program asks for."""


def digest(tree: Any) -> str:
    """SHA-256 over names, types, shapes and bytes of all leaves of a pytree."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        value = np.asarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)} {value.dtype} {value.shape}\n".encode())
        sha.update(np.ascontiguousarray(value).data)
    return sha.hexdigest()


def restore_parts(folder: Path, info: CheckpointInfo, abstract: dict[str, Any]) -> dict[str, Any]:
    """Restore the named parts (`params`, `rest`) of a checkpoint and check their digests.

    Raises:
        UserError: a part is damaged.
        OtherArrays: names, types or shapes differ from `abstract`.
    """
    if different := _difference(folder / str(info.step), info, abstract):
        raise OtherArrays(
            f"The checkpoint of step {info.step} in {folder} holds other arrays than this program uses "
            f"({different}): use the version and the settings that wrote it, or train again with another --run."
        )
    try:
        parts = arrays.read(folder / str(info.step), abstract)
        if any(digest(part) != info.digests[name] for name, part in parts.items()):
            raise ValueError("the arrays differ from those that were saved")
    except arrays.DAMAGE as error:
        raise UserError(f"The checkpoint of step {info.step} in {folder} is damaged.") from error
    return parts


def _difference(path: Path, info: CheckpointInfo, abstract: dict[str, Any]) -> str | None:
    """The first sound parameter whose name, type or shape differs from `abstract`; None if there is none."""
    if "params" not in abstract:
        return None
    try:
        different = difference(arrays.shapes(path, "params"), abstract["params"])
        # Damage can look like other names, so the parameters must be those that were saved.
        if different and digest(arrays.read(path, {"params": None})["params"]) == info.digests["params"]:
            return different
    except arrays.DAMAGE:
        pass
    return None


def difference(stored: Any, asked: Any) -> str | None:
    """The first parameter whose name, type or shape differs between two pytrees; None if there is none."""
    ours, theirs = _kinds(asked), _kinds(stored)
    if ours == theirs:
        return None
    name = min(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    return f"params{name} is {theirs.get(name, 'absent')}, not {ours.get(name, 'there')}"


def _kinds(tree: Any) -> dict[str, str]:
    """Type and shape of each array, by its name."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): f"{leaf.dtype} {tuple(leaf.shape)}" for path, leaf in leaves}


def parts_of(state: TrainState) -> dict[str, Any]:
    """The parts of a state as a checkpoint holds them."""
    return {"params": state.params, "rest": {"step": state.step, "opt_state": state.opt_state}}


def set_aside(path: Path) -> str:
    """Rename a damaged checkpoint, for all processes, to a free name `damaged-STEP`; return the name."""
    names = (f"damaged-{path.name}{f'-{n}' if n else ''}" for n in itertools.count())
    free = next(name for name in names if not path.with_name(name).exists())
    distributed.barrier()  # all processes have chosen the same name
    if jax.process_index() == 0 and path.exists():
        path.rename(path.with_name(free))
    distributed.barrier()
    return free
