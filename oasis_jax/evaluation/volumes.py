"""Evaluate networks on whole volumes with label volumes, on the voxels of the volumes."""

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, UInt8

from oasis_jax.data.slices import Slice
from oasis_jax.data.study import Scan, Values, classes_on
from oasis_jax.evaluation.counting import Evaluated, SliceTable, joined, slice_counts
from oasis_jax.evaluation.result import Result, finish
from oasis_jax.geometry import Axis
from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.segment import Segmenter
from oasis_jax.metrics import surface
from oasis_jax.system import console
from oasis_jax.system.errors import UserError, describe
from oasis_jax.volumes.cut import read_inputs
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.frame import volume_grey
from oasis_jax.volumes.nifti import Volume, check_orientation, check_slices, planes, read_volume, slice_spacing


def evaluate_volumes(
    scans: Sequence[Scan], segmenter: Segmenter, *, values: Values, data: str, orientation: str | None = None
) -> tuple[Result, list[str]]:
    """Label volumes, count in each slice how the labels agree with the true ones, and compare surfaces in 3D.

    All labels are checked before the network runs.

    Args:
        scans: T1 volumes and their label volumes.
        segmenter: the networks.
        values: the values of each class in the label volumes.
        data: name of the data, shown in tables.
        orientation: directions of the axes of volumes whose files do not give them, for example "RAS".

    Returns:
        The evaluation, and a sentence about each scan that cannot be used and is left out. There are no surfaces if the
        voxels of a volume are not rectangular.

    Raises:
        UserError: no such orientation; or no scan can be used, and the message lists the problem of each.
    """
    check_orientation(orientation)
    problems: list[str] = []
    framing = segmenter.framing
    read_truth = partial(_read_truth, axis=framing.axis, values=values, orientation=orientation)
    usable: dict[str, Scan] = {}
    for scan in console.track(scans, len(scans), "Checking volumes"):
        try:
            read_truth(scan, read_volume(scan.image, orientation))
            usable[scan.case] = scan
        except Exception as error:
            problems.append(describe(scan.image, error))
    files = [InputFile(scan.image, case) for case, scan in usable.items()]
    inputs = read_inputs(files, framing, orientation, lambda _, sentence: problems.append(sentence))
    segmentations = label(inputs, segmenter, keep_probabilities=True)
    cross_entropy = segmenter.ensemble.runs[0].config.optim.cross_entropy
    volumes: dict[str, Evaluated] = {}
    for segmentation in console.track(segmentations, len(usable), "Evaluating volumes"):  # grouped by size of frame
        file, volume = segmentation.input.source, segmentation.input.volume
        for note in segmentation.input.notes:
            console.say(f"{file.path}: {note}")
        try:
            assert volume is not None
            truth = read_truth(usable[file.name], volume)
            volumes[file.name] = _evaluated(usable[file.name], volume, segmentation, truth, cross_entropy)
        except Exception as error:
            problems.append(describe(file.path, error))
    if not volumes:
        raise UserError("\n".join(["None of the volumes can be evaluated:", *(f"  {problem}" for problem in problems)]))
    evaluated = _joined([volume for _, volume in sorted(volumes.items())])
    caveats = _caveats(segmenter, evaluated, len(problems), len(scans))
    digest = _fingerprint([scan for scan in scans if scan.case in volumes])
    result = finish(segmenter.ensemble, evaluated, data=data, split="volumes", fingerprint=digest, caveats=caveats)
    return result, problems


def _caveats(segmenter: Segmenter, evaluated: Evaluated, failed: int, scans: int) -> list[str]:
    """What a reader of the scores of whole volumes must know."""
    caveats = []
    if (heights := segmenter.trained.cut.heights) is not None:
        caveats.append(
            f"Training saw slices from {heights[0]:.2f} to {heights[1]:.2f} of the brain's height. These are whole "
            "volumes; at other heights the labels are unreliable."
        )
    if failed:
        caveats.append(f"{failed} of {scans} scans could not be evaluated and are left out.")
    if evaluated.surfaces is None:
        caveats.append("Surfaces are not compared, because the voxels of a volume are not rectangular.")
    return caveats


def _joined(volumes: Sequence[Evaluated]) -> Evaluated:
    """The evaluation of several volumes, from that of each; they come sorted by case."""
    surfaces = [volume.surfaces for volume in volumes]
    return Evaluated(
        pairs=[pair for volume in volumes for pair in volume.pairs],
        subjects={case: subject for volume in volumes for case, subject in volume.subjects.items()},
        slices=[pair for volume in volumes for pair in volume.slices],
        predictions=[classes for volume in volumes for classes in volume.predictions],
        table=joined([volume.table for volume in volumes]),
        surfaces=None if None in surfaces else joined(surfaces),
        spacing={case: spacing for volume in volumes for case, spacing in volume.spacing.items()},
        whole=True,
    )


def _evaluated(
    scan: Scan,
    volume: Volume,
    found: Segmentation,
    truth: UInt8[np.ndarray, "slices rows columns"],
    cross_entropy: float,
) -> Evaluated:
    """The evaluation of one volume, its slices in order."""
    axis, probabilities = found.input.axis, found.probabilities
    assert probabilities is not None
    mm = slice_spacing(volume, axis)
    in_3d = (mm[2], mm[0], mm[1])
    return Evaluated(
        pairs=[Slice(scan.case, k, scan.image, scan.label) for k in range(len(truth))],
        subjects={scan.case: scan.subject},
        slices=list(zip(volume_grey(planes(volume.values, axis)), truth, strict=True)),
        predictions=list(found.classes),
        table=count(truth, probabilities, cross_entropy),
        surfaces=surface.table([surface.row(truth, found.classes, in_3d)]) if volume.rectangular else None,
        spacing={scan.case: mm},
        whole=True,
    )


def _read_truth(
    scan: Scan, image: Volume, *, axis: Axis, values: Values, orientation: str | None
) -> UInt8[np.ndarray, "slices rows columns"]:
    """The true classes of the slices of a volume, from its label volume.

    Raises:
        UserError: as `check_slices`, `read_volume` and `classes_on`, or there is no brain in the labels.
    """
    check_slices(image, axis)
    truth = planes(classes_on(image, read_volume(scan.label, orientation), values), axis)
    if not truth.any():
        raise UserError(f"{scan.label} labels no brain: is it the right file?")
    return truth


def _fingerprint(scans: Sequence[Scan]) -> str:
    """SHA-256 of the names and files of all scans."""
    digest = hashlib.sha256()
    for scan in scans:
        digest.update(os.fsencode(scan.case) + b"\0")
        for path in (scan.image, scan.label):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def count(
    truth: UInt8[np.ndarray, "slices rows columns"],
    probabilities: Float32[np.ndarray, "slices rows columns 4"],
    cross_entropy: float,
) -> SliceTable:
    """Losses and counts of the slices of a volume; `cross_entropy` is its weight in the loss."""
    pairs = zip(probabilities, truth, strict=True)
    return joined([jax.device_get(_count_slice(p[None], t[None], cross_entropy)) for p, t in pairs])


@partial(jax.jit, static_argnums=2)
def _count_slice(probability: Any, truth: Any, cross_entropy: float) -> SliceTable:
    return slice_counts(jnp.log(jnp.maximum(probability, jnp.finfo(jnp.float32).tiny)), truth, cross_entropy)[0]
