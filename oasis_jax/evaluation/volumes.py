"""Whole volumes against their label volumes, on the volumes' own voxels: what an evaluation measures of them."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from oasis_jax.data.geometry import Axis
from oasis_jax.data.slices import Slice
from oasis_jax.data.volumes.finding import InputFile
from oasis_jax.data.volumes.frame import quantise
from oasis_jax.data.volumes.inputs import read_inputs
from oasis_jax.data.volumes.nifti import Volume, check_slices, planes, read_volume, slice_spacing
from oasis_jax.data.volumes.study import Scan, Values, read_classes
from oasis_jax.evaluation.result import Evaluated
from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.score import SliceTable, score_logits, tabulate
from oasis_jax.inference.segment import Segmenter
from oasis_jax.metrics import surface
from oasis_jax.metrics.surface import SurfaceTable
from oasis_jax.system.errors import UserError, describe


def evaluate_volumes(
    scans: Sequence[Scan],
    segmenter: Segmenter,
    *,
    values: Values,
    track: Callable[..., Iterable[Any]],
    tell: Callable[[str], None] = print,
    orientation: str | None = None,
) -> tuple[Evaluated, list[str]]:
    """Label volumes and count, slice by slice, how the labels agree with the true ones; compare surfaces in 3D.

    Args:
        scans: T1 volumes and their label volumes.
        segmenter: the networks.
        values: which values of the label volumes stand for each class.
        track: shows progress.
        tell: takes what a user should know of a scan.
        orientation: where the axes of volumes lead that do not say so themselves.

    Returns:
        The evaluation, without surfaces where the voxels of a volume are not rectangular, and a sentence about each
        scan that cannot be used and is left out. All labels are checked before the network runs.

    Raises:
        UserError: no scan can be used; lists what is wrong with each.
    """
    problems: list[str] = []
    framing = segmenter.framing
    cross_entropy = segmenter.ensemble.runs[0].config.optim.cross_entropy

    of_case: dict[str, Scan] = {}
    for scan in track(scans, len(scans), "Checking volumes"):
        try:
            read_truth(scan, read_volume(scan.image, orientation), framing.axis, values, orientation)
            of_case[scan.case] = scan
        except Exception as error:
            problems.append(describe(scan.image, error))
    named = [InputFile(scan.image, case) for case, scan in of_case.items()]
    inputs = read_inputs(named, framing, orientation, problems.append, segmenter.classify)
    done: dict[str, _Scored] = {}
    labelled = label(inputs, segmenter, keep_probabilities=True)
    for one in track(labelled, len(of_case), "Evaluating volumes"):  # those of one size of frame after another
        case = one.input.file.name
        for note in one.input.notes:
            tell(f"{one.input.file.path}: {note}")
        try:
            done[case] = _score(of_case[case], one, framing.axis, values, cross_entropy, orientation)
        except Exception as error:
            problems.append(describe(one.input.file.path, error))
    if not done:
        raise UserError("\n".join(["None of the volumes can be evaluated:", *(f"  {one}" for one in problems)]))
    return _joined(done, {case: of_case[case].subject for case in done}), problems


class _Scored(NamedTuple):
    """One volume beside its labels; slices in order."""

    pairs: list[Slice]
    slices: list[tuple[np.ndarray, np.ndarray]]
    predictions: np.ndarray
    table: SliceTable
    surfaces: SurfaceTable | None
    spacing: tuple[float, float, float]


def _joined(done: dict[str, _Scored], subjects: dict[str, str]) -> Evaluated:
    flat = all(one.surfaces is not None for one in done.values())
    surfaces = [done[case].surfaces for case in sorted(done)]
    return Evaluated(
        pairs=[pair for one in done.values() for pair in one.pairs],
        subjects=subjects,
        slices=[pair for one in done.values() for pair in one.slices],
        predictions=[plane for one in done.values() for plane in one.predictions],
        table=jax.tree.map(lambda *parts: np.concatenate(parts), *(one.table for one in done.values())),
        surfaces=SurfaceTable(*map(np.stack, zip(*surfaces, strict=True))) if flat else None,
        spacing={case: one.spacing for case, one in done.items()},
        whole=True,
    )


def _score(
    scan: Scan, one: Segmentation, axis: Axis, values: Values, cross_entropy: float, orientation: str | None
) -> _Scored:
    volume = one.input.volume
    assert volume is not None
    assert one.probabilities is not None
    grey, mm = planes(volume.values, axis), slice_spacing(volume, axis)
    truth = read_truth(scan, volume, axis, values, orientation)
    return _Scored(
        pairs=[Slice(scan.case, k, scan.image, scan.label) for k in range(len(truth))],
        slices=[(quantise(image), classes) for image, classes in zip(grey, truth, strict=True)],
        predictions=one.classes,
        table=count(truth, one.probabilities, cross_entropy),
        surfaces=surface.compare(truth, one.classes, (mm[2], mm[0], mm[1])) if volume.rectangular else None,
        spacing=mm,
    )


def read_truth(scan: Scan, image: Volume, axis: Axis, values: Values, orientation: str | None = None) -> np.ndarray:
    """The true classes of a volume's slices, uint8 `(N, rows, columns)`.

    Raises:
        UserError: as `check_slices` and `read_classes`, or there is no brain in the labels.
    """
    check_slices(scan.image, image, axis)
    truth = planes(read_classes(scan, image, values, orientation), axis)
    if not truth.any():
        raise UserError(f"{scan.label} labels no brain: is it the right file?")
    return truth


def fingerprint(scans: Sequence[Scan], track: Callable[..., Iterable[Any]]) -> str:
    """SHA-256 of the cases' names and their files."""
    digest = hashlib.sha256()
    for scan in track(scans, len(scans), "Fingerprint"):
        digest.update(os.fsencode(scan.case) + b"\0")
        for path in (scan.image, scan.label):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def count(truth: np.ndarray, probabilities: np.ndarray, cross_entropy: float) -> SliceTable:
    """The table of one volume, a row each slice.

    Args:
        truth: uint8 `(N, H, W)`.
        probabilities: float32 `(N, H, W, 4)`.
        cross_entropy: weight of the cross-entropy in the loss.
    """
    rows = [
        jax.device_get(_score_slice(p[None], t[None], cross_entropy)) for p, t in zip(probabilities, truth, strict=True)
    ]
    return tabulate({name: np.concatenate([row[name] for row in rows]) for name in rows[0]})


@partial(jax.jit, static_argnums=2)
def _score_slice(probability: Any, truth: Any, cross_entropy: float) -> dict[str, Any]:
    return score_logits(jnp.log(jnp.maximum(probability, jnp.finfo(jnp.float32).tiny)), truth, cross_entropy)
