"""A user's own slices as PNG files: all that can be converted to 8-bit grey levels without loss."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from oasis_jax.data.other_kinds import other_kind
from oasis_jax.data.slices import BROKEN, LARGEST
from oasis_jax.system.errors import UserError


def read_grey(path: Path) -> UInt8[np.ndarray, "rows columns"]:
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
            levels = _levels(image, depth=content[24])
    except BROKEN as error:
        identified = not isinstance(error, UnidentifiedImageError)
        reason = str(error) if identified else f"it is {other_kind(content[:1024]) or 'not one'}"
        raise UserError(f"{path} cannot be read as a PNG image: {reason}.") from error
    if isinstance(levels, str):
        raise UserError(
            f"{path} {levels}, which a conversion would lose: save it as 8-bit grey, or label the volume that it was "
            "made from."
        )
    return levels


_DEEP = "holds more than 8-bit grey levels"


def _levels(image: Image.Image, depth: int) -> np.ndarray | str:
    """8-bit grey levels, or a description of what else the file holds; `depth` is the file's bits a channel."""
    if image.mode == "L" and "transparency" not in image.info:
        return np.array(image)
    if image.mode.startswith("I"):
        wide = np.array(image).astype(np.int64)
        if wide.max() <= 255:
            return wide.astype(np.uint8)
        return (wide // 257).astype(np.uint8) if not (wide % 257).any() else _DEEP
    if depth > 8:  # Pillow drops the low bytes of 16-bit colours
        return _DEEP
    red, green, blue, alpha = np.moveaxis(np.array(image.convert("RGBA")), -1, 0)
    if (alpha != 255).any():
        return "has transparent pixels"
    return red.copy() if (red == green).all() and (red == blue).all() else "holds colours"
