"""The pages of a prediction: each needs no other file, shows all notes, and works on a phone."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import data_of, open_page
from helpers import FRAMING, brain, save, stand_in

from oasis_jax.inference.label import Segmentation, label
from oasis_jax.prediction import pages, tables
from oasis_jax.prediction.record import Settings
from oasis_jax.prediction.summary import FileSummary, file_summary
from oasis_jax.volumes.cut import read_input
from oasis_jax.volumes.finding import InputFile


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Segmentation, FileSummary]:
    """A labelled volume. Its name is markup, and so is a note about it."""
    values, _ = brain((37, 50, 30))
    path, segmenter = save(tmp_path_factory.mktemp("volumes") / "a <b>&c.nii.gz", values), stand_in()
    (volume,) = label([read_input(InputFile(path, "a"), FRAMING)], segmenter, False)
    return volume, replace(file_summary(volume, segmenter.trained), notes=("it is <i>strange</i>",))


def test_the_page_of_a_volume_shows_every_slice_with_head_and_all_notes(
    labelled: tuple[Segmentation, FileSummary],
) -> None:
    volume, summary = labelled
    page = pages.volume_page(volume, summary)
    links = set(re.findall(r"(?:src|href)=\"?([^\"'\s>]+)", page)) | set(re.findall(r"url\(([^)]+)\)", page))
    assert {link for link in links if not link.startswith("data:")} <= {"index.html"}
    assert not any(markup in page for markup in ("<b>&c", "<i>strange"))
    texts = data_of(page)["texts"]
    assert len(texts) >= volume.input.head.any(axis=(1, 2)).sum()
    assert "it is &lt;i&gt;strange&lt;/i&gt;" in page
    _, values = summary.amounts
    assert all(f"<td>{value:.1f}</td>" in page for value in (*values, values.sum()))
    areas = [f"CSF {row.areas[0] / 100:.1f}" for row in summary.slices]
    assert all(areas[int(re.findall(r"slice (\d+)", text)[0])] in text for text in texts)
    assert "Nothing was flagged" in pages.volume_page(volume, replace(summary, notes=()))


def test_the_index_links_to_every_file_of_the_table(labelled: tuple[Segmentation, FileSummary], tmp_path: Path) -> None:
    _, summary = labelled
    settings = Settings(("0" * 64,), 0, mirror=False, orientation=None, values="own")
    slice_ = replace(summary, file="x.png", notes=(), millilitres=None)
    tables.write(tmp_path, [summary, slice_], settings)
    (tmp_path / "a <b>&c_view.html").touch()
    (tmp_path / "x_overlay.png").touch()
    page = pages.index_page(tmp_path)
    assert 'href="a%20%3Cb%3E%26c_view.html">a &lt;b&gt;&amp;c.nii.gz</a>' in page
    assert 'href="x_overlay.png">x.png</a>' in page
    assert "2 file(s), 1 with notes." in page
    assert "it is &lt;i&gt;strange&lt;/i&gt;" in page
    (tmp_path / "index.html").write_text(page, encoding="utf-8")
    with open_page(tmp_path / "index.html", ready=None) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "wider than a phone"
        assert np.isclose(tab.evaluate("window.innerWidth"), 390)
