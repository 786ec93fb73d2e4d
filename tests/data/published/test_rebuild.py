"""OASIS-1 discs to slices: made-up discs, and the set that is cut from them as the published one is known to be."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import GENUINE, command
from nibabel.analyze import AnalyzeHeader
from PIL import Image

from oasis_jax.data import __main__ as program
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.published.manifest import Manifest
from oasis_jax.data.published.rebuild import SHAPE, rebuild
from oasis_jax.data.slices import encode_png
from oasis_jax.system.errors import UserError

CASES = {"001": "train", "002": "train", "402": "validate", "441": "test"}
RESCANNED = frozenset({"002"})

Volumes = tuple[np.ndarray, np.ndarray]
"""Intensities and classes."""


@pytest.fixture(scope="module")
def volume() -> Volumes:
    """Intensities from 7 to 4000 and classes: an ellipsoid of shells, noisy where the set is cut."""
    rng = np.random.default_rng(0)
    grid = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in SHAPE)]
    radius = grid[0] ** 2 + grid[1] ** 2 + grid[2] ** 2 + 0.1 * np.sin(9 * grid[0] + 5 * grid[1] + 7 * grid[2])
    classes = np.array([radius < limit for limit in (0.7, 0.5, 0.3)]).sum(0, dtype=np.int16)
    image = np.int16(7) + classes * np.int16(900)
    image[40:140, 50:150, 60:110] += rng.integers(0, 1293, (100, 100, 50), np.int16)
    return image, classes


def scan_of(volume: Volumes, name: str) -> Volumes:
    """The scan of a name, OAS1_NNNN_MRk: the volume, moved along the columns by its numbers."""
    image, classes = (np.roll(one, int(name[5:9]) % 7 + int(name[-1]), axis=1) for one in volume)
    return image, classes


def header_of(shape: tuple[int, ...], dtype: type) -> bytes:
    header = AnalyzeHeader(endianness=">")
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    return header.binaryblock


def write_scan(disc: Path, name: str, volume: Volumes) -> None:
    folder = disc / name
    kinds = ("PROCESSED/MPRAGE/T88_111", "gfc"), ("FSL_SEG", "masked_gfc_fseg")
    for (place, kind), values in zip(kinds, scan_of(volume, name), strict=True):
        stem = folder / place / f"{name}_mpr_n4_anon_111_t88_{kind}"
        stem.parent.mkdir(parents=True)
        values = values[..., None] if kind == "gfc" else values
        Path(f"{stem}.hdr").write_bytes(header_of(values.shape, np.int16))
        Path(f"{stem}.img").write_bytes(values.astype(">i2").tobytes(order="F"))
    (folder / f"PROCESSED/MPRAGE/T88_111/{name}_mpr_n4_anon_111_t88_masked_gfc.img").write_bytes(b"not this one")


@pytest.fixture(scope="module")
def known(volume: Volumes) -> Manifest:
    """The set: slice k at height 72 + k, its rows against x, each scaled by its brightest pixel and truncated."""
    digests = {}
    for case, split in CASES.items():
        image, classes = scan_of(volume, f"OAS1_0{case}_MR{2 if case in RESCANNED else 1}")
        for k in range(32):
            plane = image[::-1, :, 72 + k]
            grey = np.floor(plane * 255.0 / plane.max()).astype(np.uint8)
            label = (classes[::-1, :, 72 + k] * 85).astype(np.uint8)
            for folder, prefix, pixels in ((split, "case", grey), (f"seg_{split}", "seg", label)):
                name = f"keras_png_slices_{folder}/{prefix}_{case}_slice_{k}.nii.png"
                digests[name] = hashlib.sha256(encode_png(np.pad(pixels, ((40, 40), (24, 24))))).digest()[:8]
    return Manifest(CASES, digests, RESCANNED)


@pytest.fixture(scope="module")
def discs(volume: Volumes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a space and an umlaut that holds two discs."""
    place = tmp_path_factory.mktemp("discs") / "OASIS 1 für alle"
    for name in ("OAS1_0001_MR1", "OAS1_0001_MR2", "OAS1_0002_MR1", "OAS1_0002_MR2"):
        write_scan(place / "disc1", name, volume)
    for name in ("OAS1_0402_MR1", "OAS1_0008_MR1", "OAS1_0441_MR1"):
        write_scan(place / "disc2", name, volume)
    yield place
    shutil.rmtree(place.parent)


def test_the_command_cuts_the_set_from_the_discs_and_says_by_its_status_whether_it_is_the_published_one(
    discs: Path, known: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = command("data", "rebuild", tmp_path / "other", discs / "disc1")
    assert done.returncode == 1, done.stderr
    assert "2 of 354 scans" in done.stdout
    assert "Not written (352): " in done.stdout
    assert "train: 19200 missing, 0 extra, 128 different of 19328 files" in done.stdout
    monkeypatch.setattr(program, "published", lambda: known)
    out = tmp_path / "new" / "tree é"
    done = command("data", "rebuild", out, discs / "disc1", discs)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 scans" in done.stdout
    assert "train: complete and authentic, 128 files" in done.stdout
    assert load_dataset(out).subjects == {case: f"OAS1_0{case}" for case in CASES}


# What can be wrong with a subject: each harm is done to one of its own on a disc where subject 1 is whole.


def link_scan(discs: Path, place: Path, name: str) -> Path:
    """A scan on a disc of its own: links to the big files of subject 1, which a harm replaces, not changes."""
    for path in (discs / "disc1" / "OAS1_0001_MR1").rglob("*.*"):
        copy = Path(str(place / path.relative_to(discs / "disc1")).replace("OAS1_0001_MR1", name))
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, copy)
    return place / name


HARMS: dict[str, tuple[dict[str, Callable[[bytes], bytes]], str]] = {
    "0100": ({"gfc.img": lambda content: content[:-1000]}, r"Expected \d+ bytes, got"),
    "0101": (
        {"gfc.hdr": lambda _: header_of((32767, 32767, 32767), np.int16)},
        "has 32767x32767x32767 voxels, not 176x208x176; get the disc again",
    ),
    "0102": ({"gfc.hdr": lambda _: bytes(range(256)) + bytes(92)}, "cannot be used"),
    "0103": (
        {"gfc.hdr": lambda _: header_of(SHAPE, np.complex64), "gfc.img": lambda content: 4 * content},
        "has values that are not real numbers",
    ),
    "0104": ({"masked_gfc_fseg.img": lambda content: bytes([1]) * len(content)}, "its labels are not 0, 1, 2, 3"),
    "0105": ({"masked_gfc_fseg.img": lambda content: bytes(len(content))}, "its labels are not 0, 1, 2, 3"),
}
"""What each scan has in some of its files, and what its sentence says."""


def test_a_broken_subject_gets_one_sentence_and_does_not_stop_the_others(
    discs: Path, known: Manifest, tmp_path: Path
) -> None:
    link_scan(discs, tmp_path / "disc1", "OAS1_0001_MR1")
    for name, (harms, _) in HARMS.items():
        scan = link_scan(discs, tmp_path / "disc1", f"OAS1_{name}_MR1")
        for end, harm in harms.items():
            (path,) = scan.rglob(f"*_t88_{end}")
            content = harm(path.read_bytes())
            path.unlink()
            path.write_bytes(content)
    larger = Manifest(known.cases | {name[1:]: "train" for name in HARMS}, known.digests)
    cases, problems = rebuild(tmp_path / "tree", [tmp_path / "disc1"], larger)
    shutil.rmtree(tmp_path)  # 300 MB
    assert [case.name for case in cases] == ["001"]
    for (name, (_, sentence)), problem in zip(HARMS.items(), problems, strict=True):
        assert re.search(f"OAS1_{name}_MR1.*{sentence}", problem)


# Mistakes: nothing can be written, and nothing is left behind.


def test_places_without_scans_are_named(tmp_path: Path, known: Manifest) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "OAS1_0001_MR1_mpr_n4_anon_111_t88_gfc.hdr").touch()
    (tmp_path / "disc1.tar.gz").touch()
    before = sorted(os.listdir(tmp_path))
    for places, part in (
        (["none"], "none is not a folder: name the folder of a disc"),
        (["disc1.tar.gz"], r"unpack a \.tar\.gz first"),
        (["empty"], "empty: no scan of the published set; name the folders"),
        ([], "no disc: no scan of the published set"),
    ):
        with pytest.raises(UserError, match=part):
            rebuild(tmp_path / "tree", [tmp_path / place for place in places], known)
    with pytest.raises(UserError, match="exists already"):
        rebuild(tmp_path / "empty", [], known)
    assert sorted(os.listdir(tmp_path)) == before


SAMPLE = GENUINE / "keras_png_sample"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the genuine pair is not here")
@pytest.mark.parametrize("name", ["case_001_slice_0.nii.png", "seg_001_slice_0.nii.png"])
def test_png_files_have_the_genuine_bytes(name: str) -> None:
    with Image.open(SAMPLE / name) as image:
        assert encode_png(np.asarray(image)) == (SAMPLE / name).read_bytes()
