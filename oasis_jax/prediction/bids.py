"""BIDS: the T1w files of a dataset, and the derivative that holds their labels (bids-specification.readthedocs.io)."""

import json
import os
import re
from functools import partial
from pathlib import Path
from urllib.parse import quote

import nibabel as nib
import numpy as np
from nibabel import nifti1

from oasis_jax import __version__
from oasis_jax.classes import COLOURS, FOREGROUND, NAMES
from oasis_jax.inference.label import Segmentation
from oasis_jax.prediction import outputs
from oasis_jax.prediction.destination import Form
from oasis_jax.prediction.summary import FileSummary
from oasis_jax.runs.trained import Trained
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import atomic_write, plain_name, write_text
from oasis_jax.volumes.finding import InputFile, find_inputs, stem
from oasis_jax.volumes.nifti import stacked, write_volume

VALUES = {"own": (0, 1, 2, 3), "bids": (0, 3, 1, 2)}
"""What stands for each class in a label volume: its own number, or the value that BIDS gives it."""

ABBREVIATIONS = ("BG", "CSF", "GM", "WM")
"""The names that BIDS gives the classes."""

DESCRIPTION, TABLE, IGNORED, README = "dataset_description.json", "dseg.tsv", ".bidsignore", "README.md"

_VERSION = "1.10.0"
"""Of the specification."""

_NAME = re.compile(r"sub-[0-9A-Za-z+]+(_[a-z]+-[0-9A-Za-z+]+)*_T1w\.nii(\.gz)?")


def is_dataset(path: Path) -> bool:
    """Whether a path is the folder of a BIDS dataset."""
    return (path / DESCRIPTION).is_file()


def find(dataset: Path) -> tuple[list[InputFile], list[str]]:
    """The T1w files of a dataset, and a sentence about each that cannot be used."""
    paths, problems = [], []
    for path in sorted((*dataset.glob("sub-*/anat/*_T1w.nii*"), *dataset.glob("sub-*/ses-*/anat/*_T1w.nii*"))):
        start = "_".join(path.relative_to(dataset).parts[:-2])
        if _NAME.fullmatch(path.name) and path.name.startswith(f"{start}_"):
            paths.append(path)
        else:
            problems.append(f"{path} is not named as BIDS names such a file, {start}_..._T1w.nii.gz: rename it")
    if not paths and not problems:
        problems = [f"{dataset} is a BIDS folder without T1w files (sub-*/anat/*_T1w.nii.gz)"]
    files, unusable = find_inputs(paths)
    files = [file._replace(name=f"{file.path.relative_to(dataset).parent}/{stem(file.path.name)}") for file in files]
    return files, problems + unusable


def check_values(folder: Path, values: str) -> None:
    """Raise `UserError` if a folder is a derivative whose label volumes hold others of `VALUES`."""
    others = [label_table(VALUES[name]) for name in VALUES if name != values]
    if (folder / TABLE).is_file() and (folder / TABLE).read_bytes() in [table.encode() for table in others]:
        raise UserError(f"{folder} holds labels with other values than --values {values}: name another --output.")


def derivative(dataset: Path, values: str) -> Form:
    """The form of the derivative of a dataset; its label volumes hold one of `VALUES`."""
    return Form(
        names,
        partial(_write, values=VALUES[values]),
        (DESCRIPTION, TABLE, IGNORED, README),
        partial(_describe, source=dataset, values=VALUES[values]),
    )


def names(file: InputFile, probabilities: bool) -> list[str]:
    """As `Form.names`; the entities of the T1w file (session, acquisition, run ...) are kept."""
    maps = [_named(file, "_dseg"), *(_probability(file, k) for k in FOREGROUND if probabilities)]
    pages = [f"{file.name}_overlay.png", f"{file.name}{outputs.PAGE}"]
    return [f"{name}{ending}" for name in maps for ending in (".nii.gz", ".json")] + pages


def label_table(values: tuple[int, ...]) -> str:
    """The content of `dseg.tsv`: the meaning of each value, in the order of the values."""
    colours = ["#{:02X}{:02X}{:02X}".format(*colour) for colour in COLOURS]
    rows = sorted(zip(values, NAMES, ABBREVIATIONS, colours, strict=True))
    return "".join("\t".join(map(str, row)) + "\n" for row in (("index", "name", "abbreviation", "color"), *rows))


def description(source: str, link: str) -> dict[str, object]:
    """The content of `dataset_description.json`.

    Args:
        source: name of the dataset with the T1w files.
        link: its place as a URI, relative to the derivative.
    """
    return {
        "Name": f"Tissue labels of {source}",
        "BIDSVersion": _VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "oasis_jax", "Version": __version__, "Description": "For research only"}],
        "DatasetLinks": {"raw": link},
    }


def _named(file: InputFile, suffix: str) -> str:
    return file.name.removesuffix("_T1w") + suffix


def _probability(file: InputFile, k: int) -> str:
    """The name of the probability of class `k`; BIDS wants the entity `label` before `desc`."""
    return re.sub(r"(_desc-[^_]*)?$", rf"_label-{ABBREVIATIONS[k]}\1", _named(file, ""), count=1) + "_probseg"


def _write(
    segmentation: Segmentation, summary: FileSummary, folder: Path, trained: Trained, *, values: tuple[int, ...]
) -> None:
    """As `Form.write`; the files hold `values` for the classes."""
    file, volume, axis = segmentation.input.source, segmentation.input.volume, trained.cut.axis
    assert volume is not None  # `find` gives no PNG files
    origin = f"bids:raw:{os.path.dirname(file.name)}/{file.path.name}"
    meaning = "; ".join(f"{value} {name}" for value, name in sorted(zip(values, NAMES, strict=True)))

    def save(name: str, content: np.ndarray, what: str) -> None:
        def write(part: Path) -> None:
            write_volume(part, stacked(content, axis), volume)
            if content.dtype == np.uint8:
                _mark_as_labels(part, meaning)

        atomic_write(folder / f"{name}.nii.gz", write)
        about = {"Description": what, "Sources": [origin], "SpatialReference": origin, "Manual": False}
        _write_json(folder / f"{name}.json", about)

    save(_named(file, "_dseg"), np.array(values, np.uint8)[segmentation.classes], f"Tissue labels: {meaning}")
    if segmentation.probabilities is not None:
        for k in FOREGROUND:
            save(_probability(file, k), segmentation.probabilities[..., k], f"Probability of {NAMES[k]}")
    outputs.write_overlay(folder / f"{file.name}_overlay.png", segmentation, summary, axis)


def _mark_as_labels(path: Path, meaning: str) -> None:
    """Give a volume the intent of labels, and a comment on what the values mean."""
    image = nib.load(path)
    assert isinstance(image, nib.Nifti1Image)
    image = type(image)(np.asarray(image.dataobj), image.affine, image.header)
    image.header.set_intent("label", name="tissue")
    image.header.extensions.append(nifti1.Nifti1Extension("comment", meaning.encode()))
    nib.save(image, path)


def _write_json(path: Path, content: dict[str, object]) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")


def _describe(folder: Path, *, source: Path, values: tuple[int, ...]) -> None:
    link = quote(os.path.relpath(source.resolve(), folder.resolve()))
    _write_json(folder / DESCRIPTION, description(plain_name(source), link))
    write_text(folder / TABLE, label_table(values))
    write_text(folder / IGNORED, "*.html\n*.csv\n*_overlay.png\n*_record.json\n")
    write_text(
        folder / README,
        f"# Tissue labels of {plain_name(source)}\n\n"
        f"`*_dseg.nii.gz` are label volumes ({TABLE} says what their values mean), `*_probseg.nii.gz` probabilities, "
        f"{outputs.TISSUE} has millilitres of all scans, and index.html shows them.\n\n"
        f"Made by oasis_jax {__version__}. For research only: not for diagnosis or treatment.\n",
    )
