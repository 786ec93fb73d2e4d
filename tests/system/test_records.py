"""Records come back from JSON as they were; anything else is refused, with the name of the wrong value."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from checked import present
from jaxtyping import Float64, Int64

from oasis_jax.system import records


@dataclass(frozen=True)
class Part:
    first: int
    second: float | None = None


@dataclass(frozen=True)
class Whole:
    name: str
    kind: Literal["a", "b"]
    count: int
    size: tuple[float, float | None]
    names: tuple[str, ...]
    parts: dict[str, Part]
    amounts: dict[Literal["dry matter", "wet matter"], float | None]
    counts: Int64[np.ndarray, "subjects 2"]
    sums: Float64[np.ndarray, "subjects 3"] | None
    file: Path
    pairs: tuple[Part, ...]
    new: bool = False


WHOLE = Whole(
    name="é",
    kind="b",
    count=2,
    size=(0.5, None),
    names=("x", "y"),
    parts={"p": Part(1, 0.25)},
    amounts={"dry matter": 0.5, "wet matter": None},
    counts=np.arange(4).reshape(2, 2),
    sums=np.ones((2, 3)),
    file=Path("a/b"),
    pairs=(Part(1), Part(2, 0.5)),
)


def values(**changed: Any) -> dict[str, Any]:
    return records.to_json(WHOLE) | changed


def test_a_record_comes_back_as_it_was() -> None:
    assert values()["parts"] == {"p": {"first": 1, "second": 0.25}}
    back = records.from_json(Whole, values())
    assert records.to_json(back) == records.to_json(WHOLE)
    assert (back.counts.dtype, present(back.sums).dtype, back.size) == (np.int64, np.float64, (0.5, None))
    assert back.file == WHOLE.file
    assert back.pairs == WHOLE.pairs


def test_older_and_newer_values_are_read_where_they_hold_what_is_needed() -> None:
    amounts = {"dry matter": 0.5, "wet matter": None, "fat": 1}
    changed = values(later=1, amounts=amounts, pairs=[{"first": 3, "third": 4}], size=[1, 2], sums=[[1, 2, 3]] * 2)
    del changed["new"]
    back = records.from_json(Whole, changed)
    assert back.new is False
    assert back.size == (1.0, 2.0)
    assert back.amounts == WHOLE.amounts
    assert back.pairs == (Part(3),)
    assert present(back.sums).dtype == np.float64


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"name": None}, "mine.name is None and must be str"),
        ({"kind": "c"}, "mine.kind is 'c' and must be a or b"),
        ({"count": True}, "mine.count is True and must be int"),
        ({"count": 2.0}, "mine.count is 2.0 and must be int"),
        ({"file": 3}, "mine.file is 3 and must be Path"),
        ({"size": [1, 2, 3]}, "mine.size is a list and must be tuple"),
        ({"size": [True, 2]}, "mine.size[0] is True and must be float"),
        ({"size": [10**400, 2]}, "mine.size[0] is 1000"),
        ({"size": [float("nan"), 2]}, "mine.size[0] is nan"),
        ({"parts": {"p": {}}}, "mine.parts.p has no first"),
        ({"parts": []}, "mine.parts is a list"),
        ({"amounts": {"dry matter": 1}}, "mine.amounts has no wet matter"),
        ({"pairs": [[1, 2.0]]}, "mine.pairs[0] is a list"),
        ({"counts": [[1, 2, 3]] * 2}, "mine.counts is an array"),
        ({"counts": [[1.5, 2]] * 2}, "mine.counts is an array"),
        ({"counts": [[10**30, 2]] * 2}, "mine.counts is an array"),
        ({"counts": [[1, 2], [3]]}, "inhomogeneous"),
        ({"sums": [[1, 2, 3]]}, "mine.sums has 1 subjects, and other arrays have 2"),
        ({"sums": [[1, 2, float("inf")]] * 2}, "must be finite"),
    ],
)
def test_a_value_of_another_type_is_named(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        records.from_json(Whole, values(**changed), "mine")
