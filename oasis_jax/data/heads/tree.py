"""Drawn heads written as a tree of slices, or one of them as a volume."""

import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import nibabel as nib
import numpy as np
from jaxtyping import Array, Key, UInt8

from oasis_jax import overlays
from oasis_jax.config import SPLITS
from oasis_jax.data.heads.draw import STYLE, HeadMap, Style, draw
from oasis_jax.data.heads.label_map import Table, read_map
from oasis_jax.data.phantoms.volume import label_file
from oasis_jax.data.slices import folders, write_pair
from oasis_jax.geometry import Cut, Size, write_cut
from oasis_jax.system.console import Tracker, silent
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import atomic_folder, atomic_write, csv_text, write_text
from oasis_jax.volumes.finding import natural
from oasis_jax.volumes.frame import centre, volume_grey
from oasis_jax.volumes.nifti import is_volume

_MARGIN = 16
"""Voxels around the map, for heads that are turned, moved and enlarged."""

_NECK = 60
"""Slices below the brain; lower ones show shoulders, if anything."""

_AIR = 25
"""Highest grey level of a slice that shows nothing but noise."""

_SHOWN = 6
"""Slices of a head in the contact sheet."""

_drawn = jax.jit(draw, static_argnames="size")


class DrawnHead(NamedTuple):
    """A scan of a drawn head in RAS order and voxels of 1 mm."""

    image: UInt8[np.ndarray, "x y z"]
    """Grey levels."""
    classes: UInt8[np.ndarray, "x y z"]


def find_maps(path: Path) -> dict[str, Path]:
    """The label maps of a folder, or one map, by their names without endings, in natural order.

    Raises:
        UserError: there is none, or two have one name.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: name a label map or a folder of them.")
    files = [f for f in path.iterdir() if is_volume(f) and f.name[0] != "."] if path.is_dir() else [path]
    maps: dict[str, Path] = {}
    for file in sorted(files, key=lambda f: natural(f.name)):
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
    """The random key of a head. Other maps and other numbers do not change it.

    Args:
        seed: of the whole tree.
        name: of the map.
        number: of the head among those of the map.
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode())), number)


def draw_head(key: Key[Array, ""], head: HeadMap, style: Style = STYLE) -> DrawnHead:
    """Draw a scan with space around the map on all sides."""
    x, y, z = (n + 2 * _MARGIN for n in head.structure.shape)
    image, classes = _drawn(key, head, style=style, size=(x, y, z))
    return DrawnHead(volume_grey(np.asarray(image)), np.asarray(classes))


def write_tree(
    root: Path,
    maps: Mapping[str, Path],
    splits: Mapping[str, str],
    *,
    table: Table,
    heads: int,
    seed: int,
    frame: Size,
    track: Tracker = silent,
) -> int:
    """Draw heads and write their axial slices as a tree, which must not exist yet; it appears complete or not at all.

    Beside the slices lie `subjects.csv`, in which a map is a subject, `cut.json` and `contact_sheet.png`.

    Args:
        root: the tree.
        maps: the file of each map, by name.
        splits: the split of each map.
        table: what the values of the maps stand for.
        heads: how many heads to draw from each map.
        seed: random seed; the same seed gives the same pixels.
        frame: (rows, columns) of the slices.
        track: shows progress over the heads.

    Returns:
        The number of slices.

    Raises:
        UserError: as `read_map`.
    """
    written: list[int] = []

    def fill(part: Path) -> None:
        for split in SPLITS:
            for folder in folders(part, split):
                folder.mkdir()
        write_cut(part, Cut("axial", None, (1.0, 1.0, 1.0)))
        rows, strips = [], []
        for name, number, head in track(_heads(maps, table, heads, seed), len(maps) * heads, "Drawing heads"):
            case = f"{name}-{number}"
            rows.append([case, name])
            planes = _framed(head, frame)
            strips.append(_strip(planes))
            for k, (image, classes) in enumerate(planes):
                write_pair(part, splits[name], case, k, image, classes)
            written.append(len(planes))
        write_text(part / "subjects.csv", csv_text(["case", "oasis_subject"], rows))
        overlays.write_picture(part / "contact_sheet.png", overlays.mosaic(strips, columns=1))

    atomic_folder(root, fill)
    return sum(written)


def _heads(maps: Mapping[str, Path], table: Table, heads: int, seed: int) -> Iterator[tuple[str, int, DrawnHead]]:
    for name, path in maps.items():
        head = read_map(path, table)
        for number in range(heads):
            yield name, number, draw_head(head_key(seed, name, number), head)


def _framed(head: DrawnHead, frame: Size) -> list[tuple[np.ndarray, np.ndarray]]:
    """The axial slices that show head, from the neck upward, and their classes."""
    brain = np.flatnonzero(head.classes.any((0, 1)))
    shown = np.flatnonzero((head.image > _AIR).any((0, 1)))
    numbers = range(max(int(shown[0]), int(brain[0]) - _NECK), int(shown[-1]) + 1)
    return [(centre(head.image[..., k], frame), centre(head.classes[..., k], frame)) for k in numbers]


def _strip(planes: list[tuple[np.ndarray, np.ndarray]]) -> UInt8[np.ndarray, "rows columns 3"]:
    """Some slices of a head with their labels, nose up."""
    numbers = np.linspace(0, len(planes) - 1, _SHOWN + 2).astype(int)[1:-1]
    tiles = [np.rot90(overlays.overlay(*planes[k])[:, planes[k][0].shape[1] :]) for k in numbers]
    plain = [np.rot90(overlays.overlay(*planes[k])[:, : planes[k][0].shape[1]]) for k in numbers]
    return np.concatenate([np.concatenate(plain, axis=1), np.concatenate(tiles, axis=1)])


def write_volume(path: Path, map_file: Path, table: Table, seed: int) -> None:
    """Write a drawn head as NIfTI, NAME.nii.gz, and its labels beside it, NAME_labels.nii.gz.

    Raises:
        UserError: as `read_map`.
    """
    head = draw_head(head_key(seed, map_file.name.split(".")[0], 0), read_map(map_file, table))
    affine = np.eye(4)
    affine[:3, 3] = [-n / 2 for n in head.image.shape]
    for file, array in ((label_file(path), head.classes), (path, head.image)):
        image = nib.Nifti1Image(array, affine)
        atomic_write(file, lambda part, image=image: nib.save(image, part))
