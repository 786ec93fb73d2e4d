"""A user's own slices as PNG files: all that can be converted to 8-bit grey levels without loss."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from oasis_jax.geometry import Pixels
from oasis_jax.system.errors import UserError
from oasis_jax.volumes.other_kinds import other_kind

BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises on a damaged image."""

LARGEST = 2048
"""Longest side of an image, pixels: many times a slice, and far from what exhausts memory."""


def read_grey(path: Path) -> Pixels:
    """Read a PNG file as grey levels.

    Black and white, palette, colour and 16-bit files are converted if that loses nothing: all colours are grey, nothing
    is transparent, and 16-bit levels are 8-bit levels times 1 or 257.

    Raises:
        UserError: no PNG, damaged, too large, or holding colours, transparency or more than 8 bits.
    """
    content = b""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if max(image.size) > LARGEST:
                raise UserError(f"{path} claims {image.width}x{image.height} pixels, far more than a slice has.")
            image.verify()  # the checksums: reading the pixels does not check them
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise UserError(f"{path} is an animation: save its frames as files.")
            return _levels(path, image, depth=content[24])
    except BROKEN as error:
        identified = not isinstance(error, UnidentifiedImageError)
        reason = str(error) if identified else f"it is {other_kind(content[:1024]) or 'not one'}"
        raise UserError(f"{path} cannot be read as a PNG image: {reason}.") from error


def _levels(path: Path, image: Image.Image, depth: int) -> Pixels:
    """8-bit grey levels; `depth` is the file's bits a channel. `UserError` if the file holds something else."""
    if image.mode == "L" and "transparency" not in image.info:
        return np.array(image)
    lost = "holds more than 8-bit grey levels"
    if image.mode.startswith("I"):
        wide = np.array(image).astype(np.int64)
        if wide.max() <= 255:
            return wide.astype(np.uint8)
        if not (wide % 257).any():
            return (wide // 257).astype(np.uint8)
    elif depth <= 8:  # Pillow drops the low bytes of 16-bit colours
        red, green, blue, alpha = np.moveaxis(np.array(image.convert("RGBA")), -1, 0)
        if (alpha == 255).all() and (red == green).all() and (red == blue).all():
            return red.copy()
        lost = "holds colours" if (alpha == 255).all() else "has transparent pixels"
    raise UserError(
        f"{path} {lost}, which a conversion would lose: save it as 8-bit grey, or label the volume that it was made "
        "from."
    )
