"""The parts that all pages are made of: a template with its style and scripts inside, and slices as pictures."""

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
"""What `slices.js` must know of the classes."""

_QUALITY = 70
"""Of the lossy JPEG images: about 6 kB a slice of 256x256, with no difference that an eye sees at this size; WebP
would save a third of that and take fifty times as long."""

_PARTS = re.compile(
    r'<!--(?P<mark>\w+)-->|<link rel="stylesheet" href="(?P<css>.*?)">|<script src="(?P<js>.*?)"></script>'
)


def read(name: str) -> str:
    """A text file of this folder."""
    return (resources.files("oasis_jax.report") / name).read_text(encoding="utf-8")


def fill(page: str, **parts: str) -> str:
    """A template with its style and its scripts inside, and each part, HTML, in place of its `<!--mark-->`.

    All marks are replaced in one pass, so that a part may hold what looks like a mark.
    """

    def put(match: re.Match[str]) -> str:
        if match["css"]:
            return f"<style>\n{read(match['css'])}</style>"
        if match["js"]:
            return f"<script>\n{read(match['js'])}</script>"
        return parts[match["mark"]]

    return _PARTS.sub(put, read(page))


def script_data(data: Any) -> str:
    """JSON values as text that may stand in a `<script>`."""
    return json.dumps(data).replace("<", "\\u003c")


def link(text: str, page: str | None) -> str:
    """HTML of a text that leads to a file beside the page, or of the text alone."""
    shown = html.escape(text)
    return shown if page is None else f'<a href="{quote(page)}">{shown}</a>'


def table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """An HTML table; each row has a name, which is HTML, and texts."""
    top = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr><th scope=row>{name}</th>{''.join(f'<td>{html.escape(text)}</td>' for text in texts)}</tr>"
        for name, texts in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def slice_pictures(
    image: UInt8[np.ndarray, "rows columns"],
    truth: UInt8[np.ndarray, "rows columns"],
    prediction: UInt8[np.ndarray, "rows columns"],
) -> dict[str, str]:
    """Grey levels as lossy JPEG, classes as one PNG of 16 greys, `4 truth + prediction`; both cut to the head."""
    box = pictures.shown_box(image, truth, prediction)
    grey, coded = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image[box])).save(grey, "JPEG", quality=_QUALITY)
    both = Image.fromarray(np.ascontiguousarray(COUNT * truth[box] + prediction[box]))
    both.putpalette([level for k in range(16) for level in (17 * k,) * 3])
    both.save(coded, "PNG", bits=4, compress_level=1)
    return {
        "image": "data:image/jpeg;base64," + base64.b64encode(grey.getvalue()).decode(),
        "labels": "data:image/png;base64," + base64.b64encode(coded.getvalue()).decode(),
    }
