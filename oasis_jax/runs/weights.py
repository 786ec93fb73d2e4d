"""A model file: the parameters of one network as float16, with the config and the provenance of their run.

The format is safetensors, which holds arrays and text and executes nothing. It has no checksum, so the file holds a
SHA-256 of its text and of its arrays.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from oasis_jax.network import unet
from oasis_jax.runs.checkpoints import digest
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import atomic_write

FILE = "weights.safetensors"
"""Name of the file; its folder has the name of the model."""

SCHEMA = 1
"""Number of the format of the text; increased by a change that could break a reader."""

_ABOUT, _SHA256 = "about", "sha256"


def write_weights(path: Path, about: dict[str, Any], params: Any) -> None:
    """Write a model file, complete or not at all.

    It holds a description of the parameters, as JSON values, and the parameters, nested dictionaries of float32 arrays.

    Raises:
        UserError: a parameter is not finite as float16.
    """
    with np.errstate(over="ignore"):  # the next line checks for it
        arrays = {name: np.asarray(value).astype(np.float16) for name, value in unet.flatten(params).items()}
    if large := [name for name, value in arrays.items() if not np.isfinite(value).all()]:
        raise UserError(f"{large[0]} holds numbers beyond the range of float16: the weights cannot be written.")
    text = json.dumps({"schema": SCHEMA, **about})
    metadata = {_ABOUT: text, _SHA256: _sha256(text, arrays)}
    content = safetensors.numpy.save(arrays, metadata)
    atomic_write(path, lambda part: part.write_bytes(content))


def read_weights(path: Path) -> tuple[dict[str, Any], Any]:
    """The description of the parameters of a model file, and the parameters: nested dictionaries of float32 arrays.

    Raises:
        UserError: the file is damaged or was changed, or another version of the program wrote it.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in list(file.keys())}
        about = json.loads(metadata[_ABOUT])
        if metadata[_SHA256] != _sha256(metadata[_ABOUT], arrays):
            raise ValueError("its content differs from what was written")
        schema = about.pop("schema")
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({str(error).strip() or type(error).__name__}): get it again.") from error
    if schema != SCHEMA:
        raise UserError(f"{path} has format {schema}, and this program reads {SCHEMA}: use the version that wrote it.")
    return about, unet.unflatten({name: value.astype(np.float32) for name, value in arrays.items()})


def _sha256(text: str, arrays: dict[str, np.ndarray]) -> str:
    return hashlib.sha256(f"{text}\n{digest(arrays)}".encode()).hexdigest()
