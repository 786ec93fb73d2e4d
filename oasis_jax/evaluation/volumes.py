"""Evaluate networks on whole volumes with label volumes, on the voxels of the volumes."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, UInt8

from oasis_jax.data.slices import Slice
from oasis_jax.data.study import Scan, Values, classes_on
from oasis_jax.evaluation.evaluated import Evaluated
from oasis_jax.evaluation.result import Result, finish
from oasis_jax.evaluation.score import SliceTable, score_logits, tabulate
from oasis_jax.geometry import Axis
from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.segment import Segmenter
from oasis_jax.metrics import surface
from oasis_jax.metrics.surface import SurfaceTable
from oasis_jax.system.console import Tracker
from oasis_jax.system.errors import UserError, describe
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.frame import volume_grey
from oasis_jax.volumes.inputs import read_inputs
from oasis_jax.volumes.nifti import Volume, check_slices, planes, read_volume, slice_spacing


def evaluate_volumes(
    scans: Sequence[Scan],
    segmenter: Segmenter,
    *,
    values: Values,
    data: str,
    track: Tracker,
    tell: Callable[[str], None] = print,
    orientation: str | None = None,
) -> tuple[Result, list[str]]:
    """Label volumes, count in each slice how the labels agree with the true ones, and compare surfaces in 3D.

    Args:
        scans: T1 volumes and their label volumes.
        segmenter: the networks.
        values: the values of each class in the label volumes.
        data: name of the data, shown in tables.
        track: shows progress.
        tell: shows a sentence that the user should know about a scan.
        orientation: directions of the axes of volumes whose files do not give them, for example "RAS".

    Returns:
        The evaluation, and a sentence about each scan that cannot be used and is left out. There are no surfaces if the
        voxels of a volume are not rectangular. All labels are checked before the network runs.

    Raises:
        UserError: no scan can be used; the message lists the problem of each.
    """
    problems: list[str] = []
    framing = segmenter.framing
    usable = _usable_scans(track(scans, len(scans), "Checking volumes"), framing.axis, values, orientation, problems)
    files = [InputFile(scan.image, case) for case, scan in usable.items()]
    inputs = read_inputs(files, framing, orientation, lambda _, sentence: problems.append(sentence))
    segmentations = label(inputs, segmenter, keep_probabilities=True)
    cross_entropy = segmenter.ensemble.runs[0].config.optim.cross_entropy
    scored: dict[str, _Scored] = {}
    for segmentation in track(segmentations, len(usable), "Evaluating volumes"):  # grouped by the size of their frames
        file = segmentation.input.source
        for note in segmentation.input.notes:
            tell(f"{file.path}: {note}")
        try:
            scan = usable[file.name]
            scored[file.name] = _score(scan, segmentation, framing.axis, values, cross_entropy, orientation)
        except Exception as error:
            problems.append(describe(file.path, error))
    if not scored:
        raise UserError("\n".join(["None of the volumes can be evaluated:", *(f"  {problem}" for problem in problems)]))
    evaluated = _joined(scored, {case: usable[case].subject for case in scored})
    used = [scan for scan in scans if scan.case in scored]
    caveats = _caveats(segmenter, evaluated, len(problems), len(scans))
    digest = fingerprint(used, track)
    return finish(
        segmenter.ensemble, evaluated, data=data, split="volumes", fingerprint=digest, caveats=caveats
    ), problems


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


def _usable_scans(
    scans: Iterable[Scan], axis: Axis, values: Values, orientation: str | None, problems: list[str]
) -> dict[str, Scan]:
    """The scans with sound files, by case; for each other scan a sentence is added to `problems`."""
    usable: dict[str, Scan] = {}
    for scan in scans:
        try:
            read_truth(scan, read_volume(scan.image, orientation), axis, values, orientation)
            usable[scan.case] = scan
        except Exception as error:
            problems.append(describe(scan.image, error))
    return usable


class _Scored(NamedTuple):
    """A volume with its labels and counts; slices in order."""

    pairs: list[Slice]
    slices: list[tuple[UInt8[np.ndarray, "rows columns"], UInt8[np.ndarray, "rows columns"]]]
    predictions: UInt8[np.ndarray, "slices rows columns"]
    table: SliceTable
    surfaces: SurfaceTable | None
    spacing: tuple[float, float, float]


def _joined(scored: dict[str, _Scored], subjects: dict[str, str]) -> Evaluated:
    surfaces = [scored[case].surfaces for case in sorted(scored)]
    comparable = all(table is not None for table in surfaces)
    volumes = scored.values()
    return Evaluated(
        pairs=[pair for volume in volumes for pair in volume.pairs],
        subjects=subjects,
        slices=[pair for volume in volumes for pair in volume.slices],
        predictions=[classes for volume in volumes for classes in volume.predictions],
        table=jax.tree.map(lambda *parts: np.concatenate(parts), *(volume.table for volume in volumes)),
        surfaces=SurfaceTable(*map(np.stack, zip(*surfaces, strict=True))) if comparable else None,
        spacing={case: volume.spacing for case, volume in scored.items()},
        whole=True,
    )


def _score(
    scan: Scan, segmentation: Segmentation, axis: Axis, values: Values, cross_entropy: float, orientation: str | None
) -> _Scored:
    volume, probabilities, predictions = segmentation.input.volume, segmentation.probabilities, segmentation.classes
    assert volume is not None
    assert probabilities is not None
    grey, mm = planes(volume.values, axis), slice_spacing(volume, axis)
    truth = read_truth(scan, volume, axis, values, orientation)
    return _Scored(
        pairs=[Slice(scan.case, k, scan.image, scan.label) for k in range(len(truth))],
        slices=list(zip(volume_grey(grey), truth, strict=True)),
        predictions=predictions,
        table=count(truth, probabilities, cross_entropy),
        surfaces=surface.compare(truth, predictions, (mm[2], mm[0], mm[1])) if volume.rectangular else None,
        spacing=mm,
    )


def read_truth(
    scan: Scan, image: Volume, axis: Axis, values: Values, orientation: str | None = None
) -> UInt8[np.ndarray, "slices rows columns"]:
    """The true classes of the slices of a volume.

    Args:
        scan: the T1 volume and its label volume.
        image: the T1 volume.
        axis: the plane of the slices.
        values: the values of each class in the label volume.
        orientation: directions of the axes of the label volume, if its file does not give them.

    Raises:
        UserError: as `check_slices`, `read_volume` and `classes_on`, or there is no brain in the labels.
    """
    check_slices(image, axis)
    truth = planes(classes_on(image, read_volume(scan.label, orientation), values), axis)
    if not truth.any():
        raise UserError(f"{scan.label} labels no brain: is it the right file?")
    return truth


def fingerprint(scans: Sequence[Scan], track: Tracker) -> str:
    """SHA-256 of the names and files of all scans."""
    digest = hashlib.sha256()
    for scan in track(scans, len(scans), "Fingerprint"):
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
    """Losses and counts of the slices of a volume.

    Args:
        truth: true classes.
        probabilities: predicted probability of each class.
        cross_entropy: weight of the cross-entropy in the loss.
    """
    rows = [
        jax.device_get(_score_slice(p[None], t[None], cross_entropy)) for p, t in zip(probabilities, truth, strict=True)
    ]
    return tabulate({name: np.concatenate([row[name] for row in rows]) for name in rows[0]})


@partial(jax.jit, static_argnums=2)
def _score_slice(probability: Any, truth: Any, cross_entropy: float) -> dict[str, Any]:
    return score_logits(jnp.log(jnp.maximum(probability, jnp.finfo(jnp.float32).tiny)), truth, cross_entropy)
