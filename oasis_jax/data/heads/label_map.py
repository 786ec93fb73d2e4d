"""Label maps of whole heads: read, checked, and made ready for drawing."""

import csv
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from oasis_jax.data.heads.draw import HeadMap
from oasis_jax.data.heads.priors import CSF, NAMES, STRUCTURES
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.nifti import read_volume

Table = dict[int, str]
"""The structure, one of `priors.NAMES`, of each value of label maps."""

STANDARD: Table = {value: name for name, structure in STRUCTURES.items() for value in structure.values}
"""The values of FreeSurfer and of SimNIBS CHARM."""

_CLOSED = 7.0
"""mm by which brain and ventricles are closed to give the brain mask: wider than sulci, and narrower than what lies
between cerebrum and cerebellum."""

_NEEDED = {"CSF": ("csf", "ventricle"), "gray matter": ("cortex",), "white matter": ("white",)}
"""What a map must show, and the structures that count."""

_AIR = NAMES.index("air")


def read_table(path: Path) -> Table:
    """Read the values of other label maps: a CSV file with the columns `value` and `structure`.

    Raises:
        UserError: the file is no CSV file, has other columns, or a line has no whole number or no known structure.
    """
    table: Table = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = list(csv.DictReader(file))
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path} is no CSV file in UTF-8 ({error}): save it as one.") from error
        for number, row in enumerate(rows, start=2):
            try:
                value, structure = int(row["value"]), row["structure"].strip()
            except (KeyError, ValueError, AttributeError):
                wanted = "give the columns value (a whole number) and structure."
                raise UserError(f"{path}, line {number}: {wanted}") from None
            if structure not in STRUCTURES:
                raise UserError(f"{path}, line {number}: {structure!r} is not one of {', '.join(NAMES)}.")
            table[value] = structure
    return table


def read_map(path: Path, table: Table) -> HeadMap:
    """Read a label map of a head: a volume of whole numbers, as for `read_volume`.

    Returns:
        The map in voxels of 1 mm, cut to the head and padded to multiples of 32 voxels, so that most maps share one
        compiled drawing.

    Raises:
        UserError: the file cannot be read, or it is no label map of a head that stands upright.
    """
    volume = read_volume(path)
    structure = _structures(path, volume.values, table)
    structure = _to_mm(structure, volume.spacing)
    _check(path, structure)
    inside = ndimage.find_objects((structure != _AIR).astype(np.uint8))[0]
    structure = structure[inside]
    pads = [((-n % 32) // 2, -n % 32 - (-n % 32) // 2) for n in structure.shape]
    structure = np.pad(structure, pads, constant_values=_AIR)
    beyond = _beyond(_of_role(structure, "brain", "ventricle"))
    # Maps call everything up to the skull CSF, where scans show the dura too.
    bone = np.isin(structure, [NAMES.index("cortical-bone"), NAMES.index("cancellous-bone")])
    outermost = (structure == CSF) & (beyond > 0) & ndimage.binary_dilation(bone)
    structure[outermost] = NAMES.index("dura")
    return HeadMap(jnp.asarray(structure), jnp.asarray(beyond))


def _structures(path: Path, values: np.ndarray, table: Table) -> UInt8[np.ndarray, "x y z"]:
    """The index of the structure of each voxel."""
    rounded = np.rint(values).astype(np.int64)
    known = np.unique(rounded)
    if unknown := [int(value) for value in known if int(value) not in table]:
        listed = ", ".join(map(str, unknown[:8])) + (" ..." if unknown[8:] else "")
        raise UserError(f"{path} holds the values {listed}, which stand for no structure: name them in a --table.")
    indices = np.array([NAMES.index(table[int(value)]) for value in known], np.uint8)
    return indices[np.searchsorted(known, rounded)]


def _to_mm(structure: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """The map in voxels of 1 mm: the nearest voxel, as structures cannot be averaged."""
    for axis, mm in enumerate(spacing):
        size = structure.shape[axis]
        rows = ((np.arange(round(size * mm)) + 0.5) / mm).astype(int).clip(0, size - 1)
        structure = structure.take(rows, axis)
    return structure


def _of_role(structure: np.ndarray, *roles: str) -> Bool[np.ndarray, "x y z"]:
    return np.array([s.role in roles for s in STRUCTURES.values()])[structure]


def _check(path: Path, structure: np.ndarray) -> None:
    """Raise `UserError` unless a map shows the tissues of a brain that stands upright and looks forward."""
    brain = _of_role(structure, "brain", "ventricle")
    if not brain.any():
        raise UserError(f"{path} shows no brain: is it a label map, and does the --table belong to it?")
    for tissue, names in _NEEDED.items():
        if not np.isin(structure, [NAMES.index(name) for name in names]).any():
            raise UserError(f"{path} shows no {tissue}: a map needs CSF, gray and white matter as separate structures.")
    small = structure[::2, ::2, ::2]
    cerebellum = np.isin(small, [k for k, name in enumerate(NAMES) if name.startswith("cerebellum")])
    if cerebellum.any():
        cortex = ndimage.center_of_mass(small == NAMES.index("cortex"))
        _, forward, up = np.subtract(cortex, ndimage.center_of_mass(cerebellum))
        if up <= 0 or forward <= 0:
            where = "above" if up <= 0 else "in front of"
            raise UserError(f"{path} has its cerebellum {where} its cortex: its header gives the wrong directions.")


def _beyond(brain: Bool[np.ndarray, "x y z"]) -> UInt8[np.ndarray, "x y z"]:
    """The distance of each voxel to the brain mask, as `HeadMap.beyond`; the mask is the brain, closed."""
    margin = int(_CLOSED) + 1
    grown = _distance(~np.pad(brain, margin)) <= _CLOSED
    closed = (_distance(grown) > _CLOSED)[(slice(margin, -margin),) * 3]
    return np.ceil(_distance(~(closed | brain))).clip(0, 255).astype(np.uint8)


def _distance(mask: Bool[np.ndarray, "x y z"]) -> np.ndarray:
    """The distance of each voxel of a mask to the nearest one outside, in voxels; 0 outside."""
    return np.asarray(ndimage.distance_transform_edt(mask))
