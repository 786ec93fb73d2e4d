"""The published set is known by heart, and a tree is compared with it file by file."""

import hashlib
import json
import shutil
import tomllib
from pathlib import Path

import pytest
from helpers import GENUINE, REPOSITORY, assert_mistake, command

from oasis_jax.config import SPLITS
from oasis_jax.data import __main__ as program
from oasis_jax.data.published import manifest
from oasis_jax.data.published.manifest import Manifest
from oasis_jax.data.published.verify import verify
from oasis_jax.data.slices import folders

FACTS = GENUINE / "keras_png_manifest.tsv"


@pytest.fixture
def root(tree: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tree, tmp_path / "tree")


@pytest.fixture
def known(tree: Path) -> Manifest:
    cases = {"1": "train", "2": "train", "3": "validate", "9": "test", "10": "test"}
    files = sorted(tree.glob("keras_png_slices_*/*.png"))
    digests = {str(file.relative_to(tree)): hashlib.sha256(file.read_bytes()).digest()[:8] for file in files}
    return Manifest(cases, digests)


def test_the_published_set_has_the_published_numbers() -> None:
    known = manifest.published()
    splits = list(known.cases.values())
    assert {split: splits.count(split) for split in splits} == {"train": 302, "validate": 35, "test": 17}
    for split, files in {"train": 9664, "validate": 1120, "test": 544}.items():
        for folder in folders(Path(), split):
            assert sum(name.startswith(f"{folder}/") for name in known.digests) == files
    assert len(set(known.digests.values())) == 22_656
    assert len(known.rescanned) == 13
    assert {known.cases[case] for case in known.rescanned} == {"train"}
    assert known.scan_of("061") == "OAS1_0061_MR2"
    assert known.scan_of("441") == "OAS1_0441_MR1"
    assert known.digests["keras_png_slices_seg_test/seg_441_slice_0.nii.png"].hex() == "3aef8d4f9edeb605"


@pytest.mark.skipif(not FACTS.is_file(), reason="the published manifest is not here")
def test_the_digests_are_the_published_ones() -> None:
    lines = [line.split("\t") for line in FACTS.read_text().splitlines()]
    assert manifest.published().digests == {name: bytes.fromhex(digest)[:8] for name, digest, _ in lines}


def test_the_digests_are_installed_with_the_package() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    installed = {
        path
        for package, patterns in settings.items()
        for pattern in patterns
        for path in (REPOSITORY / package.replace(".", "/")).glob(pattern)
    }
    files = {path for path in (REPOSITORY / "oasis_jax").rglob("*") if path.is_file()}
    data = {path for path in files if path.suffix not in (".py", ".pyc")}
    assert data
    assert data <= installed


def test_each_difference_is_named_in_its_split(root: Path, known: Manifest) -> None:
    names = [f"keras_png_slices_train/case_1_slice_{k}.nii.png" for k in range(4)]
    missing, changed, folder, link = (root / name for name in names)
    missing.rename(missing.with_name("é b.png"))
    changed.write_bytes(changed.read_bytes()[:-1] + b"\0")
    folder.unlink()
    folder.mkdir()
    link.unlink()
    link.symlink_to("nowhere")
    shutil.rmtree(root / "keras_png_slices_seg_test")
    found = verify(root, known)
    train = found["train"]
    assert (train.missing, train.different) == (names[:1], names[1:])
    assert train.extra == ["keras_png_slices_train/é b.png"]
    assert not train.authentic
    for line in (f"missing: {names[0]}", f"different: {names[1]}", f"extra: {train.extra[0]}"):
        assert line in str(train)
    assert found["validate"].authentic
    assert len(found["test"].missing) == 8


def test_the_command_says_it_by_its_status_and_in_json(
    root: Path, known: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = command("data", "verify", root, "--json")
    assert done.returncode == 1
    content = json.loads(done.stdout)
    assert content["authentic"] is content["splits"]["train"]["authentic"] is False
    assert content["splits"]["test"]["missing"][0] == "keras_png_slices_test/case_441_slice_0.nii.png"
    assert len(content["splits"]["train"]["extra"]) == 16
    monkeypatch.setattr(program, "published", lambda: known)
    (root / "keras_png_slices_train" / ".DS_Store").write_text("x")
    (root / "notes.txt").write_text("x")
    done = command("data", "verify", root)
    said = (f"{split}: complete and authentic, {n} files\n" for split, n in zip(SPLITS, (16, 8, 16), strict=True))
    assert (done.returncode, done.stdout) == (0, "".join(said))
    assert_mistake(command("data", "verify", root / "none"), "none is not a folder")
    assert_mistake(command("data", "verify", root.parent), "holds no keras_png_slices")
