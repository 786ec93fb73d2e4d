"""A user's own PNG files: converted if that loses nothing, otherwise refused with a sentence."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from PIL import Image

from oasis_jax.data import appearance
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.png import read_grey

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 21


ALIKE = {
    "grey": Image.fromarray(GREY),
    "colour": Image.fromarray(GREY).convert("RGB"),
    "alpha": Image.fromarray(GREY).convert("RGBA"),
    "grey and alpha": Image.fromarray(GREY).convert("LA"),
    "palette": Image.fromarray(GREY).convert("RGB").quantize(16),
    "black and white": Image.fromarray(GREY > 99),
    "16-bit, small": Image.fromarray(GREY.astype(np.uint16)),
    "16-bit, wide": Image.fromarray(GREY.astype(np.uint16) * 257),
}
"""Images that hold `GREY` without loss."""


@pytest.mark.parametrize("kind", ALIKE)
def test_what_can_be_converted_without_loss_is(kind: str, tmp_path: Path) -> None:
    ALIKE[kind].save(tmp_path / "a.png")
    grey = read_grey(tmp_path / "a.png")
    assert grey.dtype == np.uint8
    assert np.array_equal(grey, np.where(GREY > 99, 255, 0) if kind == "black and white" else GREY)


def bomb(sound: bytes, side: int) -> bytes:
    """A small file whose header claims side x side pixels."""
    header = sound[12:16] + struct.pack(">II", side, side) + sound[24:29]
    return sound[:12] + header + struct.pack(">I", zlib.crc32(header)) + sound[33:]


def test_what_cannot_be_used_has_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a file é.png"

    def saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
        image.save(path, format=form, **options)
        return path.read_bytes()

    coloured = Image.fromarray(np.stack([GREY, GREY, GREY // 2], axis=-1))
    clear = Image.fromarray(GREY).convert("LA")
    clear.putpixel((0, 0), (9, 0))
    whole = saved(Image.fromarray(GREY))
    damaged = bytearray(whole)
    damaged[whole.index(b"IDAT") + 6] ^= 255
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    unreadable = "cannot be read as a PNG image"
    cases = {
        "16-bit": (saved(Image.fromarray(GREY.astype(np.uint16) * 200)), "more than 8-bit grey levels"),
        "coloured": (saved(coloured), "holds colours"),
        "transparent": (saved(clear), "has transparent pixels"),
        "JPEG": (saved(Image.fromarray(GREY), "JPEG"), unreadable),
        "truncated": (whole[:-20], unreadable),
        "damaged": (bytes(damaged), unreadable),
        "bomb": (bomb(whole, 6000), "claims 6000x6000 pixels"),
        "huge bomb": (bomb(whole, 60000), unreadable),
        "animation": (saved(frames[0], save_all=True, append_images=frames[1:]), "animation"),
    }
    for kind, (content, sentence) in cases.items():
        path.write_bytes(content)
        with pytest.raises(UserError) as error:
            read_grey(path)
        assert sentence in str(error.value), kind
        assert str(path) in str(error.value), kind


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_measures_are_mean_and_deviation_of_the_foreground(grey: np.ndarray) -> None:
    mean, deviation = appearance.measure(grey)
    foreground = grey[grey > 25].astype(float)
    assert np.isclose(mean, foreground.mean() if foreground.size else 0)
    assert np.isclose(deviation, foreground.std() if foreground.size else 0, atol=1e-6)


def test_a_slice_beyond_the_ranges_by_a_quarter_of_their_width_is_unlike() -> None:
    ranges = {"mean": (100.0, 120.0), "deviation": (0.0, 20.0)}
    alike, unlike = [(95, 95), (125, 125), (85, 135)], [(94, 94), (126, 126), (84, 136)]
    slices = [np.array([levels], np.uint8) for levels in (*alike, *unlike)]
    assert appearance.out_of_range(slices, ranges) == [False] * 3 + [True] * 3


def test_a_few_odd_slices_do_not_widen_the_ranges() -> None:
    slices = [(100.0 + k % 10, 20.0) for k in range(1000)]
    assert appearance.ranges([*slices, (255.0, 0.0)]) == {"mean": (100.0, 109.0), "deviation": (20.0, 20.0)}
