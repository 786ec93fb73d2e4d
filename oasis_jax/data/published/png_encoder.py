"""The PNG encoder that gives the bytes of the published slices, if this machine has one.

The published files have the bytes that Pillow writes at its default settings with the classic zlib. Pillow compresses
with the zlib of the machine. Another one (zlib-ng, for example) writes other bytes for the same pixels, and then no
digest of a rebuilt slice can match. So each encoder is tested on a picture first.
"""

import struct
import zlib
from collections.abc import Callable

import numpy as np

from oasis_jax.data.published.manifest import digest
from oasis_jax.data.slices import encode_png

Encoder = Callable[[np.ndarray], bytes]
"""From uint8 grey levels `(H, W)` to the bytes of a PNG file."""

_DIGEST = "61b549819e2199d9"
"""First 8 bytes of the SHA-256 of the test picture as a PNG, from an encoder that gives the published bytes."""


def recompress(pixels: np.ndarray) -> bytes:
    """Pillow's filtered rows, compressed by Python's own zlib with Pillow's settings.

    They are level 6, a window of 32 kB, memory level 9 and the strategy for filtered data (Pillow's `ZipEncode.c`).
    """
    png = encode_png(pixels)
    header, rest = png[: 8 + 25], png[8 + 25 :]  # the signature and IHDR
    rows = b""
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        if rest[4:8] == b"IDAT":
            rows += rest[8 : 8 + length]
        rest = rest[12 + length :]
    compress = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    data = compress.compress(zlib.decompress(rows)) + compress.flush()
    return header + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


ENCODERS: tuple[Encoder, ...] = (encode_png, recompress)


def published_encoder() -> Encoder | None:
    """The first encoder that gives the published bytes on this machine, or None."""
    return next((encode for encode in ENCODERS if digest(encode(picture())).hex() == _DIGEST), None)


def picture() -> np.ndarray:
    """The test picture, uint8 `(256, 256)`: tissue-like blocks and noise in an ellipse, by integer arithmetic only."""
    y, x = np.indices((256, 256), dtype=np.uint32)
    noise = (x * np.uint32(73856093)) ^ (y * np.uint32(19349663))
    noise = (noise ^ (noise >> 13)) * np.uint32(1274126177) >> 24
    tissue = 50 + 45 * ((x // 11 + y // 17 + (x * y >> 10)) % 4)
    inside = (x.astype(int) - 128) ** 2 * 2 + (y.astype(int) - 128) ** 2 * 3 < 25_000
    return np.where(inside, tissue + noise % 20, noise % 3).astype(np.uint8)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
