"""What all pages share: templates that are filled, and slices as pictures."""

import base64
import io
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from scipy import ndimage

from oasis_jax.classes import COLOURS, COUNT, NAMES
from oasis_jax.geometry import Pixels

TableRow = tuple[str, list[str]]
"""The name and the cells of a row of `table.html`."""

CLASSES = [{"name": name, "colour": colour} for name, colour in zip(NAMES, COLOURS.tolist(), strict=True)]
"""The classes, for `page.js`."""

ERROR = (204, 121, 167)
"""RGB of a wrong pixel: reddish purple of the Okabe-Ito palette. Colour-blind readers can see that it is no class."""

_DARK, _MARGIN = 24, 6
"""Grey levels up to this show nothing. Pixels around the part that is shown."""

_QUALITY = 70
"""Quality of the lossy JPEG images: about 6 kB for a slice of 256x256, without visible differences at this size. WebP
would be a third smaller and take fifty times as long."""

_TEMPLATES = Environment(loader=PackageLoader("oasis_jax.report", "."), autoescape=True, undefined=StrictUndefined)


def render(page: str, **values: Any) -> str:
    """A page from a template in this folder, with its style and scripts inside. Texts among the values are escaped.

    Style and scripts are templates too, so they must not hold the brackets of Jinja, as two opening braces.
    """
    return _TEMPLATES.get_template(page).render(values)


def slice_pictures(image: Pixels, truth: Pixels, prediction: Pixels) -> dict[str, str]:
    """Data URLs of two pictures, both cut to the head: grey levels as lossy JPEG, and classes as a PNG of 16 greys.

    The grey of a pixel in the PNG stands for `4 truth + prediction`.
    """
    shown = ndimage.find_objects(((image > _DARK) | (truth > 0) | (prediction > 0)).astype(np.uint8))
    box = tuple(slice(max(part.start - _MARGIN, 0), part.stop + _MARGIN) for part in shown[0]) if shown else ()
    jpeg, png = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image[box])).save(jpeg, "JPEG", quality=_QUALITY)
    codes = Image.fromarray(np.ascontiguousarray(COUNT * truth[box] + prediction[box]))
    codes.putpalette([level for k in range(16) for level in (17 * k,) * 3])
    codes.save(png, "PNG", bits=4, compress_level=1)
    return {
        "image": "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode(),
        "labels": "data:image/png;base64," + base64.b64encode(png.getvalue()).decode(),
    }
