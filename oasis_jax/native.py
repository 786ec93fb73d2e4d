"""Whole volumes against their label volumes, on the volumes' own voxels: what an evaluation measures of them."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from oasis_jax import surface
from oasis_jax.data.frame import Size, quantise
from oasis_jax.data.inputs import Found, Framing, read_input
from oasis_jax.data.slices import Slice
from oasis_jax.data.study import Scan, Values, read_classes
from oasis_jax.data.volume import planes, slice_spacing
from oasis_jax.errors import UserError
from oasis_jax.evaluation import Evaluated
from oasis_jax.scores import SliceTable
from oasis_jax.scoring import tabulate
from oasis_jax.segment import Segment, label
from oasis_jax.step import score_logits
from oasis_jax.surface import SurfaceTable


def evaluate_volumes(
    scans: Sequence[Scan],
    values: Values,
    framing: Framing,
    segment: Segment,
    batch: Callable[[Size], int],
    cross_entropy: float,
    track: Callable[..., Iterable[Any]],
) -> Evaluated:
    """Label volumes and count, slice by slice, how the labels agree with the true ones; compare surfaces in 3D.

    Args:
        scans: T1 volumes and their label volumes.
        values: which values of the label volumes stand for each class.
        framing: how the network was trained.
        segment: the network.
        batch: slices at a time for a size of frame.
        cross_entropy: weight of the cross-entropy in the loss.
        track: shows progress.

    Raises:
        UserError: a volume cannot be read, or its labels cannot be used.
    """
    pairs: list[Slice] = []
    slices: list[tuple[np.ndarray, np.ndarray]] = []
    predictions: list[np.ndarray] = []
    tables: list[SliceTable] = []
    surfaces: dict[str, SurfaceTable] = {}
    spacing = {}
    inputs = (read_input(Found(scan.image, scan.case), framing) for scan in scans)
    labelled = label(inputs, segment, batch, keep_probabilities=True)
    of_case = {scan.case: scan for scan in scans}
    for one in track(labelled, len(scans), "Evaluating volumes"):  # those of one size of frame after another
        scan, volume = of_case[one.input.found.name], one.input.volume
        assert volume is not None
        assert one.probabilities is not None
        grey, mm = planes(volume.values, framing.axis), slice_spacing(volume, framing.axis)
        truth = planes(read_classes(scan, volume, values), framing.axis)
        if not truth.any():
            raise UserError(f"{scan.label} labels no brain: is it the right file?")
        pairs += [Slice(scan.case, k, scan.image, scan.label) for k in range(len(truth))]
        slices += [(quantise(image), classes) for image, classes in zip(grey, truth, strict=True)]
        predictions += list(one.classes)
        tables.append(count(truth, one.probabilities, cross_entropy))
        surfaces[scan.case] = surface.compare(truth, one.classes, (mm[2], mm[0], mm[1]))
        spacing[scan.case] = mm
    return Evaluated(
        pairs=pairs,
        subjects={scan.case: scan.subject for scan in scans},
        slices=slices,
        predictions=predictions,
        table=jax.tree.map(lambda *parts: np.concatenate(parts), *tables),
        surfaces=SurfaceTable(*map(np.stack, zip(*(surfaces[case] for case in sorted(surfaces)), strict=True))),
        spacing=spacing,
        whole=True,
    )


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
