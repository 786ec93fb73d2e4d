"""Labels come back onto the very pixels and voxels they belong to, whatever was given."""

import errno
import os
import time
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checked import load, present, rows
from helpers import ALL_WAYS, FRAMING, blob, brain, by_grey, certain, command, predict_with, save, stand_in
from PIL import Image

from oasis_jax.data.slices import write_png
from oasis_jax.geometry import AXES, Axis
from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.segment import Labels, Segmenter
from oasis_jax.prediction import images
from oasis_jax.system.errors import UserError
from oasis_jax.volumes import cut
from oasis_jax.volumes.cut import read_input, read_inputs
from oasis_jax.volumes.finding import InputFile, find_inputs
from oasis_jax.volumes.frame import Framing, volume_grey
from oasis_jax.volumes.png import read_grey


def label_one(path: Path, framing: Framing = FRAMING, keep: bool = False) -> Segmentation:
    (one,) = label([read_input(InputFile(path, "one"), framing)], stand_in(), keep)
    return one


@pytest.mark.parametrize(
    ("axis", "way"), [*(("axial", way) for way in ALL_WAYS[::7]), ("sagittal", "RAS"), ("coronal", "RAS")]
)
def test_voxels_of_1_mm_get_exactly_their_own_label(axis: Axis, way: str, tmp_path: Path) -> None:
    values, truth = brain((37, 50, 44))
    one = label_one(save(tmp_path / "a.nii.gz", values, way=way), FRAMING._replace(axis=axis))
    truth = np.moveaxis(truth, AXES.index(axis), 0)
    # The brightest tissue is missing from the outermost slices, so their greys are scaled otherwise.
    deep = (truth == 3).any(axis=(1, 2))
    assert np.array_equal(one.classes[deep], truth[deep])


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 1.0), (1.5, 0.8, 3.0), (0.7, 2.0, 1.0)])
def test_other_spacings_come_back_on_their_own_grid(spacing: tuple[float, float, float], tmp_path: Path) -> None:
    shape = tuple(round(n / mm) for n, mm in zip((37, 50, 30), spacing, strict=True))
    values, truth = brain((shape[0], shape[1], shape[2]), spacing)
    one = label_one(save(tmp_path / "a.nii.gz", values, spacing), keep=True)
    truth = np.moveaxis(truth, 2, 0)
    assert any("3.0 mm apart" in note for note in one.input.notes) == (spacing[2] == 3)
    probabilities = present(one.probabilities)
    assert np.allclose(probabilities.sum(-1), 1, atol=1e-5)
    assert np.array_equal(probabilities.argmax(-1), one.classes)
    deep = (truth == 3).any(axis=(1, 2))
    for k in range(4):
        both = 2 * ((one.classes == k) & (truth == k))[deep].sum()
        assert both / ((one.classes == k)[deep].sum() + (truth == k)[deep].sum()) > 0.85, k
    assert (one.classes != truth)[deep].mean() < 0.08


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
    write_png(tmp_path / "case_7_slice_11.nii.png", np.full((16, 16), 11, np.uint8))
    write_png(tmp_path / "scan_slice_007.png", np.full((48, 64), 7, np.uint8))
    write_png(tmp_path / "scan_slice_008.png", np.full((48, 64), 8, np.uint8))
    (tmp_path / "scan_slice_009.png").write_bytes(b"no image")
    write_png(tmp_path / "slice of mine.png", np.full((48, 64), 1, np.uint8))
    framing = Framing((48, 64), (48, 64), "axial", neighbours=1, gap=1.0)
    unusable = "its neighbour {} cannot be used, so the slice itself stands in for it"
    other_size, broken = unusable.format("case_7_slice_11.nii.png"), unusable.format("scan_slice_009.png")
    alone = "no neighbouring slice lies beside it, so the slice itself stands in for its neighbours"
    wanted = {
        "case_7_slice_9.nii.png": ([8, 9, 10], ()),
        "case_7_slice_8.nii.png": ([8, 8, 9], ()),  # the end of a case
        "case_7_slice_10.nii.png": ([9, 10, 10], (other_size,)),
        "case_7_slice_12.nii.png": ([12, 12, 12], (other_size,)),
        "scan_slice_008.png": ([7, 8, 8], (broken,)),
        "slice of mine.png": ([1, 1, 1], (alone,)),
    }
    for name, (channels, notes) in wanted.items():
        item = read_input(InputFile(tmp_path / name, "one"), framing)
        assert (item.frames[0, 0, 0].tolist(), item.notes) == (channels, notes)


@pytest.mark.parametrize("keep", [False, True])
def test_there_is_no_tissue_in_the_air_or_in_empty_slices(keep: bool, tmp_path: Path) -> None:
    values, _ = brain((37, 50, 30))
    item = read_input(InputFile(save(tmp_path / "a.nii", values), "one"), FRAMING)
    raving = stand_in(lambda frames: certain(np.full(frames.shape[:3], 2, np.uint8)))
    (one,) = label([item], raving, keep)
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


def test_air_that_is_not_0_is_told(tmp_path: Path) -> None:
    values, _ = brain((37, 50, 30))
    assert not label_one(save(tmp_path / "a.nii", values)).input.notes
    (note,) = label_one(save(tmp_path / "b.nii", values + np.int16(40))).input.notes
    assert "background is not 0 but about 40" in note


def test_whatever_one_file_does_is_a_line_about_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [InputFile(save(tmp_path / f"{name}.nii", brain((37, 50, 12))[0]), name) for name in "abcd"]
    faults = {"a": MemoryError(), "c": RuntimeError("odd")}

    def reading(file: InputFile, **rest: Any) -> object:
        if file.name in faults:
            raise faults[file.name]
        return read_input(file, **rest)

    monkeypatch.setattr(cut, "read_input", reading)
    problems: dict[Path, str] = {}
    assert [item.source.name for item in read_inputs(files, FRAMING, None, problems.__setitem__)] == ["b", "d"]
    assert problems == {
        files[0].path: f"{files[0].path} needs more memory than there is",
        files[2].path: f"{files[2].path} cannot be used: RuntimeError, odd",
    }


def test_a_folder_is_searched_for_what_can_be_labelled(tmp_path: Path) -> None:
    folder, latin = tmp_path / "a folder é", os.fsdecode(b"caf\xe9.png")
    missing, secret, empty, study = (tmp_path / name for name in ("missing.png", "secret.png", "empty", "study"))
    for made in (folder / "deeper.png", empty, study / "sub-1"):
        made.mkdir(parents=True)
    plain = ["b.png", "a.nii.png", "d.hdr", "d.img", ".hidden.png", "notes.txt", "e.img", "f.NII.GZ", "z.png"]
    for path in (secret, folder / latin, *(folder / name for name in plain)):
        path.touch()
    for name, target in (("out.png", secret), ("in.png", folder / "z.png"), ("gone.png", folder / "nowhere")):
        (folder / name).symlink_to(target)
    found, problems = find_inputs([folder, missing, folder / "notes.txt", secret, empty, study])
    names = ["a.nii.png", "b.png", latin, "d.hdr", "e.img", "f.NII.GZ", "in.png", "out.png"]
    assert [one.path.name for one in found] == names
    assert [one.name for one in found] == ["a", "b", latin[:-4], "d", "e", "f", "in", "out"]
    sentences = {
        folder / "gone.png": "is a link to a file that does not exist: fetch that file",
        folder / "z.png": f"is the same file as {folder / 'in.png'}: only that one is labelled",
        missing: "does not exist",
        folder / "notes.txt": "is no PNG file and no volume",
        secret: f"is the same file as {folder / 'out.png'}: only that one is labelled",
        empty: "holds no PNG file and no volume: name another folder",
        study: f"holds no PNG file and no volume, and folders in it are not searched: name {study}/*",
    }
    assert problems.keys() == sentences.keys()
    for path, sentence in sentences.items():
        assert problems[path].startswith(f"{path} {sentence}")


def test_tables_and_pictures_tell_of_slices_and_volumes(tmp_path: Path) -> None:
    (folder := tmp_path / "mixed ü").mkdir()
    images = [blob(np.random.default_rng(k))[0] for k in range(3)]
    write_png(folder / "slice.png", images[0])
    save(folder / "volume.nii.gz", np.stack(images, axis=2).astype(np.int16), way="PIL")
    out = tmp_path / "out put"
    assert predict_with(stand_in(), [folder], out, probabilities=True) == (2, [])
    predicted, shares = read_grey(out / "slice_labels.png") // 85, np.load(out / "slice_probabilities.npy")
    assert np.array_equal(shares.argmax(-1), predicted)
    with Image.open(out / "slice_overlay.png") as image:  # places in the palette beyond the greys
        assert np.array_equal(np.asarray(image) >= 64, predicted > 0)
    classes = np.asarray(load(out / "volume_labels.nii.gz").dataobj)
    slice_, volume = rows(out / "tissue.csv")
    assert (slice_["file"], slice_["slices"], slice_["CSF_ml"]) == ("slice.png", "1", "")
    assert float(slice_["CSF_cm2"]) == (predicted == 1).sum() / 100
    assert (volume["file"], volume["slices"], volume["CSF_cm2"]) == ("volume.nii.gz", "3", "")
    assert float(volume["CSF_ml"]) == pytest.approx((classes == 1).sum() / 1000, abs=0.01)
    assert "the network was trained on slices from 0.30 to 0.70" in volume["notes"]
    _, *lines = rows(out / "slices.csv")
    assert [line["slice"] for line in lines] == ["2", "1", "0"], "upward, and the file runs downward"
    assert [float(line["CSF_mm2"]) for line in lines] == [(classes[:, int(line["slice"])] == 1).sum() for line in lines]
    assert "2\tgray matter\t#E69F00" in (out / "labels.tsv").read_text()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["a_labels.png", "tissue.csv", "slices.csv", "labels.tsv", "index.html"])
def test_nothing_is_overwritten_unless_asked(name: str, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", blob(np.random.default_rng(0))[0])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name} already: .*--overwrite"):
        predict_with(stand_in(), [tmp_path / "a.png"], tmp_path / "out")
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["mine"]
    predict_with(stand_in(), [tmp_path / "a.png"], tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / name).read_bytes() != b"mine"


def test_files_of_one_name_are_told_apart_by_their_folders_and_one_named_twice_is_one(tmp_path: Path) -> None:
    for name in ("a/x/T1.nii.gz", "b/x/T1.nii.gz", "b/x/T1.png", "b/y/T1.nii", "b/x/one.png", "c/two.nii", "c/two.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    long = tmp_path / "c" / f"{240 * 'n'}.png"
    long.touch()
    os.mkfifo(tmp_path / "c" / "pipe.png")
    inputs = [tmp_path / "a/x", tmp_path / "a/x/T1.nii.gz", tmp_path / "b/x", tmp_path / "b/y", tmp_path / "c"]
    found, problems = find_inputs(inputs)
    assert [one.name for one in found] == ["a/x/T1", "b/x/T1", "one", "b/y/T1", "two"]
    paths = ["a/x/T1.nii.gz", "b/x/T1.nii.gz", "b/x/one.png", "b/y/T1.nii", "c/two.nii"]
    assert [one.path for one in found] == [tmp_path / path for path in paths]
    assert [one.shown for one in found] == ["a/x/T1.nii.gz", "b/x/T1.nii.gz", "one.png", "b/y/T1.nii", "two.nii"]
    told = "\n".join(problems.values())
    for part in ("b/x/T1.png has the same name as", "c/two.png has the same name as", "pipe.png is no PNG file"):
        assert part in told
    assert "a name that is too long" in problems[long]
    for name in ("p.hdr", "p.img"):
        (tmp_path / name).touch()
    for subject in ("s1", "s2"):  # two links of one name
        (tmp_path / subject).mkdir()
        (tmp_path / subject / "T1.png").symlink_to(tmp_path / "b/x/one.png")
    links = [tmp_path / subject / "T1.png" for subject in ("s1", "s2")]
    (first,), problems = find_inputs([links[0], *links])
    assert (first.path, list(problems)) == (links[0], links[1:])
    assert f"is the same file as {links[0]}" in problems[links[1]]
    both, problems = find_inputs([tmp_path / "p.img", tmp_path / "p.hdr"])
    assert [one.path.name for one in both] == ["p.hdr"]
    assert not problems
    (pair := tmp_path / "pair").mkdir()
    for name in ("P.HDR", "P.IMG"):
        (pair / name).touch()
    both, problems = find_inputs([pair])
    assert [one.path.name for one in both] == ["P.HDR"]
    assert not problems


def test_no_input_is_ever_written_over_and_nothing_to_label_has_a_sentence(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.png", "a_labels.png")]
    for path in paths:
        write_png(path, blob(np.random.default_rng(0))[0])
    (empty := tmp_path / "empty").mkdir()
    before = paths[1].read_bytes()
    for named, output, sentence in (
        (paths, tmp_path, "a_labels.png is one of the inputs"),
        ([tmp_path], tmp_path, "is where the inputs lie"),
        ([empty], tmp_path / "out", "Nothing to label:\n.*empty holds no PNG file and no volume"),
    ):
        with pytest.raises(UserError, match=sentence):
            predict_with(stand_in(), named, output, overwrite=True)
    assert paths[1].read_bytes() == before


def test_a_prediction_that_is_interrupted_while_labels_are_written_has_their_rows(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [save(tmp_path / f"{name}.nii", brain((37, 50, 4))[0]) for name in "abc"]
    batch, write = count(), images.write_overlay

    def slow(*one: Any) -> None:
        time.sleep(0.2)
        write(*one)

    def forward(frames: np.ndarray) -> Labels:
        if next(batch):  # the second file
            raise KeyboardInterrupt
        return by_grey(frames)

    monkeypatch.setattr(images, "write_overlay", slow)
    monkeypatch.setattr("oasis_jax.inference.label._AHEAD", 0)
    monkeypatch.setattr(Segmenter, "load", lambda *runs, **rest: stand_in(forward))
    with pytest.raises(KeyboardInterrupt):
        command("predict", finished, *paths, "--output", tmp_path / "out")
    assert [row["file"] for row in rows(tmp_path / "out/tissue.csv")] == ["a.nii"]
    assert [path.name for path in tmp_path.glob("out/*_labels.nii.gz")] == ["a_labels.nii.gz"]


def test_a_full_disk_ends_the_prediction_and_what_was_written_is_in_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [save(tmp_path / f"{name}.nii", brain((37, 50, 4))[0]) for name in "abcdef"]
    tried, write = [], images.write_overlay

    def full(path: Path, *rest: Any) -> None:
        tried.append(path.name)
        if path.name != "a_overlay.png":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, *rest)

    monkeypatch.setattr(images, "write_overlay", full)
    with pytest.raises(OSError, match="No space left"):
        predict_with(stand_in(), paths, tmp_path / "out")
    assert len(tried) < len(paths)
    assert [row["file"] for row in rows(tmp_path / "out/tissue.csv")] == ["a.nii"]
