"""Heads drawn from label maps, and their slices."""

import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key, UInt8

from oasis_jax.data.heads.draw import STYLE, HeadMap, Style, draw
from oasis_jax.data.heads.label_map import Table, read_map
from oasis_jax.data.tree import Case
from oasis_jax.geometry import Size
from oasis_jax.system import console
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.finding import of_pair
from oasis_jax.volumes.frame import centre, volume_grey
from oasis_jax.volumes.nifti import is_volume

_MARGIN = 16
"""Voxels around the map, for heads that are turned, moved and enlarged."""

_NECK = 60
"""Slices below the brain; lower ones show shoulders, if anything."""

_AIR = 25
"""Highest grey level of a slice that shows nothing but noise."""


class DrawnHead(NamedTuple):
    """A scan of a drawn head in RAS order and voxels of 1 mm."""

    image: UInt8[np.ndarray, "x y z"]
    """Grey levels."""
    classes: UInt8[np.ndarray, "x y z"]


def find_maps(path: Path) -> dict[str, Path]:
    """The label maps of a folder, or one map, by their names without endings, in the order of names.

    Raises:
        UserError: there is none, or two have one name.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: name a label map or a folder of them.")
    files = {of_pair(f) for f in path.iterdir() if is_volume(f) and f.name[0] != "."} if path.is_dir() else {path}
    maps: dict[str, Path] = {}
    for file in sorted(files):
        name = file.name.split(".")[0]
        if name in maps:
            raise UserError(f"{maps[name]} and {file} would have one name: rename one.")
        maps[name] = file
    if not maps:
        raise UserError(f"{path} holds no label map: name a folder of NIfTI or MGH files.")
    return maps


def splits_of(maps: Collection[str], validate: Collection[str], test: Collection[str]) -> dict[str, str]:
    """The split of each map.

    Raises:
        UserError: a name belongs to no map, or to two splits.
    """
    if unknown := [name for name in (*validate, *test) if name not in maps]:
        raise UserError(f"There is no map {unknown[0]}: the first are {', '.join(list(maps)[:5])}.")
    if both := set(validate) & set(test):
        raise UserError(f"{min(both)} cannot be both in --validate and in --test.")
    return {name: "validate" if name in validate else "test" if name in test else "train" for name in maps}


def head_key(seed: int, name: str, number: int) -> Key[Array, ""]:
    """The random key of a head: from the seed of its tree, its map and its number. Other heads do not change it."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode())), number)


def draw_head(key: Key[Array, ""], head: HeadMap, style: Style = STYLE) -> DrawnHead:
    """Draw a scan with space around the map on all sides."""
    x, y, z = (n + 2 * _MARGIN for n in head.structure.shape)
    image, classes = draw(key, head, style, size=(x, y, z))
    return DrawnHead(volume_grey(np.asarray(image)), np.asarray(classes))


def cases(
    maps: Mapping[str, Path],
    splits: Mapping[str, str],
    *,
    table: Table,
    heads: int,
    seed: int,
    frame: Size,
) -> Iterator[Case]:
    """The axial slices of heads, as many for each map, from the neck to the vertex. A map is a subject.

    The same seed gives the same pixels.

    Raises:
        UserError: as `read_map`.
    """
    drawn = draw_heads(maps, table, heads, seed)
    for (name, number), head in console.track(drawn, len(maps) * heads, "Drawing heads"):
        brain = np.flatnonzero(head.classes.any((0, 1)))
        shown = np.flatnonzero((head.image > _AIR).any((0, 1)))
        numbers = range(max(int(shown[0]), int(brain[0]) - _NECK), int(shown[-1]) + 1)
        slices = [(centre(head.image[..., k], frame), centre(head.classes[..., k], frame)) for k in numbers]
        yield Case(f"{name}-{number}", name, splits[name], slices, heights=None)


def draw_heads(
    maps: Mapping[str, Path], table: Table, heads: int, seed: int
) -> Iterator[tuple[tuple[str, int], DrawnHead]]:
    """The name of the map, the number and the scan of each head. Arguments and errors are those of `cases`."""
    for name, path in maps.items():
        head = read_map(path, table)
        for number in range(heads):
            yield (name, number), draw_head(head_key(seed, name, number), head)
