"""A file that is not what its name says is called what it is, wherever it is given."""

from pathlib import Path

import numpy as np
import pytest
from helpers import write_tree
from PIL import Image

from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.slices import folders
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.finding import find_inputs
from oasis_jax.volumes.nifti import read_volume
from oasis_jax.volumes.png import read_grey

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
DICOM = bytes(128) + b"DICM\x02\0\0\0UL\x04\0"

KINDS = {
    b"": "an empty file: copy it again",
    POINTER: "a Git LFS pointer, not the file itself: run git lfs pull",
    b"/annex/objects/SHA256E-s1048576--4d7a.nii.gz\n": "a git-annex pointer, not the file itself: run git annex get",
    b"\n<!DOCTYPE html>\n<html><title>Log in</title></html>\n": "a web page, perhaps a login or an error: download",
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>": "a web page, perhaps a login or an error",
    DICOM: "a DICOM file: convert its series to NIfTI, for example with dcm2niix",
    b"PK\x03\x04\x14\0": "a ZIP archive: unpack it",
}


@pytest.mark.parametrize(("content", "sentence"), KINDS.items(), ids=list(KINDS.values()))
def test_it_is_called_what_it_is_and_what_to_do(content: bytes, sentence: str, tmp_path: Path) -> None:
    for name, read in (("a.nii.gz", read_volume), ("a.mgz", read_volume), ("a.png", read_grey)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError) as error:
            read(tmp_path / name)
        assert f"{name} cannot be read as a " in str(error.value)
        assert f"it is {sentence}" in str(error.value)
    root = write_tree(tmp_path / "tree", slices=1)
    (folders(root, "train")[1] / "seg_2_slice_0.nii.png").write_bytes(content)
    with pytest.raises(UserError, match=r"unreadable \(1\)") as error:
        load_dataset(root)
    assert f"seg_2_slice_0.nii.png: it is {sentence}" in str(error.value)


def test_a_series_that_must_be_converted_is_named(tmp_path: Path) -> None:
    (tmp_path / "IM0001").write_bytes(DICOM)
    for path in (tmp_path, tmp_path / "IM0001"):
        found, problems = find_inputs([path])
        assert not found
        assert "no PNG file" in problems[path]
        assert "a DICOM file: convert its series to NIfTI" in problems[path]
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.jpg")
    _, problems = find_inputs([tmp_path / "a.jpg"])
    assert "is no PNG file but a JPEG image: save it as PNG" in problems[tmp_path / "a.jpg"]
