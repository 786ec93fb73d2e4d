"""How slices lie in a head: the plane they show, their size, their spacing, and how a tree of them was cut."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import UInt8

from oasis_jax.system import records
from oasis_jax.system.files import write_text

Size = tuple[int, int]
"""(rows, columns)."""

Pixels = UInt8[np.ndarray, "rows columns"]
"""The grey levels, 0 to 255, or the classes, 0 to 3, of a slice."""

Pair = tuple[Pixels, Pixels]
"""Grey levels, and classes, of a slice."""

Spacing = tuple[float, float, float | None]
"""mm from one row, one column and one slice to the next; None if the distance of slices is unknown."""

Axis = Literal["sagittal", "coronal", "axial"]
"""The plane that slices show; its index is the axis of a RAS volume along which they are stacked."""

AXES: tuple[Axis, ...] = get_args(Axis)

OASIS_HEIGHTS = (0.49, 0.77)
"""Heights of the slices of the OASIS set: 32 mm upward from half of a brain's height, which is 115 to 150 mm."""


def central(size: tuple[int, ...], window: tuple[int, ...] | None) -> tuple[slice, ...]:
    """The rows and columns of the window in the middle of a frame; all of them if it is None."""
    starts = [(whole - part) // 2 for whole, part in zip(size, window or size, strict=True)]
    return tuple(slice(start, start + part) for start, part in zip(starts, window or size, strict=True))


@dataclass(frozen=True)
class Cut:
    """How slices were cut from heads. Prediction cuts volumes the same way."""

    axis: Axis = "axial"
    """The plane that a slice shows."""
    heights: tuple[float, float] | None = OASIS_HEIGHTS
    """Lowest and highest slice, on a scale from the base of the brain, 0, to its top, 1; None: every height."""
    spacing: Spacing | None = None
    """mm between rows, columns and slices; None if the tree does not say."""


CUT = "cut.json"
"""Name of the file in a tree that says how its slices were cut."""


def write_cut(root: Path, cut: Cut) -> None:
    """Record in a tree how its slices were cut; a tree without this record counts as cut like OASIS."""
    write_text(root / CUT, json.dumps(records.to_json(cut), indent=2) + "\n")


def parse_cut(content: Any) -> Cut:
    """Read a cut from JSON values.

    Raises:
        ValueError: the values hold no cut.
    """
    if not isinstance(content, dict) or not content.keys() >= {"axis", "heights"}:
        raise ValueError("it has no axis or no heights")
    cut = records.from_json(Cut, content)
    if any(mm is not None and mm <= 0 for mm in cut.spacing or ()):
        raise ValueError(f"spacing is {cut.spacing}")
    return cut
