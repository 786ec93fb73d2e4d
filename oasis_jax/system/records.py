"""Records (frozen dataclasses and named tuples) as plain JSON values and back. Reading checks all types."""

import dataclasses
import sys
import types
import typing
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from jaxtyping import AbstractArray, jaxtyped

Record = TypeVar("Record")

_LARGEST = sys.float_info.max


def to_json(value: Any) -> Any:
    """Plain JSON values of a record, or of a value in one. Arrays and tuples become lists, paths become strings."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if _is_named_tuple(type(value)):
        value = value._asdict()
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value.tolist() if isinstance(value, np.ndarray) else value


def from_json(kind: type[Record], values: Any, name: str | None = None) -> Record:
    """Build a record from `to_json`'s values.

    A field may be a record, a finite number, a string, a bool, a path, a `Literal`, an array with a shape of jaxtyping,
    any of these or None, or a tuple, a list or a dict of them. A dict whose keys are a `Literal` has an entry for each.
    Axes of one name have one length in the whole record. A field with a default value may be missing. Unknown entries
    are ignored.

    Args:
        kind: the class of the record.
        values: what `to_json` made of one.
        name: of the record, for errors; None: the name of the class.

    Raises:
        ValueError: an entry is missing, or has another type; or what the record itself raises.
    """
    arrays: list[_Array] = []
    record = _read(kind, values, name or kind.__name__, arrays)
    with jaxtyped("context"):  # within, axes of one name have one length
        for array in arrays:
            if not isinstance(array.values, array.kind):
                raise ValueError(f"{array.name} has another length than other arrays: {array.values.shape}")
    return record


class _Array(NamedTuple):
    """An array that was read, and the type it must have."""

    name: str
    kind: Any
    values: np.ndarray


def _read(kind: Any, value: Any, name: str, arrays: list[_Array]) -> Any:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if (dataclasses.is_dataclass(kind) or _is_named_tuple(kind)) and isinstance(value, dict):
        return _read_record(kind, value, name, arrays)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _read(parts[0], value, name, arrays)
    if origin is dict and isinstance(value, dict):
        entries = typing.get_args(parts[0]) or value
        if missing := [entry for entry in entries if entry not in value]:
            raise ValueError(f"{name} has no {missing[0]}")
        return {entry: _read(parts[1], value[entry], f"{name}.{entry}", arrays) for entry in entries}
    if origin in (tuple, list) and isinstance(value, list):
        kinds = parts[:1] * len(value) if origin is list or parts[-1] is ... else parts
        if len(kinds) == len(value):
            pairs = enumerate(zip(kinds, value, strict=True))
            return origin(_read(item_kind, item, f"{name}[{i}]", arrays) for i, (item_kind, item) in pairs)
    if origin is Literal and value in parts:
        return value
    if kind is Path and isinstance(value, str):
        return Path(value)
    if isinstance(kind, type) and issubclass(kind, AbstractArray) and isinstance(value, list):
        arrays.append(_Array(name, kind, _read_array(kind, value, name)))
        return arrays[-1].values
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return float(value)
    if origin is None and type(value) is kind and kind is not float:
        return value
    raise ValueError(f"{name} is {_shown(value)} and must be {_described(kind)}")


def _shown(value: Any) -> str:
    """A value in an error: itself if it is short, else its type."""
    return repr(value)[:60] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


def _described(kind: Any) -> str:
    """A type in an error; for a `Literal`, what is allowed."""
    origin = typing.get_origin(kind)
    if origin is Literal:
        return " or ".join(map(str, typing.get_args(kind)))
    return str(kind) if origin else getattr(kind, "__name__", str(kind))


def _read_record(kind: Any, values: dict[str, Any], name: str, arrays: list[_Array]) -> Any:
    hints, read = typing.get_type_hints(kind), {}
    for field, needed in _fields(kind):
        if field in values:
            read[field] = _read(hints[field], values[field], f"{name}.{field}", arrays)
        elif needed:
            raise ValueError(f"{name} has no {field}")
    return kind(**read)


def _fields(kind: Any) -> list[tuple[str, bool]]:
    """Of a record: the name of each field, and whether it has no default value."""
    if _is_named_tuple(kind):
        return [(name, name not in kind._field_defaults) for name in kind._fields]
    return [(field.name, field.default is dataclasses.MISSING) for field in dataclasses.fields(kind)]


def _is_named_tuple(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def _read_array(kind: Any, values: list[Any], name: str) -> np.ndarray:
    array = np.asarray(values)  # a list of unequal lists raises ValueError
    (dtype,) = kind.dtypes
    if np.can_cast(array.dtype, dtype, "safe"):
        array = array.astype(dtype)
    if not isinstance(array, kind) or not np.isfinite(array).all():
        raise ValueError(f"{name} is an array {array.dtype} {array.shape} and must be finite, {dtype} ({kind.dim_str})")
    return array
