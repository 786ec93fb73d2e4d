"""Every command of the pages that phantoms can serve is run, page by page, in the order in which people paste them."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import nibabel as nib
import numpy as np
import pytest
from checked import load
from helpers import REPOSITORY, command, pasted

from oasis_jax import pretrained
from oasis_jax.config import Model
from oasis_jax.data.heads import tree as heads
from oasis_jax.data.phantoms import tree as phantoms
from oasis_jax.data.phantoms import volume
from oasis_jax.data.phantoms.head import make_head
from oasis_jax.network import unet
from oasis_jax.runs.weights import FILE, read_weights, write_weights
from oasis_jax.system import records

PAGES = ("README.md", *(f"docs/{name}.md" for name in ("data", "training", "evaluation", "prediction", "export")))

FREESURFER = np.array([0, 24, 3, 2])
"""Values of the classes in the label volumes of docs/data.md."""

DONE: set[tuple[str, ...]] = set()
"""Commands that a page before had too; they are not run twice."""


def start(name: str, words: list[str]) -> None:
    """Run a command, which must succeed, once; a training takes one step, and its network is small."""
    if (name, *words) in DONE:
        return
    DONE.add((name, *words))
    if name == "train":
        more = [] if "--init" in words else ["--model.stem", "2", "--model.levels", "3"]
        words = [str(small_model()) if word == "pretrained" else word for word in words]
        words += [*more, "--train.steps", "1", "--train.batch", "4"]
    done = command(name, *words)
    assert done.returncode == 0, done.stderr


def small_model() -> Path:
    """A model with all that is written in `pretrained`, but with a small new network, in the working folder."""
    about, _ = read_weights(pretrained.FOLDER / FILE)
    about["config"]["model"] |= {"stem": 2, "levels": 3}
    network = unet.network(records.from_json(Model, about["config"]["model"]))
    Path("small").mkdir()
    write_weights(Path("small") / FILE, about, network.init(jax.random.key(0), (32, 32, 3)))
    return Path("small")


@pytest.fixture(scope="module", autouse=True)
def one_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All phantoms are the same head, so that each height is drawn once, in few planes; their cache is their own.

    There are few slices, but those that the pages name. Heads of maps have no space around them.
    """
    head = make_head(np.random.default_rng(0))

    def once(draw: Callable[..., Any]) -> Callable[..., Any]:
        drawn = cache(lambda height: draw(head, height, np.random.default_rng(0)))
        return lambda _head, height, _rng: drawn(height)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OASIS_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(phantoms, "SUBJECTS", {"train": 23, "validate": 1, "test": 1})
        patch.setattr(phantoms, "SLICES", 9)
        patch.setattr(phantoms, "draw_slice", once(phantoms.draw_slice))
        patch.setattr(volume, "draw_plane", once(volume.draw_plane))
        patch.setattr(heads, "_MARGIN", 0)
        patch.setattr(volume, "write_volume", partial(volume.write_volume, gap=8.0))
        yield


@pytest.fixture(scope="module")
def provided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What people have before they paste: a tree of slices, volumes with labels, trained runs."""
    folder = tmp_path_factory.mktemp("provided")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(phantoms, "SUBJECTS", {"train": 1, "validate": 3, "test": 1})
        patch.setattr(phantoms, "SLICES", 4)
        phantoms.write_tree(Path("keras_png_slices_data"), phantoms.cases())
        Path("elsewhere").mkdir()
        Path("elsewhere/keras_png_slices_data").symlink_to(folder / "keras_png_slices_data")
        shutil.copytree("keras_png_slices_data/keras_png_slices_test", "folder_of_slices")
        shutil.copy("folder_of_slices/case_005_slice_1.nii.png", "one_more.png")
        for subject in ("a", "b", "c"):
            anatomy = Path(f"study/sub-{subject}/anat")
            anatomy.mkdir(parents=True)
            volume.write_volume(anatomy / f"sub-{subject}_T1w.nii.gz", seed=ord(subject))
            (anatomy / f"sub-{subject}_T1w_labels.nii.gz").rename(anatomy / f"sub-{subject}_dseg.nii.gz")
        Path("study/dataset_description.json").write_text("{}")
        shutil.copy("study/sub-a/anat/sub-a_T1w.nii.gz", "scan.nii.gz")
        Path("maps").mkdir()
        for name in ("01", "02"):
            labels = load(Path("study/sub-a/anat/sub-a_dseg.nii.gz"))
            values = FREESURFER[np.asarray(labels.dataobj)[::4, ::4, ::2]].astype(np.uint8)  # small, to be quick
            nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 2.0, 1.0])), f"maps/{name}.nii.gz")
        Path("folder_of_volumes").mkdir()
        shutil.copy("scan.nii.gz", "folder_of_volumes")
        start("train", ["oasis", "--data.root", "keras_png_slices_data"])
        shutil.copytree("runs/oasis", "runs/mine")
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_in_their_order(
    page: str, provided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "there"
    made = ["runs"] if page in ("README.md", "docs/training.md") else []  # by the page itself
    shutil.copytree(provided, folder, ignore=shutil.ignore_patterns(*made), symlinks=True)
    monkeypatch.chdir(folder)
    if page != "README.md":  # it makes this tree
        Path("my_tree").symlink_to("keras_png_slices_data")
    if page == "docs/data.md":
        for path in folder.glob("study/*/anat/*_dseg.nii.gz"):
            labels = load(path)
            values = FREESURFER[np.asarray(labels.dataobj)].astype(np.uint8)
            nib.save(nib.Nifti1Image(values, labels.affine), path)
    for name, words in pasted(REPOSITORY / page):
        if words[:1] not in (["verify"], ["rebuild"]):  # these need the genuine files
            print(name, *words)
            start(name, words)
