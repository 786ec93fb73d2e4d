"""The search for how slices were cut, the grey rules it tries, and the encoder that makes its digests comparable."""

import hashlib
import io
import re
import sys
import zlib
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from helpers import GENUINE
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oasis_jax.data.published import png_encoder
from oasis_jax.data.published.grey_rules import DEFAULT, RULES
from oasis_jax.data.published.png_encoder import encode_png, published_encoder, recompress
from oasis_jax.data.published.search import Placement, Recipe, cut, find_placement, find_rule, label_frame, search
from oasis_jax.data.slices import write_png
from oasis_jax.data.volumes.frame import centre, quantise

SAMPLE = GENUINE / "keras_png_sample"

SEEDS = st.integers(0, 2**32 - 1)


def digest(pixels: np.ndarray) -> bytes:
    return hashlib.sha256(pixels.tobytes()).digest()[:8]


@given(SEEDS, st.integers(0, 25), st.sampled_from([1, -1]), st.booleans(), st.booleans(), st.integers(2, 8))
def test_any_placement_is_found(seed: int, lowest: int, step: int, rows: bool, columns: bool, count: int) -> None:
    classes = np.random.default_rng(seed).integers(0, 4, (12, 10, 40))
    placement = Placement(lowest if step > 0 else lowest + count - 1, step, rows, columns)
    wanted = [digest(label_frame(plane)) for plane in cut(classes, placement, count)]
    assert find_placement(classes, wanted, digest) == placement
    # Two slices that match are enough, whichever; the others may be of another version.
    few = np.random.default_rng(seed).permutation(count)[:2]
    some = [known if k in few else b"8 bytes!" for k, known in enumerate(wanted)]
    assert find_placement(classes, some, digest) == placement


def test_a_single_match_is_no_placement() -> None:
    classes = np.random.default_rng(0).integers(0, 4, (12, 10, 40))
    wanted = [digest(label_frame(classes[:, :, 5])), *[b"8 bytes!"] * 7]
    assert find_placement(classes, wanted, digest) is None


def test_blank_slices_do_not_mislead() -> None:
    classes = np.random.default_rng(0).integers(0, 4, (12, 10, 40))
    classes[:, :, :6] = classes[:, :, 20:] = 0
    wanted = [digest(label_frame(plane)) for plane in cut(classes, Placement(10, 1), 16)]
    assert find_placement(classes, wanted, digest) == Placement(10, 1)


@pytest.mark.parametrize("name", RULES)
def test_any_rule_is_found(name: str) -> None:
    rng = np.random.default_rng(0)
    # Tops of 510 and 1020 make halves and whole quotients, on which rules differ; the lowest value is negative.
    planes = [rng.integers(-20, top, (60, 70), np.int16) for top in (511, 777, 1021, 4000)]
    frames = [RULES[name](plane) for plane in planes]
    found = find_rule(planes, [digest(frame) for frame in frames], digest)
    assert found
    assert all(np.array_equal(RULES[found](plane), frame) for plane, frame in zip(planes, frames, strict=True))


def test_no_two_rules_are_the_same() -> None:
    planes = [np.resize(np.arange(-20, top + 1), (45, 150)) for top in (3214, 3720, 5123)]
    made = {name: b"".join(rule(plane).tobytes() for plane in planes) for name, rule in RULES.items()}
    assert len(set(made.values())) == len(RULES)


def test_no_rule_is_said_to_match_what_none_made() -> None:
    planes = [np.arange(12).reshape(3, 4)]
    assert find_rule(planes, [b"8 bytes!"], digest) is None
    classes = np.ones((3, 4, 9), np.uint8)
    usual = Recipe(Placement(3), DEFAULT)
    assert search(classes, classes, [b"8 bytes!"] * 4, [b"8 bytes!"] * 4, digest, usual) == usual


@given(SEEDS, st.integers(1, 5000), st.sampled_from(sorted(RULES)))
def test_every_rule_keeps_the_order_and_reaches_white(seed: int, top: int, name: str) -> None:
    values = np.random.default_rng(seed).integers(0, top + 1, (9, 11), np.int16)
    values[0, 0], values[0, 1] = 0, top
    grey = RULES[name](values)
    assert grey.dtype == np.uint8
    assert grey.shape == (256, 256)
    assert grey[123, 122] == 0
    assert grey.max() >= 254
    inside = grey[123:132, 122:133].ravel()
    assert (np.diff(inside[values.ravel().argsort(kind="stable")].astype(int)) >= 0).all()
    assert np.array_equal(RULES[name](np.zeros((9, 11))), np.zeros((256, 256), np.uint8))


VALUES = np.random.default_rng(2).integers(5, 3000, (176, 208), np.int16)
SPAN = VALUES - VALUES.min()


def framed(grey: np.ndarray) -> np.ndarray:
    return centre(grey, (256, 256))


def test_the_default_rule_is_the_one_of_the_house() -> None:
    assert np.array_equal(RULES[DEFAULT](VALUES), framed(quantise(VALUES)))


def test_matplotlib_agrees() -> None:
    file = io.BytesIO()
    matplotlib.image.imsave(file, VALUES.astype(float), cmap="gray", format="png")
    with Image.open(file) as image:
        grey = np.asarray(image)[..., 0]
    assert np.array_equal(RULES["matplotlib.pyplot.imsave of min-max"](VALUES), framed(grey))


def test_scikit_image_agrees() -> None:
    util = pytest.importorskip("skimage.util")
    grey = util.img_as_ubyte(SPAN / SPAN.max())
    assert np.array_equal(RULES["round(255 v / top) of min-max"](VALUES), framed(grey))


def test_imageio_agrees(caplog: pytest.LogCaptureFixture) -> None:
    util = pytest.importorskip("imageio.core.util")
    grey = util.image_as_uint(VALUES.astype(float), bitdepth=8)
    assert np.array_equal(RULES["imageio.core.image_as_uint of min-max"](VALUES), framed(grey))


# The encoder.


def test_both_encoders_write_the_pixels(tmp_path: Path) -> None:
    pixels = png_encoder.picture()
    for encode in png_encoder.ENCODERS:
        content = encode(pixels)
        with Image.open(io.BytesIO(content)) as image:
            image.verify()
        with Image.open(io.BytesIO(content)) as image:
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), pixels)
    write_png(tmp_path / "one.png", pixels)
    assert (tmp_path / "one.png").read_bytes() == encode_png(pixels)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the genuine pair is not here")
@pytest.mark.parametrize("name", ["case_001_slice_0.nii.png", "seg_001_slice_0.nii.png"])
def test_the_encoder_writes_the_genuine_bytes(name: str) -> None:
    encode = published_encoder()
    assert encode
    with Image.open(SAMPLE / name) as image:
        assert encode(np.asarray(image)) == (SAMPLE / name).read_bytes()


def other_zlib(pixels: np.ndarray) -> bytes:
    """The same pixels in other bytes, as another zlib would write them."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=5)
    return file.getvalue()


def test_an_encoder_that_writes_other_bytes_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_encoder, "ENCODERS", (other_zlib, recompress))
    assert published_encoder() in (recompress, None)
    monkeypatch.setattr(png_encoder, "ENCODERS", (other_zlib,))
    assert published_encoder() is None


@pytest.mark.skipif(
    sys.platform != "linux" or not re.fullmatch(r"[\d.]+", zlib.ZLIB_RUNTIME_VERSION), reason="Python has another zlib"
)
def test_the_second_encoder_does_without_pillows_zlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_encoder, "encode_png", other_zlib)
    monkeypatch.setattr(png_encoder, "ENCODERS", (png_encoder.encode_png, recompress))
    assert published_encoder() is recompress
