"""A run folder: its files and what it records; and the folder of a model without its training.

`config.json` (config and provenance), `checkpoints/`, `metrics.jsonl`, `curves.png`, TensorBoard events in
`tensorboard/`, and `evaluation/SPLIT/`. A run holds no absolute path but that of its data, so it can be moved.
"""

import json
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax

from oasis_jax import __version__
from oasis_jax import config as config_module
from oasis_jax.config import Config
from oasis_jax.runs import arrays
from oasis_jax.runs.checkpoints import CheckpointInfo, Checkpoints, digest
from oasis_jax.runs.lock import lock
from oasis_jax.runs.weights import FILE, read_weights
from oasis_jax.system import distributed, records
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import plain_name, write_text

_CHECKPOINTS, _CONFIG = "checkpoints", "config.json"

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow")


class Weights(NamedTuple):
    """The parameters of a model file."""

    checkpoint: CheckpointInfo
    """The one that they were taken from; the digest is that of these parameters."""
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
        return self.folder / _CHECKPOINTS

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

    @staticmethod
    def load(path: Path) -> "Run":
        """Read a run folder, or a model: its folder or its file. The config names the folder where it now lies.

        Raises:
            UserError: there is no run and no model; a file is damaged; or another version wrote it, with more settings.
        """
        folder = path.parent if path.is_file() and path.name == FILE else path
        if _is_run(folder):
            return _parse(folder / _CONFIG)
        if (folder / FILE).is_file():
            about, params = read_weights(folder / FILE)
            run, known = _parse(folder / FILE, about), about["checkpoint"]
            checkpoint = CheckpointInfo(known["step"], known["loss"], {"params": digest(params)})
            return run._replace(weights=Weights(checkpoint, known.get("lowest_confidence"), params))
        state = f"it has no config.json and no {FILE}" if folder.is_dir() else f"there is no folder {folder.absolute()}"
        raise UserError(
            f"{folder} is not a run: {state}. Name the folder of a run; `pretrained` and `pretrained-slices` come with "
            "the program."
        )

    @staticmethod
    def started(settings: Config) -> "Run | None":
        """The run that has checkpoints in the folder that settings name; None if there is none.

        It has these settings where they may differ from those that it was started with.

        Raises:
            UserError: no checkpoint can be kept there; the run is damaged or was started with other settings; or the
                folder holds other files.
        """
        folder = settings.run
        arrays.check_folder(folder)
        if not _is_run(folder):  # what was killed before it started leaves hidden files and no checkpoint
            if others := [name for name in sorted(_names(folder)) if name != _CHECKPOINTS and name[0] != "."]:
                raise UserError(
                    f"{folder} is not a run and holds other files ({others[0]}): name a new folder with --run."
                )
            return None
        damaged = any(name.startswith("damaged-") for name in _names(folder / _CHECKPOINTS))
        if not (_saved(folder) or damaged or (folder / "evaluation").exists()):  # it has learned nothing
            return None
        run = _parse(folder / _CONFIG)
        if changed := config_module.differences(run.config, settings):
            longer = any(name.startswith(("train.epochs:", "train.steps:")) for name in changed)
            raise UserError(
                f"{folder} was started with other settings ({'; '.join(changed)}): "
                "name another --run, or repeat the old settings to resume."
                + (f" To train it further, add --init {folder} to another --run." if longer else "")
            )
        return run._replace(config=settings) if _saved(folder) else None

    @staticmethod
    def new(config: Config, data: dict[str, Any]) -> "Run":
        """A run that starts now; nothing is written yet.

        `data` is what there is to remember of the slices: `data_fingerprints`, `slice_size`, and what prediction asks
        for.
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
        return Run(config.run, config, provenance)

    def save(self) -> None:
        """Make the folder of the run where there is none, and write its `config.json`. All processes must call it.

        Raises:
            UserError: a process does not see what process 0 wrote.
        """
        content = {"config": records.to_json(self.config), "provenance": self.provenance}
        path, text = self.folder / _CONFIG, json.dumps(content, indent=2) + "\n"
        if jax.process_index() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
        text = distributed.broadcast(text)
        if not distributed.appears(lambda: path.is_file() and path.read_text(encoding="utf-8") == text, self.folder):
            raise UserError(
                f"{self.folder} is not the folder that process 0 sees: name a --run on a disk that all share."
            )

    @contextmanager
    def opened(self) -> Iterator[Checkpoints]:
        """Hold the run for this command alone, in all its processes, and write its `config.json` again.

        Yields:
            Its checkpoints.

        Raises:
            UserError: another command is training this run, or has trained one in this folder since this was read; or
                a process does not see what process 0 wrote.
        """
        with lock(self.folder):
            another = _saved(self.folder) and _parse(self.folder / _CONFIG).provenance != self.provenance
            if jax.process_index() == 0 and another:
                raise UserError(f"{self.folder} was just trained by another process: start the same command again.")
            self.save()
            yield Checkpoints(self.checkpoints)


def versions() -> dict[str, str]:
    """Of Python, this package and the libraries it stands on."""
    own = {"python": platform.python_version(), "oasis_jax": __version__}
    return own | {name: version(name) for name in _PACKAGES}


def _is_run(folder: Path) -> bool:
    """Whether a run was started in a folder.

    Raises:
        UserError: there are checkpoints but no config.json to say of what.
    """
    is_run = (folder / _CONFIG).is_file()
    if not is_run and _names(folder / _CHECKPOINTS):
        raise UserError(f"{folder} holds checkpoints but no config.json: put it back, or name another --run.")
    return is_run


def _saved(folder: Path) -> bool:
    """Whether there are checkpoints, sound or not."""
    return any(name.isdecimal() for name in _names(folder / _CHECKPOINTS))


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _parse(path: Path, content: Any = None) -> Run:
    """The run that a file describes: a JSON file, or another one with this content."""
    writer = None
    try:
        if content is None:
            content = json.loads(path.read_text(encoding="utf-8"))
        values, provenance = content["config"] | {"run": str(path.parent)}, content["provenance"]
        writer = provenance["versions"]["oasis_jax"] if "versions" in provenance else None
        dict(provenance["data_fingerprints"]).values()  # training and evaluation compare them
        if [type(side) for side in provenance["slice_size"]] != [int, int]:
            raise ValueError(f"slice_size is {provenance['slice_size']}")
        return Run(path.parent, config_module.validate(config_module.from_json(values)), provenance)
    except (ValueError, KeyError, TypeError, UserError) as error:
        if writer in (None, __version__):
            mend = "get it again" if path.name == FILE else "put it back or train anew"
            raise UserError(f"{path} is damaged ({error}): {mend}.") from error
        raise UserError(
            f"{path} was written by oasis_jax {writer} and cannot be read by {__version__} ({error}): use that version."
        ) from error
