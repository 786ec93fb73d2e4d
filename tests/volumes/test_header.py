"""Headers of volumes: sizes that no head has, repairs, damage and orientation, each with its own sentence."""

import gzip
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
from oasis_jax.volumes.nifti import check_slices, read_volume, slice_spacing, write_volume

VALUES = np.arange(24 * 26 * 3, dtype=np.int16).reshape(24, 26, 3)


def changed(path: Path, **fields: object) -> Path:
    """A NIfTI-1 file with an sform, whose header was changed after it was written, whatever nibabel thinks of it."""
    nib.save(nib.Nifti1Image(VALUES, np.eye(4)), path)
    content = bytearray(path.read_bytes())
    header = np.frombuffer(content, nib.Nifti1Header.template_dtype, 1)  # a view: what is set here is set there
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(bytes(content))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_volume(path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_a_field_of_view_beyond_a_metre_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.zeros((60, 3, 3), np.uint8), (17, 1, 1))
    assert "an extent of 1020 x 3 x 3 mm" in refusal(path)
    widest = read_volume(save(tmp_path / "b.nii", np.zeros((50, 3, 3), np.uint8), (20, 1, 0.1)))
    assert widest.spacing == pytest.approx((20, 1, 0.1))


BY_QFORM = {"qform_code": 1, "sform_code": 0}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"srow_x": (np.nan, 0, 0, 0)}, "numbers that are not finite"),
        ({"srow_z": 0}, "has voxels of 1 x 1 x 0 mm"),
        ({"srow_x": (25, 0, 0, 0), "xyzt_units": 2}, "an extent of 600 x 26 x 3 mm (unit in its header: mm)"),
        ({"srow_x": (0.09, 0, 0, 0)}, "0.09 x 1 x 1 mm and an extent of 2 x 26 x 3 mm (unit in its header: no unit"),
        ({"xyzt_units": 1}, "extent of 24000 x 26000 x 3000 mm (unit in its header: metre)"),
        ({"xyzt_units": 3}, "(unit in its header: micron), but voxels of a head are 0.1 to 20 mm wide"),
        ({"xyzt_units": 5}, "does not exist (code 5)"),
        ({"srow_x": (1, 19, 19, 0)}, "its axes lie in one plane"),
        (BY_QFORM | {"pixdim": (1, 1, 1, 0, 1, 1, 1, 1)}, "measure 0 mm (pixdim)"),
        (BY_QFORM | {"quatern_b": 1, "quatern_c": 1}, "its quaternion is no rotation"),
        ({"vox_offset": 1e8}, "its header is damaged"),
        ({"dim": (3, 500, 500, 500, 1, 1, 1, 1)}, "cut short"),
        ({"dim": (3, 30000, 30000, 30000, 1, 1, 1, 1)}, "claims 30000 x 30000 x 30000 voxels"),
        ({"dim": (2, 24, 26, 1, 1, 1, 1, 1)}, "24 x 26: give one volume, a 3-D image, or one slice as a PNG file"),
        ({"dim": (4, 12, 26, 3, 2, 1, 1, 1)}, "12 x 26 x 3 x 2: give one volume"),
        ({"datatype": 32}, "not one real number a voxel"),
    ],
)
def test_what_is_wrong_is_named(
    fields: dict[str, object], sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refusal(changed(tmp_path / "a.nii", **fields))
    assert not capfd.readouterr().err  # nibabel prints nothing by itself


def test_files_that_are_no_volume_are_named(tmp_path: Path) -> None:
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


def test_a_bomb_is_unpacked_no_further_than_its_header_claims(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(save(tmp_path / "a.nii", VALUES).read_bytes() + bytes(2**25)))
    packed[-8] ^= 255  # who unpacks all of it finds a wrong checksum
    (tmp_path / "a.nii.gz").write_bytes(packed)
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").values, VALUES)


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


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"pixdim": (0, 1, 1, 1, 1, 1, 1, 1)}, ""),  # as the standard allows
        ({"qform_code": 1}, ""),
        ({"qform_code": 1, "qoffset_x": 7}, "its qform and its sform differ, by up to 7"),
        ({"pixdim": (1, 1, 1, 3, 1, 1, 1, 1)}, "1 x 1 x 3 for its voxels (pixdim) and its sform 1 x 1 x 1"),
        ({"pixdim": (1, 0, 0, 0, 1, 1, 1, 1)}, "its header was repaired (pixdim"),
    ],
)
def test_what_is_repaired_or_given_twice_has_a_note(fields: dict[str, object], note: str, tmp_path: Path) -> None:
    volume = read_volume(changed(tmp_path / "a.nii", **fields))
    assert volume.spacing == (1, 1, 1)  # of the sform
    assert note in "".join(volume.notes)
    assert bool(note) == bool(volume.notes)


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


@given(st.integers(0, 2**32 - 1), st.sampled_from([("mm", 1.0), ("meter", 1e3), ("micron", 1e-3), ("unknown", 1.0)]))
def test_a_voxel_has_the_volume_that_its_affine_gives_it_and_labels_go_back_onto_it(
    tmp_path_factory: pytest.TempPathFactory, seed: int, unit: tuple[str, float]
) -> None:
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))  # any rotation, mirrored or not
    lean = np.triu(rng.uniform(-0.5, 0.5, (3, 3)), 1) * rng.integers(2)  # by up to 40 degrees, or not
    affine = np.eye(4)
    affine[:3] = np.column_stack([turn @ (np.eye(3) + lean) * rng.uniform(0.3, 10, 3), rng.uniform(-200, 200, 3)])
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
