"""Labels come back onto the very pixels and voxels they belong to, whatever was given."""

import csv
import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from checked import load, present
from helpers import (
    ALL_WAYS,
    FRAMING,
    SIZE,
    assert_mistake,
    blob,
    brain,
    by_grey,
    certain,
    command,
    finish,
    save,
    stand_in,
    start,
)
from PIL import Image

from oasis_jax import predict
from oasis_jax.data.appearance import Ranges
from oasis_jax.data.slices import folders, write_png
from oasis_jax.geometry import Axis, Cut
from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.segment import Labels
from oasis_jax.prediction import outputs
from oasis_jax.prediction.destination import PLAIN
from oasis_jax.prediction.summary import screen_line, summarise
from oasis_jax.runs.trained import Trained
from oasis_jax.system.errors import UserError
from oasis_jax.volumes import inputs
from oasis_jax.volumes.finding import InputFile, find_inputs
from oasis_jax.volumes.frame import Place, volume_grey
from oasis_jax.volumes.inputs import read_input, read_inputs
from oasis_jax.volumes.placing import Framing, place_head
from oasis_jax.volumes.png import read_grey

LOOKS: Ranges = {"mean": (0.0, 255.0), "deviation": (0.0, 255.0)}


def label_one(
    path: Path, framing: Framing = FRAMING, keep: bool = False, orientation: str | None = None
) -> Segmentation:
    (one,) = label([read_input(InputFile(path, "one"), framing, orientation)], stand_in(), keep)
    return one


@pytest.mark.parametrize("way", ALL_WAYS[::7])
def test_voxels_of_1_mm_get_exactly_their_own_label(way: str, tmp_path: Path) -> None:
    values, truth = brain((37, 50, 30))
    # The brightest tissue is missing from the outermost slices, so their greys are scaled otherwise.
    deep = (truth == 3).any(axis=(0, 1))
    one = label_one(save(tmp_path / "a.nii.gz", values, way=way))
    assert np.array_equal(one.classes[deep], np.moveaxis(truth, 2, 0)[deep])


@pytest.mark.parametrize("axis", ["sagittal", "coronal"])
def test_slices_run_along_the_axis_of_training(axis: Axis, tmp_path: Path) -> None:
    values, truth = brain((37, 47, 44))
    one = label_one(save(tmp_path / "a.nii.gz", values), FRAMING._replace(axis=axis))
    truth = np.moveaxis(truth, ("sagittal", "coronal").index(axis), 0)
    deep = (truth == 3).any(axis=(1, 2))
    assert np.array_equal(one.classes[deep], truth[deep])


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 1.0), (1.5, 0.8, 3.0), (0.7, 2.0, 1.0)])
def test_other_spacings_come_back_on_their_own_grid(spacing: tuple[float, float, float], tmp_path: Path) -> None:
    shape = tuple(round(n / mm) for n, mm in zip((37, 50, 30), spacing, strict=True))
    values, truth = brain((shape[0], shape[1], shape[2]), spacing)
    one = label_one(save(tmp_path / "a.nii.gz", values, spacing), keep=True)
    truth = np.moveaxis(truth, 2, 0)
    assert any("3.0 mm apart" in note for note in one.input.notes) == (spacing[2] == 3)
    assert one.classes.shape == truth.shape
    assert one.probabilities is not None
    assert np.allclose(one.probabilities.sum(-1), 1, atol=1e-5)
    assert np.array_equal(one.probabilities.argmax(-1), one.classes)
    deep = (truth == 3).any(axis=(1, 2))
    for k in range(4):
        both = 2 * ((one.classes == k) & (truth == k))[deep].sum()
        assert both / ((one.classes == k)[deep].sum() + (truth == k)[deep].sum()) > 0.85, k
    wrong = one.classes != truth
    inside = np.abs(np.diff(truth.astype(int), axis=1, prepend=0)) + np.abs(
        np.diff(truth.astype(int), axis=2, prepend=0)
    )
    assert wrong[deep].mean() < 0.08
    assert not wrong[deep][(inside[deep] == 0) & (truth[deep] == 0)].mean() > 0.02


def test_a_head_off_the_middle_or_too_large_is_seen_whole(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 12))
    moved = np.zeros((90, 130, 12), np.int16)
    moved[:37, 70:120] = values
    one = label_one(save(tmp_path / "a.nii", moved))
    assert one.input.place.frame == (48, 64)
    deep = (truth == 3).any(axis=(0, 1))
    assert np.array_equal(one.classes[deep][:, :37, 70:120], np.moveaxis(truth, 2, 0)[deep])
    assert one.classes.astype(int).sum() == one.classes[:, :37, 70:120].astype(int).sum()
    large = values.repeat(3, axis=0).repeat(3, axis=1)
    two = label_one(save(tmp_path / "b.nii", large))
    assert two.input.place.frame == (96, 144)
    assert "a frame of 96x144, larger than in training" in two.input.notes[0]
    assert np.array_equal(two.classes[deep], np.moveaxis(truth.repeat(3, 0).repeat(3, 1), 2, 0)[deep])


WINDOW = Framing((64, 96), (48, 64), "axial")
"""The network sees less than a head with its scalp, but all of `brain`."""


def test_a_rim_of_scalp_does_not_move_a_head_that_lies_as_in_training() -> None:
    slab = Framing((256, 256), (144, 176), "axial")
    head = slice(5, 170), slice(4, 204)  # wider than the window
    assert place_head((176, 208), head, slab) == (Place((256, 256), (40, 24)), ())
    off = slice(0, 140), slice(0, 170)  # as large as the window, beside the middle
    place, notes = place_head((176, 208), off, slab)
    assert place.frame == (256, 256)
    assert 56 <= place.offset[0] <= 60
    assert 40 <= place.offset[1] <= 46
    assert not notes


def test_a_head_larger_than_the_window_gets_a_larger_frame_and_a_note() -> None:
    slab = Framing((256, 256), (144, 176), "axial")
    place, notes = place_head((250, 250), (slice(10, 240), slice(10, 240)), slab)
    assert place.frame == (352, 320)
    assert notes == ("the head needs a frame of 352x320, larger than in training",)


def test_a_slice_of_the_trained_size_is_placed_as_it_stands_whatever_the_window(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(1, 256, (64, 96)).astype(np.uint8)
    write_png(tmp_path / "a.png", grey)
    item = read_input(InputFile(tmp_path / "a.png", "a"), WINDOW)
    assert np.array_equal(item.frames[0, ..., 0], grey)
    assert (item.place.offset, item.notes) == ((0, 0), ())


def test_neighbours_of_a_volume_lie_as_far_away_as_those_of_training(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(40, 200, (48, 64, 9)).astype(np.float32)
    grey = volume_grey(np.moveaxis(values, 2, 0))
    for gap, step in ((1.0, 1), (0.5, 2), (2.0, 0.5)):
        path = save(tmp_path / "a.nii", values, (1, 1, gap))
        item = read_input(InputFile(path, "a"), Framing((48, 64), (48, 64), "axial", neighbours=1, gap=1.0))
        assert item.frames.shape == (9, 48, 64, 3)
        for k in range(9):
            for channel, at in enumerate((max(k - step, 0), k, min(k + step, 8))):
                wanted = grey[int(at)]
                if at % 1:
                    wanted = ((grey[int(at)] + 1.0 * grey[int(at) + 1]) / 2).astype(np.uint8)
                assert np.array_equal(item.frames[k, ..., channel], wanted)
        assert np.array_equal(item.slices, grey)


def test_neighbours_of_a_png_file_are_found_by_name(tmp_path: Path) -> None:
    for k in (8, 9, 10, 12):
        write_png(tmp_path / f"case_7_slice_{k}.nii.png", np.full((48, 64), k, np.uint8))
    write_png(tmp_path / "case_7_slice_11.nii.png", np.full((16, 16), 11, np.uint8))  # another size is no neighbour
    write_png(tmp_path / "scan_slice_007.png", np.full((48, 64), 7, np.uint8))
    write_png(tmp_path / "scan_slice_008.png", np.full((48, 64), 8, np.uint8))
    write_png(tmp_path / "slice of mine.png", np.full((48, 64), 1, np.uint8))
    framing = Framing((48, 64), (48, 64), "axial", neighbours=1, gap=1.0)
    wanted = {
        "case_7_slice_9.nii.png": ([8, 9, 10], False),
        "case_7_slice_8.nii.png": ([8, 8, 9], False),
        "case_7_slice_10.nii.png": ([9, 10, 10], False),
        "case_7_slice_12.nii.png": ([12, 12, 12], True),
        "scan_slice_008.png": ([7, 8, 8], False),
        "slice of mine.png": ([1, 1, 1], True),
    }
    for name, (channels, alone) in wanted.items():
        item = read_input(InputFile(tmp_path / name, "one"), framing)
        assert item.frames[0, 0, 0].tolist() == channels
        assert item.alone == alone


def test_a_neighbour_that_cannot_be_used_is_said_and_does_not_stop_its_neighbours(tmp_path: Path) -> None:
    for k in (1, 2, 5, 7):
        write_png(tmp_path / f"case_7_slice_{k}.nii.png", np.full((48, 64), k, np.uint8))
    (tmp_path / "case_7_slice_3.nii.png").write_bytes(b"no image")
    framing = Framing((48, 64), (48, 64), "axial", neighbours=1, gap=1.0)

    def read(k: int) -> tuple[list[int], tuple[str, ...]]:
        item = read_input(InputFile(tmp_path / f"case_7_slice_{k}.nii.png", "one"), framing)
        return item.frames[0, 0, 0].tolist(), item.notes

    broken = "its neighbour case_7_slice_3.nii.png cannot be used, so the slice itself stands in for it"
    assert read(2) == ([1, 2, 2], (broken,))
    gap = "slice {} of its case is missing, so the slice itself stands in for it"
    assert read(5) == ([5, 5, 5], (gap.format("4 and 6"),))
    assert read(7) == ([7, 7, 7], (gap.format(6),))
    assert read(1) == ([1, 1, 2], ())  # the end of a case


def test_there_is_no_tissue_in_the_air_or_in_empty_slices(tmp_path: Path) -> None:
    values, _ = brain((37, 50, 30))

    def raving(frames: np.ndarray) -> Labels:
        return certain(np.full(frames.shape[:3], 2, np.uint8))

    path = save(tmp_path / "a.nii", values)
    for keep in (False, True):
        (one,) = label([read_input(InputFile(path, "one"), FRAMING)], stand_in(raving), keep)
        assert not one.classes[[0, -1]].any()
        assert not one.classes[:, 0].any()
        assert (one.classes[np.moveaxis(values > 0, 2, 0)] == 2).all()


def test_batches_run_on_from_file_to_file(tmp_path: Path) -> None:
    shapes = [(37, 50, 5), (30, 46, 3), (37, 50, 1), (70, 50, 2)]
    paths = [save(tmp_path / f"{i}.nii", brain(shape)[0]) for i, shape in enumerate(shapes)]
    inputs = [read_input(InputFile(path, path.stem), FRAMING) for path in paths]
    seen: list[int] = []

    def counting(frames: np.ndarray) -> Labels:
        seen.append(len(frames))
        return by_grey(frames)

    together = {one.input.source.name: one for one in label(inputs, stand_in(counting), False)}
    assert set(together) == {"0", "1", "2", "3"}
    assert set(seen) == {4}
    slices = sum(max(1, int(item.head.any(axis=(1, 2)).sum())) for item in inputs)
    assert len(seen) <= slices // 4 + 2
    for item in inputs:
        (alone,) = label([item], stand_in(), False)
        assert np.array_equal(alone.classes, together[item.source.name].classes)


def test_the_picture_shows_labels_where_they_lie(tmp_path: Path) -> None:
    values, _ = brain((37, 50, 30))
    wide = np.zeros((100, 130, 30), np.int16)
    wide[50:87, 60:110] = values
    for path in (save(tmp_path / "a.nii", wide), save(tmp_path / "b.nii", values, (0.6, 1.4, 1.0))):
        one = label_one(path)
        facts = summarise(one, Trained(Cut(), LOOKS))
        outputs.write(one, facts, tmp_path, Trained(Cut(), LOOKS))
        with Image.open(tmp_path / "one_overlay.png") as picture:
            shown = np.asarray(picture.convert("RGB")).astype(int)
        rows, columns = one.input.head.shape[1:]
        tiles = shown.reshape(-1, columns, shown.shape[1] // (2 * rows), 2, rows, 3)
        plain, tinted = tiles[:, :, :, 0], tiles[:, :, :, 1]
        marked = (plain != tinted).any(-1)
        assert marked.any()
        assert (plain[marked] > 0).any(-1).mean() > 0.9  # colour lies on tissue, not beside it


def test_the_picture_is_dark_at_heights_that_training_did_not_see(tmp_path: Path) -> None:
    one = label_one(save(tmp_path / "a.nii", brain((37, 50, 30))[0]))
    trained = Trained(Cut(heights=(0.3, 0.6)), LOOKS)
    summary = summarise(one, trained)
    outputs.write(one, summary, tmp_path, trained)
    with Image.open(tmp_path / "one_overlay.png") as picture:
        shown = np.asarray(picture.convert("RGB"))
    rows, columns = one.input.head.shape[1:]
    tiles = shown.reshape(-1, columns, 4, 2 * rows, 3).swapaxes(1, 2).reshape(-1, columns, 2 * rows, 3)
    levels = tiles[:, 12:, : rows - 1].max(axis=(1, 2, 3))  # below the letters, left of the line
    inside = np.array([row.in_trained_heights for row in summary.slices if row.tissue], bool)
    assert len(inside) == 24
    assert levels[inside].min() > 2 * levels[~inside].max()


def test_air_that_is_not_0_is_told(tmp_path: Path) -> None:
    values, _ = brain((37, 50, 30))
    assert not label_one(save(tmp_path / "a.nii", values)).input.notes
    assert (
        "background is not 0 but about 40" in label_one(save(tmp_path / "b.nii", values + np.int16(40))).input.notes[0]
    )


def test_a_report_measures_in_mm_and_marks_heights(tmp_path: Path) -> None:
    spacing = (0.5, 0.8, 2.0)
    values, truth = brain((74, 62, 18), spacing)
    one = label_one(save(tmp_path / "a.nii", values, spacing))._replace(classes=np.moveaxis(truth, 2, 0).copy())
    facts = summarise(one, Trained(Cut("axial", (0.5, 0.75)), LOOKS))
    inside = [each.number for each in facts.slices if each.in_trained_heights]
    shown = np.flatnonzero(truth.any(axis=(0, 1)))
    middle = (shown[0] + shown[-1]) / 2
    assert inside == [k for k in range(18) if middle - 0.2 <= k <= shown[0] + 0.76 * (shown[-1] - shown[0])]
    assert facts.outside == len(shown) - len(inside)
    whole = summarise(one, Trained(Cut("axial", (0.5, 0.75)), LOOKS), all_heights=True)
    for told, counted in ((facts, truth[..., inside]), (whole, truth)):
        assert told.millilitres is not None
        counts = np.bincount(counted.ravel(), minlength=4)[1:]
        assert np.allclose(told.millilitres, counts * 0.5 * 0.8 * 2 / 1000)
    slab = one.classes.copy()
    slab[:5] = slab[-5:] = slab[9]  # a volume that ends inside the brain
    part = summarise(one._replace(classes=slab), Trained(Cut("axial", (0.5, 0.75)), LOOKS))
    assert part.millilitres is not None
    assert part.millilitres.sum() == pytest.approx((slab > 0).sum() * 0.5 * 0.8 * 2 / 1000)
    assert "it ends inside the brain, so the heights of its slices are unknown, and all are added up" in part.notes
    assert "outside the heights seen in training and are left out" in screen_line(facts)
    assert "outside the heights seen in training and are added up" in screen_line(whole)
    strange: Ranges = LOOKS | {"mean": (1.0, 2.0)}
    assert "unlike" in summarise(one, Trained(Cut(), strange)).notes[-1]
    assert not summarise(one, Trained(Cut(), LOOKS)).notes


def test_a_sheared_volume_has_the_millilitres_of_its_voxels(tmp_path: Path) -> None:
    values, truth = brain((37, 50, 30))
    affine = np.eye(4)
    affine[1, 2] = 0.4  # slices stacked at a slant, still 1 mm apart
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "a.nii")
    one = label_one(tmp_path / "a.nii")._replace(classes=np.moveaxis(truth, 2, 0).copy())
    facts = summarise(one, Trained(Cut(), LOOKS), all_heights=True)
    counts = np.bincount(truth.ravel(), minlength=4)[1:]
    assert facts.millilitres is not None
    assert np.allclose(facts.millilitres, counts / 1000)
    assert np.allclose(facts.areas, counts)
    assert "not rectangular" in facts.notes[0]


def test_whatever_one_file_does_is_a_line_about_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values, _ = brain((37, 50, 12))
    files = [InputFile(save(tmp_path / f"{name}.nii", values), name) for name in "abcd"]
    faults = {"a": MemoryError(), "c": RuntimeError("odd")}

    def reading(file: InputFile, *rest: Any) -> object:
        if file.name in faults:
            raise faults[file.name]
        return read_input(file, *rest)

    monkeypatch.setattr(inputs, "read_input", reading)
    problems: list[str] = []
    assert [item.source.name for item in read_inputs(files, FRAMING, None, problems.append)] == ["b", "d"]
    assert problems == [
        f"{files[0].path} needs more memory than there is",
        f"{files[2].path} cannot be used: RuntimeError, odd",
    ]


def test_a_name_that_is_no_utf_8_is_a_name(tmp_path: Path) -> None:
    write_png(path := Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")), np.zeros((48, 64), np.uint8))
    found, problems = find_inputs([tmp_path])
    assert ([one.path for one in found], problems) == ([path], [])


def test_a_folder_is_searched_for_what_can_be_labelled(tmp_path: Path) -> None:
    folder = tmp_path / "a folder é"
    folder.mkdir()
    for name in ("b.png", "a.nii.png", "c.NII.GZ", "d.hdr", "d.img", ".hidden.png", "notes.txt", "e.img"):
        (folder / name).touch()
    (folder / "deeper.png").mkdir()
    (tmp_path / "secret.png").touch()
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "z.png").touch()
    (folder / "in.png").symlink_to(folder / "z.png")
    (folder / "gone.png").symlink_to(folder / "nowhere")
    found, problems = find_inputs([folder, tmp_path / "missing.png", folder / "notes.txt", tmp_path / "secret.png"])
    assert [one.path.name for one in found] == [
        "a.nii.png",
        "b.png",
        "c.NII.GZ",
        "d.hdr",
        "e.img",
        "in.png",
        "out.png",
    ]
    assert [one.name for one in found] == ["a", "b", "c", "d", "e", "in", "out"]
    told = "\n".join(problems)
    for sentence in (
        "gone.png is a link to a file that does not exist: fetch that file",
        f"z.png is the same file as {folder / 'in.png'}: only that one is labelled",
        f"secret.png is the same file as {folder / 'out.png'}: only that one is labelled",
    ):
        assert sentence in told
    for sentence in ("missing.png does not exist", "notes.txt is no PNG file and no volume"):
        assert sentence in told
    (tmp_path / "empty").mkdir()
    assert "holds no PNG file and no volume" in find_inputs([tmp_path / "empty"])[1][0]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A folder with the images of the test split, a volume of three of its slices, and files that cannot be used."""
    folder = tmp_path_factory.mktemp("inputs") / "mixed ü"
    shutil.copytree(folders(data, "test")[0], folder)
    images = [read_grey(folder / f"case_9_slice_{k}.nii.png") for k in range(3)]
    save(folder / "volume.nii.gz", np.stack(images, axis=2).astype(np.int16), way="PIL")
    (folder / "broken.png").write_bytes(b"no image")
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.uint8), np.eye(4)), folder / "four.nii")
    return folder


def test_the_command_labels_a_folder_and_reports_the_broken_at_the_end(
    finished: Path, data: Path, mixed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out put"
    done = command("predict", finished, mixed, "--output", out, "--probabilities")
    assert done.returncode == 1, done.stderr
    for part in ("error: 2 input(s) could not be labelled, the others are done", "broken.png", "four.nii"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stdout.splitlines() if ".png: " in line or ".nii.gz: " in line]
    assert len(lines) == 17
    # The same slices, so the same labels as evaluation's, and the same Dice.
    sums = np.zeros((4, 4), np.int64)
    for path in sorted(folders(data, "test")[1].iterdir()):
        truth = read_grey(path) // 85
        name = path.name.replace("seg_", "case_").replace(".nii.png", "")
        with Image.open(out / f"{name}_labels.png") as image:
            assert (image.mode, image.size) == ("L", SIZE[::-1])
            predicted = np.asarray(image) // 85
        shares = np.load(out / f"{name}_probabilities.npy", allow_pickle=False)
        assert shares.shape == (*SIZE, 4)
        assert np.array_equal(shares.argmax(-1), predicted)
        sums += np.bincount((4 * truth.astype(int) + predicted).ravel(), minlength=16).reshape(4, 4)
        with Image.open(out / f"{name}_overlay.png") as image:
            assert image.size == (SIZE[1], SIZE[0])
            brain = np.asarray(image) >= 64  # places in the palette beyond the greys
            assert np.array_equal(brain, predicted > 0)
    metrics = json.loads((finished / "evaluation/test/metrics.json").read_text())
    pooled = 2 * np.diag(sums) / (sums.sum(0) + sums.sum(1))
    assert np.allclose(pooled, list(metrics["scores"]["hard_dice_pooled"].values())[:4], atol=0.002)
    volume = load(out / "volume_labels.nii.gz")
    assert np.array_equal(present(volume.affine), present(load(mixed / "volume.nii.gz").affine))
    turned = np.asarray(nib.as_closest_canonical(volume).dataobj)
    shares = load(out / "volume_probabilities.nii.gz")
    assert shares.shape == (*volume.shape, 4)
    shares = np.asarray(nib.as_closest_canonical(shares).dataobj)
    assert np.array_equal(shares.argmax(-1), turned)
    for k in range(3):  # a volume has no labels around the head, and its grey levels are scaled anew
        inside = read_grey(mixed / f"case_9_slice_{k}.nii.png") > 40
        others = [np.load(out / f"case_9_slice_{other}_probabilities.npy") for other in range(3)]
        apart = [float(np.abs(shares[:, :, k] - other)[inside].mean()) for other in others]
        assert apart[k] < 0.2 * min(np.delete(apart, k)), apart
    with (out / "tissue.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows][:2] == ["case_9_slice_0.nii.png", "case_9_slice_1.nii.png"]
    assert rows[-1]["slices"] == "3"
    assert rows[-1]["heights_added_up"] == "all"  # three slices of a brain have no base and no top
    assert float(rows[-1]["CSF_ml"]) == pytest.approx((turned == 1).sum() / 1000, abs=0.01)
    assert rows[0]["CSF_ml"] == ""
    with (out / "slices.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 19
    assert "2\tgray matter\t#E69F00" in (out / "labels.tsv").read_text()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_nothing_is_overwritten_unless_asked(finished: Path, tmp_path: Path) -> None:
    image, _ = blob(np.random.default_rng(0))
    write_png(tmp_path / "a.png", image)
    (tmp_path / "out").mkdir()
    words = ("predict", finished, tmp_path / "a.png", "--output", tmp_path / "out")
    (tmp_path / "out" / "a_labels.png").write_text("mine")
    assert_mistake(command(*words), "a_labels.png already", "--overwrite")
    assert (tmp_path / "out" / "a_labels.png").read_text() == "mine"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_labels.png"]
    for name in ("a_labels.png", "slices.html", "slices-2.html"):
        (tmp_path / "out" / name).touch()
    done = command(*words, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert read_grey(tmp_path / "out" / "a_labels.png").shape == SIZE
    assert (tmp_path / "out" / "slices.html").stat().st_size > 1000
    assert not (tmp_path / "out" / "slices-2.html").exists()  # one page is enough now


def test_files_of_one_name_are_told_apart_by_their_folders_and_one_named_twice_is_one(tmp_path: Path) -> None:
    for name in ("a/x/T1.nii.gz", "b/x/T1.nii.gz", "b/x/T1.png", "b/y/T1.nii", "b/x/one.png", "c/two.nii", "c/two.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    long = tmp_path / "c" / f"{240 * 'n'}.png"
    long.touch()
    os.mkfifo(tmp_path / "c" / "pipe.png")
    inputs = [tmp_path / "a/x", tmp_path / "a/x/T1.nii.gz", tmp_path / "b/x", tmp_path / "b/y", tmp_path / "c"]
    found, problems = find_inputs(inputs)
    assert {one.name: one.path for one in found} == {
        "a/x/T1": tmp_path / "a/x/T1.nii.gz",
        "b/x/T1": tmp_path / "b/x/T1.nii.gz",
        "b/y/T1": tmp_path / "b/y/T1.nii",
        "one": tmp_path / "b/x/one.png",
        "two": tmp_path / "c/two.nii",
    }
    assert [one.shown for one in found] == ["a/x/T1.nii.gz", "b/x/T1.nii.gz", "one.png", "b/y/T1.nii", "two.nii"]
    told = "\n".join(problems)
    for part in ("b/x/T1.png has the same name as", "c/two.png has the same name as", "pipe.png is no regular file"):
        assert part in told
    assert "a name that is too long" in told
    for name in ("p.hdr", "p.img"):
        (tmp_path / name).touch()
    both, problems = find_inputs([tmp_path / "p.img", tmp_path / "p.hdr"])
    assert [one.path.name for one in both] == ["p.hdr"]
    assert not problems


def test_scans_of_one_name_are_all_labelled_in_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values, truth = brain((37, 50, 12))
    paths = [tmp_path / f"study/sub-{k}/anat/T1.nii.gz" for k in (1, 2)]
    for path, way in zip(paths, ("RAS", "LPI"), strict=True):
        path.parent.mkdir(parents=True)
        save(path, values, way=way)
    segmenter, out = stand_in(), tmp_path / "out"
    monkeypatch.setattr(predict.Segmenter, "load", lambda *runs, **options: segmenter)
    arguments = predict.Arguments(Path("run"), tuple(paths), out)
    assert predict.predict(segmenter.ensemble.runs[0], arguments) == (2, [])
    deep = (truth == 3).any(axis=(0, 1))
    for k in (1, 2):
        labels = nib.as_closest_canonical(load(out / f"sub-{k}/anat/T1_labels.nii.gz")).dataobj
        assert np.array_equal(np.asarray(labels)[..., deep], truth[..., deep])
        page = f"sub-{k}/anat/T1_view.html"
        assert f'<a href="{page}">sub-{k}/anat/T1.nii.gz</a>' in (out / "index.html").read_text()
        assert '<a href="../../index.html">' in (out / page).read_text()
    for table in ("tissue.csv", "slices.csv"):
        with (out / table).open(newline="") as file:
            assert {row["file"] for row in csv.DictReader(file)} == {f"sub-{k}/anat/T1.nii.gz" for k in (1, 2)}
    (out / "sub-1/anat/T1_record.json").unlink()
    with pytest.raises(UserError, match=r"sub-1/anat/T1_labels\.nii\.gz already"):
        predict.predict(segmenter.ensemble.runs[0], arguments)


def test_no_input_is_ever_written_over(finished: Path, tmp_path: Path) -> None:
    image, _ = blob(np.random.default_rng(0))
    for name in ("a.png", "a_labels.png"):
        write_png(tmp_path / name, image)
    before = (tmp_path / "a_labels.png").read_bytes()
    words = ("--output", tmp_path, "--overwrite")
    done = command("predict", finished, tmp_path / "a.png", tmp_path / "a_labels.png", *words)
    assert_mistake(done, "a_labels.png is one of the inputs")
    assert_mistake(command("predict", finished, tmp_path, *words), "is where the inputs lie")
    assert (tmp_path / "a_labels.png").read_bytes() == before


def test_nothing_to_label_has_a_sentence(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = command("predict", finished, tmp_path / "empty", "--output", tmp_path / "out")
    assert_mistake(done, "Nothing to label", "holds no PNG file and no volume")


def test_an_interrupted_prediction_has_a_row_for_each_file_that_it_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [save(tmp_path / f"{name}.nii", brain((37, 50, 4))[0]) for name in "abc"]
    batches = iter(range(2))

    def interrupted(frames: np.ndarray) -> Labels:
        if next(batches, None) is None:
            raise KeyboardInterrupt
        return by_grey(frames)

    segmenter = stand_in(interrupted)
    monkeypatch.setattr(predict.Segmenter, "load", lambda *runs, **options: segmenter)
    monkeypatch.setattr("oasis_jax.inference.label._AHEAD", 0)
    arguments = predict.Arguments(Path("run"), tuple(paths), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        predict.predict(segmenter.ensemble.runs[0], arguments)
    with (tmp_path / "out/tissue.csv").open(newline="") as file:
        named = [row["file"] for row in csv.DictReader(file)]
    assert named == [
        f"{path.name.removesuffix('_labels.nii.gz')}.nii" for path in sorted(tmp_path.glob("out/*_labels.nii.gz"))
    ]
    assert named


def test_a_prediction_that_a_job_runner_ends_has_its_tables(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for number in range(40):
        save(tmp_path / f"scans/{number}.nii", brain((37, 50, 40))[0])
    process = start("predict", finished, tmp_path / "scans", "--output", tmp_path / "out")
    while not list(tmp_path.glob("out/*_view.html")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "SIGTERM: what was saved stays." in done.stderr
    rows = (tmp_path / "out/tissue.csv").read_text().splitlines()[1:]
    assert 1 <= len(rows) < 40
    assert len(rows) == len(list(tmp_path.glob("out/*_labels.nii.gz")))


def test_an_interruption_while_labels_are_written_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [save(tmp_path / f"{name}.nii", brain((37, 50, 4))[0]) for name in "abc"]
    begun, interrupted, write = Event(), Event(), outputs.write

    def slow(*one: Any) -> None:
        begun.set()
        assert interrupted.wait(60)
        time.sleep(0.2)
        write(*one)

    def forward(frames: np.ndarray) -> Labels:
        if begun.is_set():
            interrupted.set()
            raise KeyboardInterrupt
        return by_grey(frames)

    def stream(*given: Any) -> Iterator[Segmentation]:
        for one in label(*given):
            yield one
            assert begun.wait(60)

    segmenter = stand_in(forward)
    monkeypatch.setattr(predict.Segmenter, "load", lambda *runs, **options: segmenter)
    monkeypatch.setattr(predict, "label", stream)
    monkeypatch.setattr(predict, "PLAIN", PLAIN._replace(write=slow))
    monkeypatch.setattr("oasis_jax.inference.label._AHEAD", 0)
    with pytest.raises(KeyboardInterrupt):
        predict.predict(segmenter.ensemble.runs[0], predict.Arguments(Path("run"), tuple(paths), tmp_path / "out"))
    with (tmp_path / "out/tissue.csv").open(newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["a.nii"]
    assert [path.name for path in tmp_path.glob("out/*_labels.nii.gz")] == ["a_labels.nii.gz"]


def test_a_full_disk_ends_the_prediction_and_what_was_written_is_in_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [save(tmp_path / f"{name}.nii", brain((37, 50, 4))[0]) for name in "abcdef"]
    tried, write = [], outputs.write

    def full(one: Segmentation, *rest: Any) -> None:
        tried.append(one.input.source.name)
        if one.input.source.name != "a":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(one, *rest)

    segmenter = stand_in()
    monkeypatch.setattr(predict.Segmenter, "load", lambda *runs, **options: segmenter)
    monkeypatch.setattr(predict, "PLAIN", PLAIN._replace(write=full))
    with pytest.raises(OSError, match="No space left"):
        predict.predict(segmenter.ensemble.runs[0], predict.Arguments(Path("run"), tuple(paths), tmp_path / "out"))
    assert len(tried) < len(paths)
    with (tmp_path / "out/tissue.csv").open(newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["a.nii"]
