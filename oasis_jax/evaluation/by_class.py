"""Values of each class, or of each tissue, by name."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Num

from oasis_jax.classes import CLASSES
from oasis_jax.system import records

_CSF, _GRAY, _WHITE, _MEAN = map(records.key, CLASSES[1:])


Values = TypeVar("Values")


class _Named:
    """The base of four records. In JSON, and in `named`, their fields have the names of `classes.CLASSES`."""

    @classmethod
    def of(cls: type[Values], values: Num[np.ndarray, " fields"] | Sequence[Any]) -> Values:
        """Make a record from numbers in the order of its fields; NaN (undefined) becomes None."""
        record: Any = cls
        return record(*(None if np.isnan(value) else value.item() for value in np.asarray(values)))

    def named(self) -> dict[str, Any]:
        """The values by the name of their class, in the order of the fields."""
        return records.to_json(self)


@dataclass(frozen=True)
class ByClass(_Named):
    """A score of each class, and the mean over the foreground classes; None if undefined."""

    background: float | None
    csf: float | None = field(metadata=_CSF)
    gray_matter: float | None = field(metadata=_GRAY)
    white_matter: float | None = field(metadata=_WHITE)
    foreground_mean: float | None = field(metadata=_MEAN)


@dataclass(frozen=True)
class ByTissue(_Named):
    """A value of each foreground class; None if undefined."""

    csf: float | None = field(metadata=_CSF)
    gray_matter: float | None = field(metadata=_GRAY)
    white_matter: float | None = field(metadata=_WHITE)


@dataclass(frozen=True)
class CountByClass(_Named):
    """A number of slices or subjects for each class."""

    background: int
    csf: int = field(metadata=_CSF)
    gray_matter: int = field(metadata=_GRAY)
    white_matter: int = field(metadata=_WHITE)


@dataclass(frozen=True)
class CountByTissue(_Named):
    """A number of slices or volumes for each foreground class."""

    csf: int = field(metadata=_CSF)
    gray_matter: int = field(metadata=_GRAY)
    white_matter: int = field(metadata=_WHITE)


@dataclass(frozen=True)
class IntervalByClass:
    """The ends of the 95 % interval of each class."""

    low: ByClass
    high: ByClass
