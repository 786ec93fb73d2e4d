"""BIDS: the T1w files of a dataset, and the derivative that holds their labels (bids-specification.readthedocs.io)."""

import json
import os
import re
from functools import partial
from pathlib import Path
from urllib.parse import quote

import numpy as np

from oasis_jax import __version__
from oasis_jax.classes import FOREGROUND, NAMES
from oasis_jax.inference.label import Segmentation
from oasis_jax.prediction import images, tables
from oasis_jax.prediction.results import Form
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import plain_name, write_text
from oasis_jax.volumes.finding import InputFile, Problems, find_inputs, stem

VALUES = {"own": (0, 1, 2, 3), "bids": (0, 3, 1, 2)}
"""What stands for each class in a label volume: its own number, or the value that BIDS gives it."""

ABBREVIATIONS = ("BG", "CSF", "GM", "WM")
"""The names that BIDS gives the classes."""

DESCRIPTION, TABLE = "dataset_description.json", "dseg.tsv"

_VERSION = "1.10.0"
"""Of the specification."""

_NAME = re.compile(r"sub-[0-9A-Za-z+]+(_[a-z]+-[0-9A-Za-z+]+)*_T1w\.nii(\.gz)?")


def is_dataset(path: Path) -> bool:
    """Whether a path is the folder of a BIDS dataset."""
    return (path / DESCRIPTION).is_file()


def find(dataset: Path) -> tuple[list[InputFile], Problems]:
    """The T1w files of a dataset, and a sentence about each that cannot be used."""
    paths, problems = [], {}
    for path in sorted((*dataset.glob("sub-*/anat/*_T1w.nii*"), *dataset.glob("sub-*/ses-*/anat/*_T1w.nii*"))):
        start = "_".join(path.relative_to(dataset).parts[:-2])
        if _NAME.fullmatch(path.name) and path.name.startswith(f"{start}_"):
            paths.append(path)
        else:
            problems[path] = f"{path} is not named as BIDS names such a file, {start}_..._T1w.nii.gz: rename it"
    if not paths and not problems:
        problems = {dataset: f"{dataset} is a BIDS folder without T1w files (sub-*/anat/*_T1w.nii.gz)"}
    files, unusable = find_inputs(paths)
    files = [file._replace(name=f"{file.path.relative_to(dataset).parent}/{stem(file.path.name)}") for file in files]
    return files, problems | unusable


def derivative(dataset: Path, folder: Path, values: str) -> Form:
    """The form of the derivative of a dataset in a folder; its label volumes hold one of `VALUES`.

    Raises:
        UserError: the folder is a derivative whose label volumes hold others of `VALUES`.
    """
    table = {name: tables.meanings(each, abbreviation=ABBREVIATIONS) for name, each in VALUES.items()}
    others = [text.encode() for name, text in table.items() if name != values]
    if (folder / TABLE).is_file() and (folder / TABLE).read_bytes() in others:
        raise UserError(f"{folder} holds labels with other values than --values {values}: name another --output.")
    return Form(names, partial(_write, values=VALUES[values]), _common(dataset, folder, table[values]))


def names(file: InputFile, probabilities: bool) -> list[str]:
    """As `Form.names`; the entities of the T1w file (session, acquisition, run ...) are kept."""
    maps = [_named(file, "_dseg"), *(_probability(file, k) for k in FOREGROUND if probabilities)]
    return [f"{name}{ending}" for name in maps for ending in (".nii.gz", ".json")]


def _named(file: InputFile, suffix: str) -> str:
    return file.name.removesuffix("_T1w") + suffix


def _probability(file: InputFile, k: int) -> str:
    """The name of the probability of class `k`; BIDS wants the entity `label` before `desc`."""
    return re.sub(r"(_desc-[^_]*)?$", rf"_label-{ABBREVIATIONS[k]}\1", _named(file, ""), count=1) + "_probseg"


def _write(found: Segmentation, folder: Path, *, values: tuple[int, ...]) -> None:
    """As `Form.write`; the files hold `values` for the classes."""
    file, volume = found.input.source, found.input.volume
    assert volume is not None  # `find` gives no PNG files
    origin = f"bids:raw:{os.path.dirname(file.name)}/{file.path.name}"
    meaning = "; ".join(f"{value} {name}" for value, name in sorted(zip(values, NAMES, strict=True)))

    def save(name: str, content: np.ndarray, what: str, meaning: str = "") -> None:
        images.save_slices(folder / f"{name}.nii.gz", content, found.input.axis, volume, meaning)
        about = {"Description": what, "Sources": [origin], "SpatialReference": origin, "Manual": False}
        write_text(folder / f"{name}.json", _json(about))

    save(_named(file, "_dseg"), np.array(values, np.uint8)[found.classes], f"Tissue labels: {meaning}", meaning)
    if found.probabilities is not None:
        for k in FOREGROUND:
            save(_probability(file, k), found.probabilities[..., k], f"Probability of {NAMES[k]}")


def _json(content: dict[str, object]) -> str:
    return json.dumps(content, indent=2) + "\n"


def _common(dataset: Path, folder: Path, table: str) -> dict[str, str]:
    """As `Form.common`; `table` is the text of `dseg.tsv`."""
    name, link = plain_name(dataset), quote(os.path.relpath(dataset.resolve(), folder.resolve()))
    about = {
        "Name": f"Tissue labels of {name}",
        "BIDSVersion": _VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "oasis_jax", "Version": __version__, "Description": "For research only"}],
        "DatasetLinks": {"raw": link},
    }
    return {
        DESCRIPTION: _json(about),
        TABLE: table,
        ".bidsignore": "*.html\n*.csv\n*_overlay.png\n*_record.json\n",
        "README.md": f"# Tissue labels of {name}\n\n"
        f"`*_dseg.nii.gz` are label volumes ({TABLE} says what their values mean), `*_probseg.nii.gz` probabilities, "
        f"{tables.TISSUE} has millilitres of all scans, and index.html shows them.\n\n"
        f"Made by oasis_jax {__version__}. For research only: not for diagnosis or treatment.\n",
    }
