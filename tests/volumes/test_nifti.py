"""Volumes: read in any orientation, resampled, and written back where they came from; damage has a sentence."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from checked import load, present, turned
from helpers import ALL_WAYS, save
from hypothesis import given
from hypothesis import strategies as st
from nibabel import nifti1

from oasis_jax.system.errors import UserError
from oasis_jax.volumes.anatomy import brain_notes, brain_piece, brain_span, find_head, head_notes
from oasis_jax.volumes.nifti import Volume, check_orientation, read_volume, same_grid, write_volume
from oasis_jax.volumes.resample import Grid, resample, weights


@pytest.mark.parametrize("way", ALL_WAYS)
def test_every_orientation_reads_alike_and_writes_back_onto_its_own_grid(way: str, tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    original = load(save(tmp_path / "a.nii.gz", values, (0.5, 2, 3), way))
    volume = read_volume(tmp_path / "a.nii.gz")
    assert np.array_equal(volume.values, values)
    assert (volume.values.dtype, volume.spacing) == (np.float32, (0.5, 2, 3))
    write_volume(tmp_path / "b.nii.gz", values.astype(np.uint8), volume, "2 gray matter")
    back = load(tmp_path / "b.nii.gz")
    assert np.array_equal(np.asarray(back.dataobj), np.asarray(original.dataobj))
    assert np.array_equal(present(back.affine), present(original.affine))
    assert back.header.extensions[0].get_content() == b"2 gray matter"


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_nothing_but_the_geometry_of_a_header_lives_on(kind: Any, tmp_path: Path) -> None:
    affine = np.array([[0, 0, 3, 7], [-0.5, 0, 0, 8], [0, 2.0, 0, 9], [0, 0, 0, 1]])
    plain, full = (kind(np.ones((2, 3, 4), np.int16), affine) for _ in range(2))
    for image in (plain, full):
        image.header.set_qform(affine, 3)
        image.header.set_xyzt_units("mm")
    named = full.header
    named.set_intent("t test", (5,), name="Jane Doe")
    named.set_xyzt_units("mm", "sec")
    named["aux_file"] = named["db_name" if "db_name" in named else "descrip"] = b"Jane Doe"
    for field in ("toffset", "cal_max", "slice_duration", "slice_code", "slice_end", "slice_start"):
        named[field] = 1
    named.set_dim_info(0, 1, 2)
    named["pixdim"][4:] = 2.5
    full.header.extensions.append(nifti1.Nifti1Extension("comment", b"Jane Doe"))
    written = []
    for image in (plain, full):
        nib.save(image, tmp_path / "a.nii")
        volume = read_volume(tmp_path / "a.nii")
        write_volume(tmp_path / "l.nii", volume.values.astype(np.uint8), volume, "0 background")
        write_volume(tmp_path / "p.nii", np.ones((*volume.values.shape, 4), np.float32), volume)
        written.append([(tmp_path / name).read_bytes() for name in ("l.nii", "p.nii")])
    assert written[0] == written[1]
    assert load(tmp_path / "p.nii").header.get_xyzt_units() == ("mm", "unknown")


def test_a_file_without_orientation_is_refused_until_the_user_gives_one(tmp_path: Path) -> None:
    stored = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = nib.Nifti1Image(stored, None)
    image.header.set_zooms((2, 3, 4))
    nib.save(image, tmp_path / "a.nii")
    nib.save(nib.AnalyzeImage(stored, None), tmp_path / "b.img")
    for path, spacing in ((tmp_path / "a.nii", (4, 2, 3)), (tmp_path / "b.hdr", (1, 1, 1))):
        with pytest.raises(UserError, match=r"no affine.*--orientation"):
            read_volume(path)
        volume = read_volume(path, "pir")
        assert volume.spacing == spacing
        assert np.array_equal(volume.values, stored.transpose(2, 0, 1)[:, ::-1, ::-1])
        write_volume(tmp_path / "c.nii", volume.values.astype(np.uint8), volume)
        assert np.array_equal(load(tmp_path / "c.nii").dataobj, stored)
    assert nib.aff2axcodes(load(tmp_path / "c.nii").affine) == ("P", "I", "R")  # of the Analyze file, as the user said
    for wrong in ("RAX", "RRS", "RA", "RASL", ""):
        with pytest.raises(UserError, match="three directions"):
            check_orientation(wrong)


def test_grids_are_compared_at_their_corners_however_they_are_stored(tmp_path: Path) -> None:
    def volume(spacing: float = 1.0, x: float = 30.0, way: str = "RAS", placed: bool = True) -> Volume:
        affine = np.array([[spacing, 0, 0, x], [0, 1.5, 0, 40], [0, 0, 2, 50], [0, 0, 0, 1]])
        image = nib.Nifti1Image(np.ones((160, 180, 3), np.uint8), affine if placed else None)
        image.header.set_zooms((spacing, 1.5, 2))
        nib.save(turned(image, way) if placed else image, tmp_path / "a.nii")
        return read_volume(tmp_path / "a.nii", "RAS")

    for alike in (volume(x=30.05), volume(placed=False), *(volume(way=way) for way in ("LPI", "SAR", "PIL"))):
        assert same_grid(volume(), alike)
    for other in (volume(1.009), volume(x=30.2), volume(1.009, placed=False)):
        assert not same_grid(volume(), other)


@given(st.integers(1, 60), st.floats(0.2, 5))
def test_interpolation_keeps_constants_and_straight_lines(own: int, spacing: float) -> None:
    side = Grid(own, spacing)
    to_mm, from_mm = weights(side.mm, own, 1 / spacing), weights(own, side.mm, spacing)
    for matrix in (to_mm, from_mm):
        assert np.allclose(matrix.sum(1), 1, atol=1e-6)
        assert (matrix >= 0).all()
    # A straight line stays one: exactly between samples, to a tenth of a sample where the triangle is widened.
    line = (np.arange(own) - (own - 1) / 2) * spacing  # mm from the middle
    want = np.arange(side.mm) - (side.mm - 1) / 2
    inner = np.abs(want) <= line[-1] - max(0.0, 1 - spacing)
    assert np.allclose((to_mm @ line)[inner], want[inner], atol=1e-5 * own * spacing + 0.1 * spacing * (spacing < 1))


def test_one_mm_is_left_alone() -> None:
    assert Grid(157, 1.0).to_mm() is None
    assert Grid(157, 1.002).from_mm() is None
    assert Grid(157, 1.01).mm == 159
    values = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    assert resample(values, None, None) is values


def test_a_black_slice_does_not_divide_the_head() -> None:
    values = np.zeros((12, 60, 60), np.float32)
    values[1:11, 10:50, 10:50] = 100
    whole = find_head(values)
    assert not head_notes(whole, range(12))
    for dim in (0.0, 0.02):
        gap = values.copy()
        gap[7] *= dim
        head = find_head(gap)
        assert np.array_equal(np.delete(head.mask, 7, axis=0), np.delete(whole.mask, 7, axis=0))
        assert head.box == whole.box
        assert np.array_equal(head.mask[7], whole.mask[7] & (dim > 0))
        said = "slices within the head are black or nearly black (counted from 0: {})".format
        assert head_notes(head, range(12)) == [said(7)]
        assert head_notes(head, range(12)[::-1]) == [said(4)], "in a file that runs downward"


def test_every_piece_of_head_size_and_what_it_encloses_is_head_and_the_rest_gives_a_note() -> None:
    values = np.zeros((12, 60, 60), np.float32)
    values[1:11, 4:26, 10:50] = 100
    values[1:11, 8:20, 20:32] = 0  # a ventricle
    values[1:11, 34:50, 10:50] = 100  # the other half, a little smaller
    values[3:6, 53:57, 10:30] = 100  # a rest beside it
    values[0, 2:4, 2:4] = 90  # a speck of noise
    head = find_head(values)
    assert head.mask[1:11, 4:26, 10:50].all()
    assert head.mask[1:11, 34:50, 10:50].all()
    assert head.mask[1:11].sum() < 10 * 50 * 50
    assert not head.mask[[0, 11]].any()
    ends = [end for side in head.box for end in (side.start, side.stop)]
    assert np.abs(np.subtract(ends, (4, 50, 10, 50))).max() <= 1
    assert "apart from the head (2 % of its size)" in head_notes(head, range(12))[0]
    for value in (7.0, 0.0, -7.0):
        nothing = find_head(np.full((3, 30, 30), value))
        assert not nothing.mask.any()
        assert head_notes(nothing, range(12)) == ["no head was found in it, so nothing is labelled"]


def test_noise_in_the_air_is_no_part_beside_the_head() -> None:
    values = np.zeros((12, 120, 120), np.float32)
    values[1:11, 20:100, 20:100] = 100
    air = np.random.default_rng(0).random(values.shape) < 0.1  # bright specks in a tenth of the air
    air[:, 16:104, 16:104] = False  # no speck touches the head
    head = find_head(np.where(air, 30, values))
    assert not head_notes(head, range(12))
    assert head.beside == 0
    assert head.box == find_head(values).box


def test_a_volume_that_ends_inside_the_brain_is_distinguished_from_a_whole_one() -> None:
    dome = np.sqrt(np.clip(1 - np.linspace(-1, 1, 120) ** 2, 0, None)) * 100
    neck = np.concatenate([np.full(80, 60.0), dome[20:]])  # a network labels neck: it lies further below than any brain
    for whole in (dome, neck, np.zeros(9)):
        assert not any("ends inside" in note for note in brain_notes(whole, 1.0, "axial"))
    for part in (dome[:90], dome[30:], dome[44:76]):
        assert any("ends inside" in note for note in brain_notes(part, 1.0, "axial"))


def test_a_brain_reaches_from_its_lowest_to_its_highest_section_but_not_into_the_neck() -> None:
    assert brain_span(np.array([0, 5, 9, 9, 5, 0, 0.0]), 1.0, "axial") == (1, 4)
    assert brain_span(np.array([0, 4.0, 0]), 1.0, "axial") is None
    assert brain_span(np.ones(300), 1.0, "axial") == (149, 299)
    assert brain_span(np.ones(300), 1.0, "coronal") == (0, 299)


def test_a_blank_plane_does_not_divide_a_brain() -> None:
    brain = np.sqrt(sum((n - 20) ** 2 for n in np.indices((40, 40, 40)))) < 10
    brain[18:20] = False
    np.testing.assert_array_equal(brain_piece(brain), brain)
    assert not brain_piece(np.zeros_like(brain)).any()
