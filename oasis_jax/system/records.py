"""Records (frozen dataclasses) as plain JSON values and back. Reading checks all types."""

import dataclasses
import types
import typing
from pathlib import Path
from sys import float_info
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import AbstractArray

Record = TypeVar("Record")


def to_json(value: Any) -> Any:
    """Plain JSON values of a record, or of a value in one. Arrays and tuples become lists, paths become strings."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
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
    any of these or None, or a tuple or a dict of them. A dict whose keys are a `Literal` has an entry for each. Axes of
    one name have one length in the whole record. A field with a default value may be missing. Unknown entries are
    ignored. Errors call the record `name`, or by its class.

    Raises:
        ValueError: an entry is missing, or has another type; or what the record itself raises.
    """
    return _read(kind, values, name or kind.__name__, {})


def _read(kind: Any, value: Any, name: str, axes: dict[str, int]) -> Any:
    """Check a value and convert it; `axes` has the length of each named axis, and gets those of arrays read here."""
    origin, parts, is_record = typing.get_origin(kind), typing.get_args(kind), dataclasses.is_dataclass(kind)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _read(parts[0], value, name, axes)
    if isinstance(value, dict) and (is_record or origin is dict):
        kinds, needed = _entries(kind, value)
        if missing := [entry for entry in needed if entry not in value]:
            raise ValueError(f"{name} has no {missing[0]}")
        read = {entry: _read(kinds[entry], value[entry], f"{name}.{entry}", axes) for entry in kinds if entry in value}
        return kind(**read) if is_record else read
    if origin is tuple and isinstance(value, list):
        kinds = parts[:1] * len(value) if parts[-1] is ... else parts
        if len(kinds) == len(value):
            pairs = enumerate(zip(kinds, value, strict=True))
            return tuple(_read(part, item, f"{name}[{i}]", axes) for i, (part, item) in pairs)
    if origin is Literal and value in parts:
        return value
    if isinstance(kind, type) and issubclass(kind, AbstractArray) and isinstance(value, list):
        return _read_array(kind, value, name, axes)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, int | float) and type(value) is not bool and abs(value) <= float_info.max:
        return float(value)
    if type(value) is kind and kind is not float:
        return value
    shown = repr(value)[:60] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    wanted = kind if origin else kind.__name__
    if origin is Literal:
        wanted = " or ".join(map(str, parts))
    raise ValueError(f"{name} is {shown} and must be {wanted}")


def _entries(kind: Any, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The types of the entries of a record or a dict, and the names of those that must be there."""
    if dataclasses.is_dataclass(kind):
        hints, fields = typing.get_type_hints(kind), dataclasses.fields(kind)
        needed = [field.name for field in fields if field.default is dataclasses.MISSING]
        return {field.name: hints[field.name] for field in fields}, needed
    key, item = typing.get_args(kind)
    allowed = typing.get_args(key)
    return dict.fromkeys(allowed or values, item), list(allowed)


def _read_array(kind: Any, values: list[Any], name: str, axes: dict[str, int]) -> np.ndarray:
    array = np.asarray(values)  # a list of unequal lists raises ValueError
    (dtype,) = kind.dtypes
    if np.can_cast(array.dtype, dtype, "safe"):
        array = array.astype(dtype)
    if not isinstance(array, kind) or not np.isfinite(array).all():
        raise ValueError(f"{name} is an array {array.dtype} {array.shape} and must be finite, {dtype} ({kind.dim_str})")
    for axis, length in zip(kind.dim_str.split(), array.shape, strict=True):
        if axes.setdefault(axis, length) != length:
            raise ValueError(f"{name} has {length} {axis}, and other arrays have {axes[axis]}")
    return array
