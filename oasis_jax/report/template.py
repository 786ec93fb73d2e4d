"""The parts of all pages: a template with its style and scripts inside, tables, and slices as pictures."""

import base64
import html
import io
import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any
from urllib.parse import quote

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from oasis_jax.classes import COLOURS, COUNT, NAMES
from oasis_jax.report import pictures

CLASSES = [{"name": name, "colour": colour} for name, colour in zip(NAMES, COLOURS.tolist(), strict=True)]
"""The classes, for `slices.js`."""

_QUALITY = 70
"""Quality of the lossy JPEG images: about 6 kB for a slice of 256x256, without visible differences at this size. WebP
would be a third smaller and take fifty times as long."""

_PARTS = re.compile(
    r'<!--(?P<mark>\w+)-->|<link rel="stylesheet" href="(?P<css>.*?)">|<script src="(?P<js>.*?)"></script>'
)


def read(name: str) -> str:
    """The text of a file in this folder."""
    return (resources.files("oasis_jax.report") / name).read_text(encoding="utf-8")


def fill(page: str, **parts: str) -> str:
    """A template with its style and scripts inside, and each part in the place of its `<!--mark-->`.

    A mark without a part stands for the file of its name, which several templates share.

    All marks are replaced in one pass, so text inside a part that looks like a mark stays as it is.

    Args:
        page: file name of the template.
        parts: HTML by the name of its mark.
    """

    def replacement(match: re.Match[str]) -> str:
        if match["css"]:
            return f"<style>\n{read(match['css'])}</style>"
        if match["js"]:
            return f"<script>\n{read(match['js'])}</script>"
        name = match["mark"]
        return parts[name] if name in parts else read(f"{name}.html")

    return _PARTS.sub(replacement, read(page))


def script_data(data: Any) -> str:
    """JSON values as a text that is safe inside a `<script>`."""
    return json.dumps(data).replace("<", "\\u003c")


def link(text: str, page: str | None) -> str:
    """HTML of a text with a link to a file in the same folder or below; without a link if `page` is None."""
    escaped = html.escape(text)
    return escaped if page is None else f'<a href="{quote(page)}">{escaped}</a>'


def table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """An HTML table.

    Args:
        head: titles of the columns, plain text.
        rows: the name of each row, HTML, and its cells, plain text.
    """
    header = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr><th scope=row>{name}</th>{''.join(f'<td>{html.escape(text)}</td>' for text in texts)}</tr>"
        for name, texts in rows
    )
    return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"


def slice_pictures(
    image: UInt8[np.ndarray, "rows columns"],
    truth: UInt8[np.ndarray, "rows columns"],
    prediction: UInt8[np.ndarray, "rows columns"],
) -> dict[str, str]:
    """Data URLs of two pictures, both cut to the head: grey levels as lossy JPEG, and classes as a PNG of 16 greys.

    The grey of a pixel in the PNG stands for `4 truth + prediction`.
    """
    box = pictures.shown_box(image, truth, prediction)
    jpeg, png = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image[box])).save(jpeg, "JPEG", quality=_QUALITY)
    codes = Image.fromarray(np.ascontiguousarray(COUNT * truth[box] + prediction[box]))
    codes.putpalette([level for k in range(16) for level in (17 * k,) * 3])
    codes.save(png, "PNG", bits=4, compress_level=1)
    return {
        "image": "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode(),
        "labels": "data:image/png;base64," + base64.b64encode(png.getvalue()).decode(),
    }
