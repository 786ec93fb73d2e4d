"""OASIS-1 discs to slices: made-up discs, and a set that was cut from them in a way the program must find out."""

import csv
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
from oasis_jax.data.published import scans
from oasis_jax.data.published.grey_rules import DEFAULT
from oasis_jax.data.published.manifest import Manifest
from oasis_jax.data.published.outcome import TABLE, Outcome, summary
from oasis_jax.data.published.rebuild import rebuild
from oasis_jax.data.published.scans import SHAPE
from oasis_jax.data.published.verify import compare
from oasis_jax.data.slices import encode_png
from oasis_jax.system.errors import UserError

SPLITS = {1: "train", 2: "train", 402: "validate", 441: "test"}
"""A small set: four subjects by number."""

FIRST = 101
"""The set's slice 0, from which the others go downward."""


@pytest.fixture(scope="module")
def volume() -> tuple[np.ndarray, np.ndarray]:
    """Intensities from 7 to 4000 and classes: an ellipsoid of shells, noisy where the set was cut."""
    rng = np.random.default_rng(0)
    grid = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in SHAPE)]
    radius = grid[0] ** 2 + grid[1] ** 2 + grid[2] ** 2 + 0.1 * np.sin(9 * grid[0] + 5 * grid[1] + 7 * grid[2])
    classes = np.array([radius < limit for limit in (0.7, 0.5, 0.3)]).sum(0, dtype=np.int16)
    image = np.int16(7) + classes * np.int16(900)
    image[40:140, 50:150, 60:110] += rng.integers(0, 1293, (100, 100, 50), np.int16)
    return image, classes


def scan_of(volume: tuple[np.ndarray, np.ndarray], number: int) -> tuple[np.ndarray, np.ndarray]:
    """A person: the volume, moved along the columns by the number."""
    image, classes = (np.roll(one, number % 7, axis=1) for one in volume)
    return image, classes


def write_analyze(stem: Path, values: np.ndarray) -> None:
    header = AnalyzeHeader(endianness=">")
    header.set_data_dtype(np.int16)
    header.set_data_shape(values.shape)
    stem.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{stem}.hdr").write_bytes(header.binaryblock)
    Path(f"{stem}.img").write_bytes(values.astype(">i2").tobytes(order="F"))


def write_scan(disc: Path, name: str, scan: tuple[np.ndarray, np.ndarray]) -> None:
    image, classes = scan
    middle = disc / name / "PROCESSED/MPRAGE/T88_111" / f"{name}_mpr_n4_anon"
    write_analyze(Path(f"{middle}_111_t88_gfc"), image[..., None])
    for decoy in (f"{middle}_111_t88_masked_gfc.img", f"{middle}_sbj_111.img"):
        Path(decoy).write_bytes(b"not this one")
    write_analyze(disc / name / "FSL_SEG" / f"{name}_mpr_n4_anon_111_t88_masked_gfc_fseg", classes)


def pack(folder: Path) -> Path:
    archive = folder.with_name(f"oasis_cross-sectional_{folder.name}.tar.gz")
    with tarfile.open(archive, "w:gz", compresslevel=1) as file:
        file.add(folder, folder.name)
    return archive


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.pad(pixels, ((40, 40), (24, 24)))).save(file, "PNG")
    return file.getvalue()


def publish(volume: tuple[np.ndarray, np.ndarray], first: dict[int, int] | None = None) -> Manifest:
    """The set: from `FIRST` downward, columns reversed, greys as scipy.misc.bytescale makes them."""
    digests = {}
    for number, split in SPLITS.items():
        image, classes = scan_of(volume, number)
        for k in range(32):
            height = (first or {}).get(number, FIRST) - k
            plane = image[:, ::-1, height].astype(float)
            low, high = plane.min(), plane.max()
            grey = ((plane - low) * (255 / (high - low)) + 0.5).astype(np.uint8)
            label = (classes[:, ::-1, height] * 85).astype(np.uint8)
            for folder, prefix, pixels in ((split, "case", grey), (f"seg_{split}", "seg", label)):
                name = f"keras_png_slices_{folder}/{prefix}_{number:03d}_slice_{k}.nii.png"
                digests[name] = hashlib.sha256(png(pixels)).digest()[:8]
    return Manifest({f"{number:03d}": split for number, split in SPLITS.items()}, digests)


@pytest.fixture(scope="module")
def known(volume: tuple[np.ndarray, np.ndarray]) -> Manifest:
    return publish(volume)


@pytest.fixture(scope="module")
def discs(volume: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a space and an umlaut that holds a disc as a folder and one as an archive."""
    place = tmp_path_factory.mktemp("discs") / "OASIS 1 für alle"
    for name in ("OAS1_0001_MR1", "OAS1_0001_MR2", "OAS1_0002_MR1"):
        write_scan(place / "disc1", name, scan_of(volume, int(name[5:9])))
    outside = place.parent / "disc2"
    for name in ("OAS1_0402_MR1", "OAS1_0008_MR1", "OAS1_0441_MR1"):
        write_scan(outside, name, scan_of(volume, int(name[5:9])))
    pack(outside).rename(place / "oasis_cross-sectional_disc2.tar.gz")
    yield place
    shutil.rmtree(place.parent)


def run(out: Path, place: Path, known: Manifest) -> Outcome:
    return rebuild(out, [place], known, encode_png)


def test_the_way_the_set_was_cut_is_found(discs: Path, known: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "new" / "tree é"
    outcome = run(out, discs, known)
    assert outcome.proven
    assert outcome.troubles == []
    assert outcome.others == 2  # the second scan of subject 1, and a subject that the set does not have
    assert all(split.authentic for split in compare(out, known).values())
    with (out / TABLE).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 64
    assert {row["identical"] for row in rows} == {"True"}
    assert rows[2]["file"] == "keras_png_slices_train/case_001_slice_1.nii.png"
    assert (rows[2]["scan"], rows[2]["height"]) == ("OAS1_0001_MR1", str(FIRST - 1))
    text = summary(outcome, known)
    assert "train: 2 of 2 scans; byte for byte as published: 64 of 64 images, 64 of 64 labels" in text
    assert "Height of slice 0: 101 downward, columns reversed (4 scans)" in text
    assert "Grey rule: scipy.misc.bytescale of min-max (4 scans)" in text
    assert text.endswith("All is there, byte for byte as published.")
    assert len(load_dataset(out).splits["train"]) == 64
    assert os.listdir(out.parent) == [out.name]


def test_a_scan_cut_elsewhere_is_searched_for_and_named(
    discs: Path, volume: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    other = publish(volume, {2: FIRST - 9})
    outcome = run(tmp_path / "tree", discs / "disc1", other)
    assert not outcome.proven  # two subjects are on the other disc
    assert all(row.identical for row in outcome.rows)
    assert outcome.missing == ("OAS1_0402_MR1", "OAS1_0441_MR1")
    text = summary(outcome, other)
    assert "92 downward, columns reversed: OAS1_0002_MR1" in text
    assert "Not written (2): OAS1_0402_MR1, OAS1_0441_MR1" in text


def test_a_file_that_differs_is_told_from_the_others(discs: Path, known: Manifest, tmp_path: Path) -> None:
    file = "keras_png_slices_seg_train/seg_002_slice_9.nii.png"
    outcome = run(tmp_path / "tree", discs / "disc1", unlike(known, file))
    assert [row.file for row in outcome.rows if not row.identical] == [file]
    text = summary(outcome, known)
    assert "64 of 64 images, 63 of 64 labels" in text
    assert "  32 of 32 images, 31 of 32 labels: OAS1_0002_MR1" in text
    assert f"Not all is as published: {TABLE} says which files are (column identical)" in text
    assert text.endswith("The others are not proven; they were made in the way that gives the files that match.")


def test_a_scan_that_matches_nowhere_is_cut_like_the_one_before(discs: Path, known: Manifest, tmp_path: Path) -> None:
    outcome = run(tmp_path / "tree", discs / "disc1", unlike(known, "_002_"))
    first, second = outcome.recipes.values()
    assert first == second
    assert {row.identical for row in outcome.rows if row.scan == "OAS1_0001_MR1"} == {True}
    assert {row.identical for row in outcome.rows if row.scan == "OAS1_0002_MR1"} == {False}
    text = summary(outcome, known)
    assert "Byte for byte as published: 32 of 32 images, 32 of 32 labels (1 scans)" in text
    assert "  0 of 32 images, 0 of 32 labels: OAS1_0002_MR1" in text


def unlike(known: Manifest, part: str) -> Manifest:
    return Manifest(known.cases, {n: b"8 bytes!" if part in n else d for n, d in known.digests.items()})


def test_without_a_matching_rule_the_labels_alone_are_verified(discs: Path, known: Manifest, tmp_path: Path) -> None:
    outcome = run(tmp_path / "tree", discs / "disc1", unlike(known, "case_"))
    assert {row.identical for row in outcome.rows if row.rule} == {False}
    assert {row.identical for row in outcome.rows if not row.rule} == {True}
    assert {recipe.rule for recipe in outcome.recipes.values()} == {DEFAULT}
    text = summary(outcome, known)
    assert "no known grey rule gives the published images" in text
    assert f"Not proven: {PRODUCT}." in text  # the labels prove how the discs store their axes
    assert COUNTED in text


def assert_cut_as_known(outcome: Outcome, out: Path, volume: tuple[np.ndarray, np.ndarray]) -> None:
    """Slice 5 lies at height 77, its rows run against the first axis, its greys are truncated; no digest matches."""
    assert not any(row.identical for row in outcome.rows)
    assert {row.height for row in outcome.rows if "_slice_5." in row.file} == {77}
    image, classes = (values[::-1, :, 77] for values in scan_of(volume, 1))
    grey = np.floor(image * 255.0 / image.max())
    for name, pixels in (("train/case", grey), ("seg_train/seg", classes * 85)):
        with Image.open(out / f"keras_png_slices_{name}_001_slice_5.nii.png") as png:
            assert np.array_equal(np.asarray(png), np.pad(pixels, ((40, 40), (24, 24))))


PROVEN = "Proven by 290 genuine label files: height, directions and labels of slice 17."
COUNTED = "Counted in 400 genuine images: the brightest pixel is 255 and the scaling truncates."
AXES = "Not proven: how the discs store their axes"
PRODUCT = "the exact product of the scaling"


def test_where_nothing_matches_the_slices_are_cut_as_known(
    discs: Path, known: Manifest, volume: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    out = tmp_path / "tree"
    outcome = rebuild(
        out, [discs / "disc1"], unlike(known, "_"), lambda pixels: encode_png(pixels) + b"by this encoder"
    )
    assert_cut_as_known(outcome, out, volume)
    assert (out / "keras_png_slices_train/case_001_slice_5.nii.png").read_bytes().endswith(b"by this encoder")
    text = summary(outcome, known)
    assert "Byte for byte as published: 0 of 32 images, 0 of 32 labels (2 scans)" in text
    assert "Not verified: no file matches a published digest." in text
    for part in (PROVEN, COUNTED, AXES, PRODUCT):
        assert part in text


def test_another_zlib_is_said_to_prevent_the_proof(
    discs: Path, known: Manifest, volume: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    out = tmp_path / "tree"
    outcome = rebuild(out, [discs / "disc1"], known, None)
    assert_cut_as_known(outcome, out, volume)
    text = summary(outcome, known)
    assert "this machine's zlib writes other PNG bytes" in text
    assert AXES in text


# Subjects with two scans.


@pytest.fixture
def two_scans(discs: Path, tmp_path: Path) -> Iterator[list[Path]]:
    """A disc with the first scan of subject 2, which is not the published one, and a disc with the second, which is."""
    link_scan(discs, tmp_path / "disc1", 2, source=1)
    link_scan(discs, tmp_path / "disc2", 2, source=2, session=2)
    yield [tmp_path / "disc1", tmp_path / "disc2"]
    shutil.rmtree(tmp_path)  # 50 MB a test


@pytest.mark.parametrize("order", [1, -1])
def test_the_scan_that_matches_is_written(two_scans: list[Path], known: Manifest, tmp_path: Path, order: int) -> None:
    outcome = rebuild(tmp_path / "tree", two_scans[::order], known, encode_png)
    assert list(outcome.recipes) == ["OAS1_0002_MR2"]
    assert len(outcome.rows) == 64
    assert {(row.scan, row.identical) for row in outcome.rows} == {("OAS1_0002_MR2", True)}
    assert all(digest(tmp_path / "tree" / row.file) == known.digests[row.file] for row in outcome.rows)
    assert (outcome.others, outcome.troubles) == (1, [])


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(("rescanned", "scan"), [((), "OAS1_0002_MR1"), (("002",), "OAS1_0002_MR2")])
def test_without_a_proof_the_expected_scan_is_written(
    two_scans: list[Path], known: Manifest, tmp_path: Path, order: int, rescanned: tuple[str, ...], scan: str
) -> None:
    expected = Manifest(known.cases, known.digests, frozenset(rescanned))
    outcome = rebuild(tmp_path / "tree", two_scans[::order], expected, None)
    assert {row.scan for row in outcome.rows} == {scan}
    assert list(outcome.recipes) == [scan]
    assert outcome.others == 1


def test_another_scan_than_the_expected_is_not_written_unproven(
    two_scans: list[Path], known: Manifest, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="disc2: 1 scans, none of them of the published set"):
        rebuild(tmp_path / "tree", two_scans[1:], known, None)


def test_a_broken_scan_is_no_trouble_where_the_other_is_proven(
    two_scans: list[Path], known: Manifest, tmp_path: Path
) -> None:
    cut_short(two_scans[0] / "OAS1_0002_MR1")
    assert rebuild(tmp_path / "tree", two_scans, known, encode_png).troubles == []


def digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()[:8]


# What can be wrong with a subject: each harm is done to one of its own on a disc where subject 2 is whole.


def link_scan(discs: Path, place: Path, number: int, source: int = 1, session: int = 1) -> Path:
    """A scan on a disc of its own: links to the big files, which a harm replaces, not changes."""
    old, new = f"OAS1_{source:04d}_MR1", f"OAS1_{number:04d}_MR{session}"
    for path in (discs / "disc1" / old).rglob("*.*"):
        copy = Path(str(place / path.relative_to(discs / "disc1")).replace(old, new))
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, copy)
    return place / new


def the_file(scan: Path, end: str) -> Path:
    (path,) = scan.rglob(f"*_t88_{end}")
    return path


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def header_of(shape: tuple[int, ...], dtype: type) -> bytes:
    header = AnalyzeHeader(endianness=">")
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    return header.binaryblock


def cut_short(scan: Path) -> None:
    path = the_file(scan, "gfc.img")
    replace(path, path.read_bytes()[:-1000])


def empty_header(scan: Path) -> None:
    replace(the_file(scan, "masked_gfc_fseg.hdr"), b"")


def wild_header(scan: Path) -> None:
    replace(the_file(scan, "gfc.hdr"), bytes(range(256)) + bytes(92))


def promising_header(scan: Path) -> None:
    replace(the_file(scan, "gfc.hdr"), header_of((32767, 32767, 32767), np.int16))


def endless_header(scan: Path) -> None:
    path = the_file(scan, "gfc.hdr")
    content = bytearray(path.read_bytes())
    content[108:112] = np.float32(1e30).astype(">f4").tobytes()  # where in the file the voxels begin
    replace(path, bytes(content))


def complex_values(scan: Path) -> None:
    replace(the_file(scan, "masked_gfc_fseg.hdr"), header_of(SHAPE, np.complex64))
    replace(the_file(scan, "masked_gfc_fseg.img"), bytes(8 * SHAPE[0] * SHAPE[1] * SHAPE[2]))


def wrong_labels(scan: Path) -> None:
    replace(the_file(scan, "masked_gfc_fseg.img"), the_file(scan, "gfc.img").read_bytes())


def no_labels(scan: Path) -> None:
    the_file(scan, "masked_gfc_fseg.img").unlink()


def blank_labels(scan: Path) -> None:
    replace(the_file(scan, "masked_gfc_fseg.img"), bytes(2 * SHAPE[0] * SHAPE[1] * SHAPE[2]))


def link_out(scan: Path) -> None:
    path = the_file(scan, "gfc.img")
    outside = scan.parent.parent / "outside.img"
    path.rename(outside)
    path.symlink_to(outside)


def link_folder_out(scan: Path) -> None:
    outside = scan.parent.parent / "outside"
    scan.rename(outside)
    scan.symlink_to(outside)


def huge_file(scan: Path) -> None:
    path = the_file(scan, "gfc.img")
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2**27)


def link_to_nothing(scan: Path) -> None:
    path = the_file(scan, "gfc.img")
    path.unlink()
    path.symlink_to(scan / "nothing.img")


def pipe(scan: Path) -> None:
    path = the_file(scan, "gfc.img")
    path.unlink()
    os.mkfifo(path)


HARMS: dict[Callable[[Path], None], str] = {
    cut_short: r"SCAN: \*_t88_gfc is damaged \(Expected \d+ bytes, got",
    empty_header: r"SCAN: \*_t88_masked_gfc_fseg is damaged",
    wild_header: r"SCAN: \*_t88_gfc is damaged",
    promising_header: r"SCAN: \*_t88_gfc is damaged \(32767x32767x32767 voxels, not 176x208x176\)",
    endless_header: r"SCAN: \*_t88_gfc is damaged",
    complex_values: r"SCAN: \*_t88_masked_gfc_fseg is damaged \(values that are not real numbers\)",
    wrong_labels: r"SCAN: its labels are not 0, 1, 2, 3",
    no_labels: r"SCAN: \*_t88_masked_gfc_fseg.img not beside its other files in .*disc1",
    blank_labels: r"SCAN: none of its voxels is labelled",
    link_out: r"SCAN_mpr_n4_anon_111_t88_gfc.img: skipped, a link that leads out of the disc; name its target",
    link_folder_out: r"SCAN: skipped, a link that leads out of the disc; name its target",
    huge_file: r"SCAN_mpr_n4_anon_111_t88_gfc.img: skipped, 134217728 bytes are too many for a T88_111 volume",
    pipe: r"SCAN_mpr_n4_anon_111_t88_gfc.img: skipped, not a regular file",
    link_to_nothing: r"SCAN_mpr_n4_anon_111_t88_gfc.img: cannot be read \(No such file",
}

NUMBERS = {harm: number for number, harm in enumerate(HARMS, 100)}


@pytest.fixture(scope="module")
def wrecked(discs: Path, known: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Outcome, str]]:
    """What became of a disc with every harm, and the summary."""
    folder = tmp_path_factory.mktemp("wrecked")
    for harm, number in NUMBERS.items():
        harm(link_scan(discs, folder / "disc1", number))
    link_scan(discs, folder / "disc1", 2, source=2)
    larger = Manifest(known.cases | {str(number): "train" for number in NUMBERS.values()}, known.digests)
    before = sorted(folder.rglob("*"))
    outcome = run(folder / "tree", folder / "disc1", larger)
    after = sorted(path for path in folder.rglob("*") if not path.is_relative_to(folder / "tree"))
    assert after == before
    yield outcome, summary(outcome, larger)
    shutil.rmtree(folder)


def test_broken_subjects_do_not_stop_the_others(wrecked: tuple[Outcome, str]) -> None:
    outcome, text = wrecked
    assert list(outcome.recipes) == ["OAS1_0002_MR1"]
    assert all(row.identical for row in outcome.rows)
    assert f"Not written ({len(HARMS) + 3})" in text
    assert text.endswith("What was written is byte for byte as published, but scans are missing.")


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_a_broken_subject_gets_one_sentence(wrecked: tuple[Outcome, str], harm: Callable[[Path], None]) -> None:
    outcome, text = wrecked
    scan = f"OAS1_{NUMBERS[harm]:04d}_MR1"
    assert scan in outcome.missing
    sentence = re.compile(HARMS[harm].replace("SCAN", scan))
    assert sum(bool(sentence.search(line)) for line in text.splitlines()) == 1, text


# What can be wrong with an archive.


@pytest.fixture
def disc(discs: Path, tmp_path: Path) -> Iterator[Path]:
    """A disc of subjects 1 and 2."""
    for number in (1, 2):
        link_scan(discs, tmp_path / "disc1", number, source=number)
    yield tmp_path / "disc1"
    shutil.rmtree(tmp_path)  # 50 MB a test


def add(archive: tarfile.TarFile, source: Path, name: str, **facts: object) -> None:
    member = archive.gettarinfo(source, name)
    member.name = name
    for fact, value in facts.items():
        setattr(member, fact, value)
    with source.open("rb") as file:
        archive.addfile(member, file if member.isreg() else None)


def astray(disc: Path) -> Path:
    """Subject 1 under names that lead out of the archive, absolute and by `..`."""
    path = disc.with_name("astray.tar.gz")
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for k, file in enumerate(sorted((disc / "OAS1_0001_MR1").rglob("*.*"))):
            add(archive, file, f"{'disc1/../..' if k % 2 else disc.parent}/{file.name}")
        archive.add(disc / "OAS1_0002_MR1", "disc1/OAS1_0002_MR1")
    return path


def link_in_archive(disc: Path) -> Path:
    path = disc.with_name("link.tar")
    image = the_file(disc / "OAS1_0001_MR1", "gfc.img")
    with tarfile.open(path, "w") as archive:
        add(archive, image, f"disc1/{image.name}", type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0)
        archive.add(disc / "OAS1_0002_MR1", "disc1/OAS1_0002_MR1")
    return path


def truncated(disc: Path) -> Path:
    """Subject 2 comes first and is whole; the archive ends in the middle of subject 1."""
    path = disc.with_name("cut.tar.gz")
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(disc / "OAS1_0002_MR1", "disc1/OAS1_0002_MR1")
        whole = present(archive.fileobj).tell()
        archive.add(disc / "OAS1_0001_MR1", "disc1/OAS1_0001_MR1")
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content, 1)[: len(gzip.compress(content[:whole], 1)) + 5000])
    return path


ARCHIVES: dict[Callable[[Path], Path], str] = {
    astray: r"astray.tar.gz: skipped 6 names that lead out of the archive, such as '.*OAS1_0001",
    link_in_archive: r"link.tar, disc1/OAS1_0001_MR1.*gfc.img: skipped, a link and not a file",
    truncated: r"cut.tar.gz: cannot be read to its end \(Compressed file ended",
}


@pytest.mark.parametrize("harm", ARCHIVES, ids=lambda harm: harm.__name__)
def test_a_bad_archive_gives_what_it_can(
    disc: Path, known: Manifest, tmp_path: Path, harm: Callable[[Path], Path]
) -> None:
    place = harm(disc)
    before = sorted(tmp_path.rglob("*"))
    outcome = run(tmp_path / "tree", place, known)
    assert list(outcome.recipes) == ["OAS1_0002_MR1"]
    assert all(row.identical for row in outcome.rows)
    text = summary(outcome, known)
    assert sum(bool(re.search(ARCHIVES[harm], line)) for line in text.splitlines()) == 1, text
    after = sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "tree"))
    assert after == before


def test_a_second_copy_makes_good_a_broken_one(disc: Path, discs: Path, known: Manifest, tmp_path: Path) -> None:
    cut_short(disc / "OAS1_0001_MR1")
    outcome = rebuild(tmp_path / "tree", [disc, discs / "disc1"], known, encode_png)
    assert outcome.recipes.keys() == {"OAS1_0001_MR1", "OAS1_0002_MR1"}
    assert outcome.troubles == []


def test_files_of_a_scan_that_lie_far_apart_are_not_hoarded(
    disc: Path, known: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "_OPEN", 1)
    path = tmp_path / "mixed.tar"
    with tarfile.open(path, "w") as archive:
        for file in sorted(disc.rglob("*_t88_*.*"), key=lambda file: file.name[13:]):
            archive.add(file, file.name)
    with pytest.raises(UserError, match=r"OAS1_0001_MR1: .* not beside its other files in .*mixed.tar"):
        run(tmp_path / "tree", path, known)


# Mistakes: nothing can be written, and nothing is left behind.


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ("none", "none does not exist: name a disc's folder"),
        ("empty", "empty: no OASIS-1 scan; name the folders"),
        ("text.tar.gz", "No scan could be rebuilt from .*\n.*text.tar.gz: cannot be read to its end"),
    ],
)
def test_a_place_without_scans_is_named(tmp_path: Path, known: Manifest, place: str, part: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar.gz").write_text("not an archive")
    with pytest.raises(UserError, match=part):
        run(tmp_path / "tree", tmp_path / place, known)
    assert sorted(os.listdir(tmp_path)) == ["empty", "text.tar.gz"]


def test_no_place_at_all_is_a_mistake(known: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no disc: no OASIS-1 scan"):
        rebuild(tmp_path / "tree", [], known, encode_png)


def test_discs_of_other_subjects_are_named(discs: Path, known: Manifest, tmp_path: Path) -> None:
    other = Manifest({"077": "train"}, known.digests)
    with pytest.raises(UserError, match="disc1: 3 scans, none of them of the published set"):
        run(tmp_path / "tree", discs / "disc1", other)
    assert os.listdir(tmp_path) == []


def test_an_existing_folder_is_left_alone(discs: Path, known: Manifest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        run(tmp_path, discs, known)
    assert os.listdir(tmp_path) == ["file"]


def test_an_interrupted_rebuild_leaves_nothing(discs: Path, known: Manifest, tmp_path: Path) -> None:
    def stop(items: Iterable, total: int, description: str) -> Iterator:
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(tmp_path / "tree", [discs], known, encode_png, stop)
    assert os.listdir(tmp_path) == []


def test_the_command_says_it_by_its_status(
    discs: Path, known: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "published", lambda: known)
    monkeypatch.setattr(program, "published_encoder", lambda: encode_png)
    with pytest.raises(SystemExit) as left:
        program.rebuild_tree(program.Rebuild(tmp_path / "tree", (discs / "disc1", discs)))
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert "train: 2 of 2 scans" in text  # each once, though disc 1 was named twice
    assert "All is there" in text


def test_the_command_compares_with_the_published_set(discs: Path, tmp_path: Path) -> None:
    done = command("data", "rebuild", tmp_path / "tree", discs / "disc1")
    assert done.returncode == 1, done.stderr
    assert "train: 2 of 302 scans; byte for byte as published: 0 of 64 images" in done.stdout
    assert "Not verified: " in done.stdout
