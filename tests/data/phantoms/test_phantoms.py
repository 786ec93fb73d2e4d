from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from checked import load, present
from helpers import assert_mistake, command

from oasis_jax.data.phantoms import head, volume


def draw(case: int, height: float) -> tuple[np.ndarray, np.ndarray]:
    drawn = head.make_head(np.random.default_rng([0, case]))
    return head.draw_slice(drawn, height, np.random.default_rng([0, case, int(height)]))


@pytest.mark.parametrize("height", [0.0, 16.0, 30.0])
def test_a_slice_looks_like_a_scan_by_numbers(height: float) -> None:
    image, label = draw(1, height)
    assert image.dtype == label.dtype == np.uint8
    assert image.shape == label.shape == (256, 256)
    assert image.max() == 255
    shares = [(label == k).mean() for k in range(4)]
    assert shares[0] > 0.6
    assert min(shares[1:]) > 0.02
    csf, gray, white = (image[label == k].mean() for k in (1, 2, 3))
    assert csf < 0.7 * gray < 0.7 * white
    assert image[label == 0].max() == 255  # the scalp is the brightest
    outside = np.ones((256, 256), bool)
    outside[40:216, 24:232] = False
    assert not image[outside].any()


def test_subjects_differ_more_than_neighbouring_slices() -> None:
    label, neighbour, other = draw(0, 10.0)[1], draw(0, 12.0)[1], draw(1, 10.0)[1]
    assert (label != neighbour).mean() < 0.6 * (label != other).mean()


def test_a_volume_holds_a_whole_head_with_its_labels_on_one_grid_and_the_same_for_a_seed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        volume.write_volume(tmp_path / f"{name}.nii.gz", seed=3, gap=30.0)
    head, labels = (load(tmp_path / name) for name in ("a.nii.gz", "a_labels.nii.gz"))
    assert head.shape == labels.shape == (176, 208, 7)
    assert np.array_equal(present(head.affine), present(labels.affine))
    assert nib.aff2axcodes(present(head.affine)) == ("R", "A", "S")
    values, classes = np.asarray(head.dataobj), np.asarray(labels.dataobj)
    assert set(np.unique(classes)) == {0, 1, 2, 3}
    area = (classes > 0).sum((0, 1))
    assert area[0] == area[-1] == 0  # the brain ends within the volume, below and above
    assert area.argmax() in (2, 3)
    assert values[classes == 3].mean() > values[classes == 2].mean() > values[classes == 1].mean()
    assert np.array_equal(values, np.asarray(load(tmp_path / "b.nii.gz").dataobj))


def test_the_command_wants_a_tree_or_a_volume(tmp_path: Path) -> None:
    (tmp_path / "there_labels.nii.gz").touch()
    for words, part in (
        ((), "Name a folder for a tree of slices, or --volume"),
        ((tmp_path / "tree", "--volume", tmp_path / "x.nii.gz"), "not both"),
        (("--volume", tmp_path / "x.nii"), "must end in .nii.gz"),
        (("--volume", tmp_path / "there.nii.gz"), "there_labels.nii.gz exists already"),
    ):
        assert_mistake(command("data", "phantom", *words), part)
    assert [path.name for path in tmp_path.iterdir()] == ["there_labels.nii.gz"]
