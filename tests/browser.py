"""Pages in headless Chromium, 390 pixels wide and offline; tests that use it skip where there is none."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def open_page(path: Path, ready: str | None = "") -> Iterator[Any]:
    """A page; no script may fail while it is open.

    Args:
        path: the file.
        ready: wait until the sentence under its picture begins so; None for a page without a picture.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(offline=True, viewport={"width": 390, "height": 800}, has_touch=True)
        tab = context.new_page()
        errors: list[str] = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(path.as_uri())
        if ready is not None:
            sentence = "document.getElementById('numbers').textContent"
            tab.wait_for_function(f"ready => {sentence} && {sentence}.startsWith(ready)", arg=ready)
        yield tab
        browser.close()
    assert not errors


def data_of(page: str) -> dict[str, Any]:
    """What the scripts of a page read."""
    return json.loads(page.split('id="data">')[1].split("</script>")[0])


def settled(tab: Any, before: str) -> str:
    """The sentence under the picture once it has changed."""
    tab.wait_for_function("before => document.getElementById('numbers').textContent !== before", arg=before)
    return tab.text_content("#numbers")


def pixels(tab: Any, condition: str, canvas: str = "#picture") -> int:
    """How many pixels of a picture fulfil a condition on r, g, b."""
    script = """([condition, canvas]) => { const c = document.querySelector(canvas);
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        const test = new Function('r', 'g', 'b', 'return ' + condition); let n = 0;
        for (let i = 0; i < d.length; i += 4) n += test(d[i], d[i + 1], d[i + 2]); return n; }"""
    return tab.evaluate(script, [condition, canvas])
