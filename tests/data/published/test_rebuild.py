"""OASIS-1 discs to slices: made-up discs, and the set that is cut from them as the published one is known to be."""

import gzip
import hashlib
import io
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from checked import present
from helpers import command
from nibabel.analyze import AnalyzeHeader
from PIL import Image

from oasis_jax.data import __main__ as program
from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.published.discs import SHAPE
from oasis_jax.data.published.manifest import Manifest
from oasis_jax.data.published.rebuild import Rebuilt, rebuild
from oasis_jax.data.published.verify import compare
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


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.pad(pixels, ((40, 40), (24, 24)))).save(file, "PNG")
    return file.getvalue()


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
                digests[name] = hashlib.sha256(png(pixels)).digest()[:8]
    return Manifest(CASES, digests, RESCANNED)


@pytest.fixture(scope="module")
def discs(volume: Volumes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a space and an umlaut that holds a disc as a folder and one as an archive."""
    place = tmp_path_factory.mktemp("discs") / "OASIS 1 für alle"
    for name in ("OAS1_0001_MR1", "OAS1_0001_MR2", "OAS1_0002_MR1", "OAS1_0002_MR2"):
        write_scan(place / "disc1", name, volume)
    outside = place.parent / "disc2"
    for name in ("OAS1_0402_MR1", "OAS1_0008_MR1", "OAS1_0441_MR1"):
        write_scan(outside, name, volume)
    with tarfile.open(place / "oasis_cross-sectional_disc2.tar.gz", "w:gz", compresslevel=1) as file:
        file.add(outside, "disc2")
    yield place
    shutil.rmtree(place.parent)


def test_the_set_is_cut_from_the_discs(discs: Path, known: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "new" / "tree é"
    assert rebuild(out, [discs], known) == Rebuilt(tuple(map(known.scan_of, CASES)), (), ())
    assert all(split.authentic for split in compare(out, known).values())
    assert load_dataset(out).subjects == {case: f"OAS1_0{case}" for case in CASES}
    assert os.listdir(out.parent) == [out.name]


def test_scans_that_are_not_on_the_discs_are_named(discs: Path, known: Manifest, tmp_path: Path) -> None:
    rebuilt = rebuild(tmp_path / "tree", [discs / "disc1"], known)
    assert rebuilt == Rebuilt(("OAS1_0001_MR1", "OAS1_0002_MR2"), ("OAS1_0402_MR1", "OAS1_0441_MR1"), ())
    found = compare(tmp_path / "tree", known)
    assert {name: (split.identical, split.files) for name, split in found.items()} == {
        "train": (128, 128),
        "validate": (0, 64),
        "test": (0, 64),
    }


# What can be wrong with a subject: each harm is done to one of its own on a disc where subject 1 is whole.


def link_scan(discs: Path, place: Path, name: str, source: str = "OAS1_0001_MR1") -> Path:
    """A scan on a disc of its own: links to the big files, which a harm replaces, not changes."""
    for path in (discs / "disc1" / source).rglob("*.*"):
        copy = Path(str(place / path.relative_to(discs / "disc1")).replace(source, name))
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, copy)
    return place / name


def the_file(scan: Path, end: str) -> Path:
    (path,) = scan.rglob(f"*_t88_{end}")
    return path


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def cut_short(scan: Path) -> None:
    path = the_file(scan, "gfc.img")
    replace(path, path.read_bytes()[:-1000])


def pipe(scan: Path) -> None:
    path = the_file(scan, "gfc.img")
    path.unlink()
    os.mkfifo(path)


def complex_values(scan: Path) -> None:
    replace(the_file(scan, "masked_gfc_fseg.hdr"), header_of(SHAPE, np.complex64))
    replace(the_file(scan, "masked_gfc_fseg.img"), bytes(8 * int(np.prod(SHAPE))))


def label_file(content: Callable[[Path], bytes]) -> Callable[[Path], None]:
    """A harm: other labels."""
    return lambda scan: replace(the_file(scan, "masked_gfc_fseg.img"), content(scan))


Harm = Callable[[Path], object]

HARMS: dict[str, tuple[Harm, str]] = {
    "OAS1_0100_MR1": (cut_short, r"\*_t88_gfc is damaged \(Expected \d+ bytes, got"),
    "OAS1_0101_MR1": (
        lambda scan: replace(the_file(scan, "gfc.hdr"), header_of((32767, 32767, 32767), np.int16)),
        r"\*_t88_gfc is damaged \(32767x32767x32767 voxels, not 176x208x176\)",
    ),
    "OAS1_0102_MR1": (
        lambda scan: replace(the_file(scan, "gfc.hdr"), bytes(range(256)) + bytes(92)),
        r"\*_t88_gfc is damaged",
    ),
    "OAS1_0103_MR1": (complex_values, r"\*_t88_masked_gfc_fseg is damaged \(values that are not real numbers\)"),
    "OAS1_0104_MR1": (
        label_file(lambda scan: the_file(scan, "gfc.img").read_bytes()),
        r"its labels are not 0, 1, 2, 3",
    ),
    "OAS1_0105_MR1": (label_file(lambda scan: bytes(2 * int(np.prod(SHAPE)))), r"none of its voxels is labelled"),
    "OAS1_0106_MR1": (
        lambda scan: the_file(scan, "masked_gfc_fseg.img").unlink(),
        r"\*_t88_masked_gfc_fseg.img not beside its other files in .*disc1",
    ),
    "OAS1_0107_MR1": (pipe, r"\*_t88_gfc.img not beside its other files"),
}
"""What is done to each scan, and what its sentence says."""


def test_a_broken_subject_gets_one_sentence_and_does_not_stop_the_others(
    discs: Path, known: Manifest, tmp_path: Path
) -> None:
    link_scan(discs, tmp_path / "disc1", "OAS1_0001_MR1")
    for name, (harm, _) in HARMS.items():
        harm(link_scan(discs, tmp_path / "disc1", name))
    larger = Manifest(known.cases | {name[6:9]: "train" for name in HARMS}, known.digests)
    rebuilt = rebuild(tmp_path / "tree", [tmp_path / "disc1"], larger)
    shutil.rmtree(tmp_path)  # 300 MB
    assert rebuilt.written == ("OAS1_0001_MR1",)
    assert set(HARMS) < set(rebuilt.missing)
    assert len(rebuilt.troubles) == len(HARMS)
    for trouble in rebuilt.troubles:
        assert re.match(HARMS[trouble.where][1], trouble.what), trouble


# What can be wrong with an archive.


@pytest.fixture
def disc(discs: Path, tmp_path: Path) -> Iterator[Path]:
    """A disc of the published scans of subjects 1 and 2."""
    for name in ("OAS1_0001_MR1", "OAS1_0002_MR2"):
        link_scan(discs, tmp_path / "disc1", name, source=name)
    yield tmp_path / "disc1"
    shutil.rmtree(tmp_path)  # 50 MB a test


def link_in_archive(disc: Path) -> Path:
    """Instead of an image of subject 1, a link under a name that leads out of the archive."""
    path = disc.with_name("link.tar")
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo(f"../../{the_file(disc / 'OAS1_0001_MR1', 'gfc.img').name}")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
        archive.add(the_file(disc / "OAS1_0001_MR1", "gfc.hdr"))
        archive.add(disc / "OAS1_0002_MR2", "disc1/OAS1_0002_MR2")
    return path


def truncated(disc: Path) -> Path:
    """Subject 2 comes first and is whole; the archive ends in the middle of subject 1."""
    path = disc.with_name("cut.tar.gz")
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(disc / "OAS1_0002_MR2", "disc1/OAS1_0002_MR2")
        whole = present(archive.fileobj).tell()
        archive.add(disc / "OAS1_0001_MR1", "disc1/OAS1_0001_MR1")
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content, 1)[: len(gzip.compress(content[:whole], 1)) + 5000])
    return path


def wrong_checksum(disc: Path) -> Path:
    path = disc.with_name("wrong.tar.gz")
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(disc / "OAS1_0002_MR2", "disc1/OAS1_0002_MR2")
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    return path


ARCHIVES: dict[Callable[[Path], Path], str] = {
    link_in_archive: r"OAS1_0001_MR1: \*_t88_gfc.img and .* not beside its other files in .*link.tar",
    truncated: r".*cut.tar.gz: cannot be read to its end \(Compressed file ended",
    wrong_checksum: r".*wrong.tar.gz: cannot be read to its end \(CRC check failed",
}


@pytest.mark.parametrize("harm", ARCHIVES, ids=lambda harm: harm.__name__)
def test_a_bad_archive_gives_what_it_can(
    disc: Path, known: Manifest, tmp_path: Path, harm: Callable[[Path], Path]
) -> None:
    place = harm(disc)
    before = sorted(tmp_path.rglob("*"))
    rebuilt = rebuild(tmp_path / "tree", [place], known)
    assert rebuilt.written == ("OAS1_0002_MR2",)
    assert re.match(ARCHIVES[harm], str(rebuilt.troubles[0]))
    assert sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "tree")) == before


def test_a_second_copy_makes_good_a_broken_one(disc: Path, discs: Path, known: Manifest, tmp_path: Path) -> None:
    cut_short(disc / "OAS1_0001_MR1")
    rebuilt = rebuild(tmp_path / "tree", [disc, discs / "disc1"], known)
    assert set(rebuilt.written) == {"OAS1_0001_MR1", "OAS1_0002_MR2"}
    assert rebuilt.troubles == ()


# Mistakes: nothing can be written, and nothing is left behind.


@pytest.mark.parametrize(
    ("places", "part"),
    [
        (["none"], "none does not exist: name a disc's folder"),
        (["empty"], "empty: no scan of the published set; name the folders"),
        (["text.tar.gz"], "no scan of the published set; .*\n.*text.tar.gz: cannot be read to its end"),
        (["other"], "other: no scan of the published set"),
        ([], "no disc: no scan of the published set"),
    ],
)
def test_places_without_scans_are_named(tmp_path: Path, known: Manifest, places: list[str], part: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar.gz").write_text("not an archive")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "OAS1_0008_MR1_mpr_n4_anon_111_t88_gfc.hdr").touch()
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(UserError, match=part):
        rebuild(tmp_path / "tree", [tmp_path / place for place in places], known)
    assert sorted(os.listdir(tmp_path)) == before


def test_an_existing_folder_is_left_alone(discs: Path, known: Manifest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        rebuild(tmp_path, [discs], known)
    assert os.listdir(tmp_path) == ["file"]


def test_an_interrupted_rebuild_leaves_nothing(discs: Path, known: Manifest, tmp_path: Path) -> None:
    def stop(items: Iterable, total: int, description: str) -> Iterator:
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(tmp_path / "tree", [discs], known, stop)
    assert os.listdir(tmp_path) == []


def test_the_command_says_it_by_its_status(
    discs: Path, known: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "published", lambda: known)
    with pytest.raises(SystemExit) as left:
        program.rebuild_tree(program.Rebuild(tmp_path / "tree", (discs / "disc1", discs)))
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert "4 of 4 scans" in text  # each once, though disc 1 was named twice
    assert "train: 128 of 128 files equal the published ones" in text


def test_the_command_compares_with_the_published_set(discs: Path, tmp_path: Path) -> None:
    done = command("data", "rebuild", tmp_path / "tree", discs / "disc1")
    assert done.returncode == 1, done.stderr
    assert "Wrote" in done.stdout
    assert "2 of 354 scans" in done.stdout
    assert "train: 0 of 19,328 files equal the published ones" in done.stdout
    assert "Not written (352): " in done.stdout
