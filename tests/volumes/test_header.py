"""Headers of volumes: sizes that no head has, repairs, damage and orientation, each with its own sentence."""

import gzip
from collections.abc import Callable
from pathlib import Path

import fuzz
import nibabel as nib
import numpy as np
import pytest
from checked import load, present
from helpers import save
from hypothesis import given
from hypothesis import strategies as st
from nibabel.affines import apply_affine

from oasis_jax.system.errors import UserError
from oasis_jax.volumes import header
from oasis_jax.volumes.nifti import check_slices, read_volume, slice_spacing, write_volume

VALUES = np.arange(24 * 26 * 3, dtype=np.int16).reshape(24, 26, 3)


def changed(path: Path, change: Callable[[np.ndarray], None], affine: np.ndarray | None = None) -> Path:
    """A NIfTI-1 file whose header was changed after it was written, whatever nibabel thinks of it."""
    nib.save(nib.Nifti1Image(VALUES, np.eye(4) if affine is None else affine), path)
    content = bytearray(path.read_bytes())
    fields = np.frombuffer(content, nib.Nifti1Header.template_dtype, 1)  # a view: what is set here is set there
    change(fields)
    path.write_bytes(bytes(content))
    return path


def lies_by_qform(fields: np.ndarray) -> None:
    fields["qform_code"], fields["sform_code"] = 1, 0


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_volume(path)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("spacing", "unit", "parts"),
    [
        ((1, 1, 1), 1, ("1000 x 1000 x 1000 mm", "metre")),
        ((1, 1, 1), 3, ("0.001 x 0.001 x 0.001 mm", "micron")),
        ((25, 1, 1), 2, ("25 x 1 x 1 mm", "mm")),
        ((0.09, 1, 1), 0, ("0.09 x 1 x 1 mm", "no unit")),
    ],
)
def test_sizes_that_no_head_has_are_refused_by_spacing_and_unit(
    spacing: tuple[float, ...], unit: int, parts: tuple[str, ...], tmp_path: Path
) -> None:
    sentence = refusal(changed(tmp_path / "a.nii", lambda f: f["xyzt_units"].fill(unit), np.diag([*spacing, 1.0])))
    assert all(part in sentence for part in ("voxels of a head are 0.1 to 20 mm", *parts))


def test_a_field_of_view_beyond_a_metre_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.zeros((60, 3, 3), np.uint8), (17, 1, 1))
    assert "an extent of 1020 x 3 x 3 mm" in refusal(path)
    widest = read_volume(save(tmp_path / "b.nii", np.zeros((50, 3, 3), np.uint8), (20, 1, 0.1)))
    assert widest.spacing == pytest.approx((20, 1, 0.1))


def test_a_size_that_nibabel_would_invent_is_refused_and_other_repairs_give_a_note(tmp_path: Path) -> None:
    def lost(fields: np.ndarray) -> None:
        lies_by_qform(fields)
        fields["pixdim"][0, 3] = 0

    assert "measure 0 mm (pixdim)" in refusal(changed(tmp_path / "a.nii", lost))
    repaired = read_volume(changed(tmp_path / "b.nii", lambda f: f["pixdim"][0, 1:4].fill(0)))  # the sform has the size
    assert repaired.spacing == (1, 1, 1)
    assert any("pixdim" in note for note in repaired.notes)
    sound = read_volume(changed(tmp_path / "c.nii", lambda f: f["pixdim"][0, :1].fill(0)))  # as the standard allows
    assert not sound.notes


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("srow_x", np.nan, "numbers that are not finite"),
        ("srow_z", 0, "has voxels of 1 x 1 x 0 mm"),
        ("srow_x", (1, 19, 19, 0), "its axes lie in one plane"),
        ("vox_offset", 1e8, "its header is damaged"),
        ("dim", (3, 500, 500, 500, 1, 1, 1, 1), "cut short"),
        ("dim", (3, 30000, 30000, 30000, 1, 1, 1, 1), "claims 30000 x 30000 x 30000 voxels"),
        ("dim", (2, 24, 26, 1, 1, 1, 1, 1), "shape 24 x 26: give one volume, a 3-D image, or one slice as a PNG file"),
        ("dim", (4, 12, 26, 3, 2, 1, 1, 1), "12 x 26 x 3 x 2: give one volume"),
        ("datatype", 32, "not one real number a voxel"),
        ("xyzt_units", 5, "does not exist (code 5)"),
    ],
)
def test_what_is_wrong_is_named(
    field: str, value: object, sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def change(fields: np.ndarray) -> None:
        fields[field] = value

    assert sentence in refusal(changed(tmp_path / "a.nii", change))
    assert not capfd.readouterr().err  # nibabel prints nothing by itself


def test_a_quaternion_that_is_none_and_files_that_are_no_volume_are_named(tmp_path: Path) -> None:
    def quaternion(fields: np.ndarray) -> None:
        lies_by_qform(fields)
        fields["quatern_b"], fields["quatern_c"] = 1, 1

    assert "its quaternion is no rotation" in refusal(changed(tmp_path / "a.nii", quaternion))
    (tmp_path / "h.nii").write_bytes(b"something else")
    assert "it is no NIfTI, Analyze or MGH file" in refusal(tmp_path / "h.nii")
    nib.save(nib.AnalyzeImage(VALUES, np.eye(4)), tmp_path / "i.img")
    (tmp_path / "i.img").unlink()
    assert "i.img is missing beside it" in refusal(tmp_path / "i.hdr")


def test_a_gzip_file_is_one_by_its_content_and_its_checksum_counts(tmp_path: Path) -> None:
    plain = save(tmp_path / "a.nii", VALUES).read_bytes()
    packed = bytearray(gzip.compress(plain))
    (tmp_path / "b.nii").write_bytes(packed)
    (tmp_path / "c.nii.gz").write_bytes(plain)
    for name in ("b.nii", "c.nii.gz"):
        assert np.array_equal(read_volume(tmp_path / name).values, VALUES)
    (tmp_path / "d.nii.gz").write_bytes(packed[:-4])
    assert "cut short" in refusal(tmp_path / "d.nii.gz")
    for place, sentence in ((-8, "its checksum is wrong"), (len(packed) // 2, "cannot be read as a volume")):
        packed[place] ^= 255
        (tmp_path / "e.nii.gz").write_bytes(packed)
        assert sentence in refusal(tmp_path / "e.nii.gz")
        packed[place] ^= 255
    (tmp_path / "e.nii.gz").write_bytes(packed + b"more")
    assert "something follows its end" in refusal(tmp_path / "e.nii.gz")
    (tmp_path / "f.nii.gz").write_bytes(gzip.compress(plain + b"more"))
    assert "goes on after the last voxel" in read_volume(tmp_path / "f.nii.gz").notes[0]


def test_a_bomb_is_unpacked_no_further_than_its_header_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "_AFTER", 2**16)
    unpacked = 0
    read = gzip.GzipFile.read

    def counted(file: gzip.GzipFile, size: int | None = -1) -> bytes:
        nonlocal unpacked
        unpacked += len(content := read(file, size))
        return content

    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(save(tmp_path / "a.nii", VALUES).read_bytes() + bytes(2**24)))
    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    read_volume(tmp_path / "a.nii.gz")
    assert unpacked < 2**18


@pytest.mark.parametrize("name", ["a.mgz", "a.mgh"])
def test_freesurfer_volumes_are_read_and_their_labels_lie_on_their_grid(name: str, tmp_path: Path) -> None:
    affine = np.array([[-1.0, 0, 0, 90], [0, 0, 1.2, -110], [0, -1.1, 0, 100], [0, 0, 0, 1]])
    image = nib.MGHImage(VALUES, affine)  # pyright: ignore[reportArgumentType]  # nibabel's ArrayLike lacks NumPy's arrays
    nib.save(image, tmp_path / name)
    volume = read_volume(tmp_path / name)
    assert np.array_equal(volume.values, VALUES.transpose(0, 2, 1)[::-1, :, ::-1])
    assert np.allclose(volume.spacing, (1, 1.2, 1.1))
    assert not volume.notes
    write_volume(tmp_path / "l.nii.gz", volume.values.astype(np.int16), volume)
    back = load(tmp_path / "l.nii.gz")
    assert np.array_equal(back.dataobj, VALUES)
    assert np.allclose(present(back.affine), affine)
    content = (tmp_path / name).read_bytes()
    content = bytearray(gzip.decompress(content) if name == "a.mgz" else content)
    content[28:30] = bytes(2)  # the flag without which nibabel makes up how it lies
    (tmp_path / name).write_bytes(gzip.compress(content) if name == "a.mgz" else content)
    assert "an MGH file that does not say how it lies (its goodRASFlag is 0): write it" in refusal(tmp_path / name)


def test_two_positions_in_one_header_give_a_note(tmp_path: Path) -> None:
    def moved(fields: np.ndarray) -> None:
        fields["qform_code"], fields["qoffset_x"] = 1, 7

    assert "differ, by up to 7" in read_volume(changed(tmp_path / "a.nii", moved)).notes[0]
    assert not read_volume(changed(tmp_path / "b.nii", lambda f: f["qform_code"].fill(1))).notes
    other = read_volume(changed(tmp_path / "c.nii", lambda f: f["pixdim"][0, 3:4].fill(3)))
    assert "1 x 1 x 3 for its voxels (pixdim) and its sform 1 x 1 x 1" in other.notes[0]


def test_values_that_cannot_be_used_give_a_note(tmp_path: Path) -> None:
    values = np.ones((24, 24, 4))
    values[:2, :12] = -1
    notes = read_volume(save(tmp_path / "a.nii", values.astype(np.int16))).notes
    assert notes == ("4.17 % of its voxels are below 0 and count as 0",)
    assert "100 % of its voxels" in read_volume(save(tmp_path / "b.nii", np.full((24, 24, 4), -9, np.int16))).notes[0]
    ringing = np.where(values < 0, -0.01, values).astype(np.float32)
    assert not read_volume(save(tmp_path / "c.nii", ringing)).notes
    values[0, 0] = np.nan, np.inf, 1e300, 1
    volume = read_volume(save(tmp_path / "d.nii", values))
    assert "3 voxel(s) are not finite numbers, or too large" in volume.notes[0]
    assert (volume.nonfinite, volume.values[0, 0].tolist()) == (3, [0, 0, 0, 1])


NUMBERS = st.floats(-1, 1).map(lambda x: round(x, 3))


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Any rotation, voxels of 0.3 to 10 mm, and axes that lean on each other by up to 40 degrees."""
    turn = np.linalg.qr(np.array(draw(st.lists(NUMBERS, min_size=9, max_size=9))).reshape(3, 3) + 2 * np.eye(3))[0]
    shear = np.eye(3)
    shear[np.triu_indices(3, 1)] = draw(st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3))
    signs = np.diag(draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3)))
    zooms = np.diag(draw(st.lists(st.floats(0.3, 10), min_size=3, max_size=3)))
    out = np.eye(4)
    out[:3, :3] = (turn @ shear @ zooms @ signs)[:, draw(st.permutations(range(3)))]
    out[:3, 3] = draw(st.lists(st.floats(-200, 200), min_size=3, max_size=3))
    return out


@given(affines(), st.sampled_from([("mm", 1.0), ("meter", 1e3), ("micron", 1e-3), ("unknown", 1.0)]))
def test_a_voxel_has_the_volume_that_its_affine_gives_it_and_labels_go_back_onto_it(
    tmp_path_factory: pytest.TempPathFactory, affine: np.ndarray, unit: tuple[str, float]
) -> None:
    folder = tmp_path_factory.mktemp("affine")
    stored = affine.copy()
    stored[:3] /= unit[1]
    image = nib.Nifti1Image(VALUES[:3, :4], stored)
    image.header.set_xyzt_units(unit[0])
    nib.save(image, folder / "a.nii")
    volume = read_volume(folder / "a.nii")
    a, b, c = affine[:3, :3].T
    assert volume.voxel == pytest.approx(abs(np.dot(np.cross(a, b), c)), rel=1e-4)
    for axis in ("sagittal", "coronal", "axial"):
        assert np.prod(slice_spacing(volume, axis)) == pytest.approx(volume.voxel, rel=1e-4)
    assert volume.rectangular == (not any("rectangular" in note for note in volume.notes))
    # Every voxel lies where nibabel says that it lies.
    ours = apply_affine(volume.affine, np.argwhere(volume.values >= 0))
    theirs = apply_affine(affine, np.argwhere(VALUES[:3, :4] >= 0))
    our_order, their_order = (np.argsort(values.ravel()) for values in (volume.values, VALUES[:3, :4]))
    assert np.allclose(ours[our_order], theirs[their_order], atol=1e-2)
    write_volume(folder / "b.nii", volume.values.astype(np.int16), volume)
    back = load(folder / "b.nii")
    assert np.array_equal(back.dataobj, VALUES[:3, :4])
    assert np.array_equal(present(back.affine), present(load(folder / "a.nii").affine))


def test_slices_one_pixel_high_are_no_slices(tmp_path: Path) -> None:
    volume = read_volume(save(tmp_path / "a.nii", VALUES[:1]))
    check_slices(read_volume(save(tmp_path / "b.nii", VALUES)), "axial")
    with pytest.raises(UserError, match=r"axial slices of 1 x 26 mm, too narrow for a head: it holds 1 sagittal"):
        check_slices(volume, "axial")


def test_broken_files_are_read_or_refused_by_name(tmp_path: Path) -> None:
    outcomes = {(kind, path.name): fuzz.outcome(path) for kind, path in fuzz.broken(tmp_path, 600)}
    sound = ("read", "read, with a note", "refused")
    assert {key: outcome for key, outcome in outcomes.items() if outcome not in sound} == {}
    assert sum(outcome == "refused" for outcome in outcomes.values()) > 200
    assert sum(outcome != "refused" for outcome in outcomes.values()) > 100
