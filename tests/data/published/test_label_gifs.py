"""The label half of a rebuild on real data: OASIS-1's own pictures of labels become published files, byte for byte."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import GENUINE
from PIL import Image

from oasis_jax.data.published.discs import SHAPE
from oasis_jax.data.published.manifest import digest, pair_names, published
from oasis_jax.data.published.rebuild import FRAME, cut
from oasis_jax.data.slices import encode_png
from oasis_jax.volumes.frame import centre

FOLDER = os.environ.get("OASIS_JAX_LABEL_GIFS", "")
"""Holds `OAS1_NNNN_MRk_*_fseg_tra_90.gif`, at any depth, as the FSL_SEG folders of the discs do."""

NUMBER = 17
"""The slice that the pictures show."""


def volume_of(path: Path) -> np.ndarray:
    """A volume of classes that is blank but for the height of the picture.

    A picture has 208 rows from front to back, and 176 columns along x. Its four grey levels are the four classes.
    """
    with Image.open(path) as image:
        levels, classes = np.unique(np.asarray(image), return_inverse=True)
    assert len(levels) == 4
    volume = np.zeros(SHAPE, np.uint8)
    volume[:, :, 89] = classes.reshape(SHAPE[1], SHAPE[0])[::-1].T
    return volume


@pytest.mark.skipif(not FOLDER, reason="OASIS_JAX_LABEL_GIFS names no folder of label pictures")
def test_pictures_of_labels_become_the_published_files() -> None:
    """Of the 358 pictures that are on the web, 290 become published files. The other 68 cannot.

    13 are of the first scan (MR1) of subjects whose published slices come from the second, and 55 are of 48 subjects
    that have no published slices.
    """
    manifest = published()
    shown = {
        (match[1], match[2]): path
        for path in Path(FOLDER).rglob("*_fseg_tra_90.gif")  # OASIS counts heights from 1
        if (match := re.match(r"(OAS1_0(\d{3})_MR\d)_", path.name)) and match[2] in manifest.cases
    }
    matching = set()
    for (scan, case), path in shown.items():
        label = centre(cut(volume_of(path))[NUMBER] * np.uint8(85), FRAME)
        if digest(encode_png(label)) == manifest.digests[pair_names(manifest.cases[case], case, NUMBER)[1]]:
            matching.add(scan)
    assert len(matching) >= 290
    assert matching == {scan for scan, case in shown if scan == manifest.scan_of(case)}


SAMPLE = GENUINE / "keras_png_sample"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the genuine pair is not here")
@pytest.mark.parametrize("name", ["case_001_slice_0.nii.png", "seg_001_slice_0.nii.png"])
def test_png_files_have_the_genuine_bytes(name: str) -> None:
    with Image.open(SAMPLE / name) as image:
        assert encode_png(np.asarray(image)) == (SAMPLE / name).read_bytes()
