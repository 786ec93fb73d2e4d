"""The label half of a rebuild on real data: OASIS-1's own pictures of labels become published files, byte for byte."""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from oasis_jax.data.published.manifest import SLICES, digest, pair_names, published
from oasis_jax.data.published.png_encoder import published_encoder
from oasis_jax.data.published.scans import SHAPE
from oasis_jax.data.published.search import KNOWN_RECIPE, cut, label_frame

FOLDER = os.environ.get("OASIS_JAX_LABEL_GIFS", "")
"""Holds `OAS1_NNNN_MRk_*_fseg_tra_90.gif`, at any depth, as the FSL_SEG folders of the discs do."""

NUMBER = 17
"""The slice that the pictures show."""


class LabelGif(NamedTuple):
    """The labels of one scan at height 89: OASIS counts from 1, so its files are named `tra_90`."""

    scan: str
    case: str
    path: Path


def label_gifs(folder: Path) -> list[LabelGif]:
    names = (
        (re.match(r"(OAS1_0(\d{3})_MR\d)_", path.name), path) for path in sorted(folder.rglob("*_fseg_tra_90.gif"))
    )
    return [LabelGif(match[1], match[2], path) for match, path in names if match]


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
    manifest, encode = published(), published_encoder()
    if encode is None:
        pytest.skip("this machine's zlib writes other PNG bytes")
    gifs = label_gifs(Path(FOLDER))
    matching = set()
    for gif in gifs:
        if gif.case in manifest.cases:
            _, label = pair_names(manifest.cases[gif.case], gif.case, NUMBER)
            plane = cut(volume_of(gif.path), KNOWN_RECIPE.placement, SLICES)[NUMBER]
            if digest(encode(label_frame(plane))) == manifest.digests[label]:
                matching.add(gif.scan)
    assert len(matching) >= 290
    assert matching == {gif.scan for gif in gifs} & {manifest.scans_of(case)[0] for case in manifest.cases}
