"""Values by the name of a class, or of a tissue, and the intervals of values."""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Num

from oasis_jax.classes import Column, Name, Tissue

ByClass = dict[Column, float | None]
"""A score of each class, and the mean over the foreground classes; None if undefined."""

ByTissue = dict[Tissue, float | None]
"""A value of each tissue; None if undefined."""

CountByClass = dict[Name, int]
"""A number of slices or subjects for each class."""

CountByTissue = dict[Tissue, int]
"""A number of slices or volumes for each tissue."""

Value = TypeVar("Value")

Interval = dict[Literal["low", "high"], Value]
"""The ends of the 95 % interval of a value."""

Key = TypeVar("Key", bound=str)


def named(names: Sequence[Key], values: Num[np.ndarray, " names"] | Sequence[Any]) -> dict[Key, Any]:
    """Numbers by their names, in the same order; NaN (undefined) becomes None."""
    return {
        name: None if np.isnan(value) else value.item() for name, value in zip(names, np.asarray(values), strict=True)
    }
