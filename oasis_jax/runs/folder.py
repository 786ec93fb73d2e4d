"""A run folder: its files, what it records, who may write to it; and the folder of a model without its training.

`config.json` (config and provenance), `checkpoints/`, `metrics.jsonl`, `curves.png`, TensorBoard events in
`tensorboard/`, and `evaluation/SPLIT/`. A run holds no absolute path but that of its data, so it can be moved.
"""

import json
import os
import platform
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax

from oasis_jax import __version__
from oasis_jax import config as config_module
from oasis_jax.config import Config
from oasis_jax.runs.weights import FILE, read_weights
from oasis_jax.system import console, distributed
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import lock_file, plain_name, write_text

CHECKPOINTS = "checkpoints"
"""Name of the folder of checkpoints in a run."""

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow")


class Weights(NamedTuple):
    """The parameters of a model file."""

    step: int
    """Of the checkpoint that they were taken from."""
    loss: float | None
    """Its validation loss."""
    confidence: float | None
    """As `history.Validation.lowest_confidence`."""
    params: Any
    """Nested dictionaries of float32 arrays."""


class Run(NamedTuple):
    """A run on disk: its folder, its config, and what it recorded about its making."""

    folder: Path
    config: Config
    provenance: dict[str, Any]
    weights: Weights | None = None
    """Its parameters, where the folder holds a model file and not a training."""

    @property
    def name(self) -> str:
        return plain_name(self.folder)

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the slices it is trained on."""
        rows, columns = self.provenance["slice_size"]
        return rows, columns

    @property
    def shape(self) -> tuple[int, int, int]:
        """(rows, columns, channels) of what its network sees: a slice and its neighbours."""
        return *self.size, self.config.data.channels

    @property
    def checkpoints(self) -> Path:
        return self.folder / CHECKPOINTS

    @property
    def curves(self) -> Path:
        return self.folder / "curves.png"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    def at_data(self, root: Path | None) -> "Run":
        """The same run, reading its slices from elsewhere."""
        return self._replace(
            config=replace(self.config, data=replace(self.config.data, root=root, join=(), leave_out=()))
        )

    def evaluation(self, split: str) -> Path:
        """Folder of the evaluation of a split. For a model it is in the current folder, not beside the weights."""
        return Path(f"{self.name}-{split}") if self.weights else self.folder / "evaluation" / split


def versions() -> dict[str, str]:
    """Of Python, this package and the libraries it stands on."""
    own = {"python": platform.python_version(), "oasis_jax": __version__}
    return own | {name: version(name) for name in _PACKAGES}


def create(config: Config, data: dict[str, Any]) -> Run:
    """Make the run folder and write `config.json`; the folder must not hold one yet.

    `data` is what there is to remember of the slices: `data_fingerprints`, `slice_size`, and what prediction asks for.
    """
    provenance = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "versions": versions(),
        "devices": [str(device.device_kind) for device in jax.devices()],
        "processes": jax.process_count(),
        "seed": config.train.seed,
        **data,
    }
    run = Run(config.run, config, provenance)
    save(run)
    return run


def save(run: Run) -> None:
    """Write a run's `config.json`."""
    if jax.process_index() == 0:
        run.folder.mkdir(parents=True, exist_ok=True)
        content = {"config": config_module.to_json(run.config), "provenance": run.provenance}
        write_text(run.folder / "config.json", json.dumps(content, indent=2) + "\n")


def exists(folder: Path) -> bool:
    """Whether a run was started in this folder.

    Raises:
        UserError: there are checkpoints but no config.json to say of what.
    """
    started = (folder / "config.json").is_file()
    if not started and (folder / CHECKPOINTS).is_dir() and any((folder / CHECKPOINTS).iterdir()):
        raise UserError(f"{folder} holds checkpoints but no config.json: put it back, or name another --run.")
    return started


def check_free(folder: Path) -> None:
    """Refuse a folder of other files. A run that was killed before it started leaves hidden files and no checkpoint.

    Raises:
        UserError: there are other files.
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if others := [name for name in names if name != CHECKPOINTS and not name.startswith(".")]:
        raise UserError(f"{folder} is no run and holds other files ({others[0]}): name a new folder with --run.")


def load(folder: Path) -> Run:
    """Read a run folder, or the folder of a model; the config names the folder where it now lies.

    Raises:
        UserError: the folder holds no run and no model; a file is damaged; or a later version wrote it, with more
            settings.
    """
    if exists(folder):
        return _parse(folder / "config.json", lambda path: json.loads(path.read_text(encoding="utf-8")))
    if (folder / FILE).is_file():
        about, params = read_weights(folder / FILE)
        run = _parse(folder / FILE, lambda path: about)
        checkpoint = about["checkpoint"]
        weights = Weights(checkpoint["step"], checkpoint["loss"], checkpoint.get("lowest_confidence"), params)
        return run._replace(weights=weights)
    state = f"it has no config.json and no {FILE}" if folder.is_dir() else f"there is no folder {folder.absolute()}"
    raise UserError(
        f"{folder} is not a run: {state}. Name the folder of a run; `pretrained` is the model that comes with the "
        "program."
    )


def _parse(path: Path, read: Callable[[Path], Any]) -> Run:
    """The run that a file describes."""
    provenance: dict[str, Any] = {}
    try:
        content = read(path)
        values = content["config"] | {"run": str(path.parent)}
        provenance = content["provenance"]
        dict(provenance["data_fingerprints"]).values()  # training and evaluation compare them
        if [type(side) for side in provenance["slice_size"]] != [int, int]:
            raise ValueError(f"slice_size is {provenance['slice_size']}")
        return Run(path.parent, config_module.validate(config_module.from_json(values)), provenance)
    except config_module.UnknownSetting as error:
        raise UserError(_unknown(path, provenance.get("versions"), error)) from error
    except (ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(_damaged(path, error)) from error


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} is damaged ({error}): {'get it again' if path.name == FILE else 'put it back or train anew'}."


def _unknown(path: Path, wrote: Any, error: config_module.UnknownSetting) -> str:
    """What to say of settings that this version lacks: another one wrote them, or somebody changed the file."""
    writer = wrote.get("oasis_jax") if isinstance(wrote, dict) else None
    if writer in (None, __version__):
        return _damaged(path, error)
    names = f"a setting {error.names[0]}" if len(error.names) == 1 else f"settings {', '.join(error.names)}"
    return f"{path} was written by oasis_jax {writer}, which has {names} that this version lacks: use that version."


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the run for this command alone, in all its processes. The system frees the lock however it ends.

    On a disk without locks a note says so, and the command goes on.

    Raises:
        UserError: another command is training this run, or a process does not see the folder that process 0 sees.
    """
    if jax.process_index():
        _check_shared(folder, distributed.broadcast(None))
        distributed.barrier()
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            without_locks = lock_file(handle)
        except BlockingIOError:
            raise UserError(f"{folder} is being trained by another process: wait, or name another --run.") from None
        if without_locks:
            console.say(
                f"Note: {folder} lies on a disk without locks ({without_locks}), so a second process that trains this "
                "run would not be stopped: start it only once."
            )
        token = secrets.token_hex(16)
        os.ftruncate(handle, 0)
        os.pwrite(handle, token.encode(), 0)
        os.fsync(handle)
        distributed.broadcast(token)
        distributed.barrier()  # all have found it
        yield
    finally:
        os.close(handle)


def _check_shared(folder: Path, token: str) -> None:
    """Checkpoints are written by one process and read by all."""
    deadline = time.monotonic() + distributed.SHARED_SECONDS
    while True:
        with suppress(OSError):
            os.listdir(folder.parent)  # a network file system looks again
            if (folder / ".lock").read_text() == token:
                return
        if time.monotonic() > deadline:
            raise UserError(f"{folder} is not the folder that process 0 sees: name a --run on a disk that all share.")
        time.sleep(0.2)
