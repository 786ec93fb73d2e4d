"""The report is one file that needs no other file, shows the correct scores, and works in a browser."""

import re
from pathlib import Path

import numpy as np
import pytest
from browser import data_of, open_page, pixels, settled
from helpers import blob, evaluated, finished_result

from oasis_jax.classes import CLASSES
from oasis_jax.data.phantoms.head import draw_slice, make_head
from oasis_jax.data.slices import Slice
from oasis_jax.evaluation.result import Result
from oasis_jax.evaluation.scores import Calibration
from oasis_jax.report import charts
from oasis_jax.report.page import report

SUBJECTS = {"1": "anna", "2": "<b>&bob</b>", "3": "anna"}
PAIRS = [Slice(case, number, Path(), Path()) for case in ("1", "2", "3") for number in range(3)]


def evaluation() -> Result:
    """Nine slices: in slice `i` the prediction misses `10 i` pixels of the brain; the last slice has no brain."""
    rng = np.random.default_rng(0)
    slices = [blob(rng) for _ in PAIRS[:-1]] + [(np.zeros((48, 64), np.uint8), np.zeros((48, 64), np.uint8))]
    predictions = np.stack([truth for _, truth in slices])
    for i, prediction in enumerate(predictions[:-1]):
        row, column = prediction.nonzero()
        prediction[row[: 10 * i], column[: 10 * i]] = 0
    found = evaluated(PAIRS, SUBJECTS, slices, list(predictions), (1.0, 1.0, 1.0))
    return finished_result(found, ["<u>r"], "<i>mine")


@pytest.fixture(scope="module")
def page() -> str:
    return report(evaluation(), Path("nowhere"))


def test_the_report_needs_no_other_file_and_no_name_becomes_markup(page: str) -> None:
    links = set(re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:|#)([^\"')\s>]+)", page)) - {"source;"}
    assert not {link for link in links if not link.startswith("image")}, links
    assert "<b>&bob" not in page
    assert "<i>mine" not in page
    assert "<u>r" not in page
    slices = data_of(page)["slices"]
    assert slices[3]["subject"] == "<b>&bob</b>"
    wrong = [int(re.findall(r"(\d+) wrong pixels", row["text"])[0]) for row in slices]
    assert wrong == [0, 10, 20, 30, 40, 50, 60, 70, 0]
    assert slices[-1]["foreground"] is None
    for value in evaluation().metrics.scores.hard_dice_pooled.values():
        assert f"<td>{value:.4f}</td>" in page


@pytest.mark.parametrize("pixels", [(0, 30, 70), (38, 48, 14), (1, 3, 96), (1, 1000, 10**6)])
def test_the_axis_of_shares_has_two_numbers_or_more(pixels: tuple[int, int, int]) -> None:
    bins = tuple(None if n == 0 else x for n, x in zip(pixels, (0.4, 0.6, 0.9), strict=True))
    svg = charts.reliability(Calibration(0.1, None, pixels, bins, bins))
    assert len(re.findall(r'id="ytick_\d+"', svg.partition('id="axes_2"')[2])) >= 2


def test_544_slices_stay_below_15_mb() -> None:
    rng = np.random.default_rng(0)
    image, truth = draw_slice(make_head(rng), 10.0, rng)
    wrong = np.where((truth > 0) & (rng.random(truth.shape) < 0.1), truth % 3 + 1, truth).astype(np.uint8)
    result = finished_result(evaluated(PAIRS[:1], {"1": "anna"}, [(image, truth)], [wrong], None))
    with_slice = report(result, Path("nowhere"))
    bare = result.evaluated._replace(pairs=[], slices=[], predictions=[])
    without = report(result._replace(evaluated=bare), Path("nowhere"))
    assert 544 * (len(with_slice) - len(without)) + len(without) < 15_000_000


def test_the_chart_of_subjects_names_the_worst_and_is_the_same_each_time() -> None:
    each = {"anna": (1.0, 0.9, None, 0.8, None), "bob": (1.0, 0.5, None, 0.7, None)}
    dice = {name: dict(zip(CLASSES, values, strict=True)) for name, values in each.items()}
    drawn = charts.subjects(dice)
    assert drawn == charts.subjects(dice)
    assert ("bob" in drawn, "anna" in drawn) == (True, False)


def test_the_slice_browser_shows_the_worst_first_and_follows_slider_and_keys(page: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    with open_page(tmp_path / "report.html") as tab:
        first = tab.text_content("#numbers")
        assert first.startswith("1 of 9: subject anna, case 3, slice 1.")
        assert "70 wrong pixels" in first
        tab.evaluate("document.getElementById('opacity').value = 100")
        tab.dispatch_event("#opacity", "input")
        tab.wait_for_timeout(100)
        assert pixels(tab, "r == 204 && g == 121 && b == 167") == 70
        tab.keyboard.press("ArrowRight")
        second = settled(tab, first)
        assert second.startswith("2 of 9: subject anna, case 3, slice 0.")
        tab.click("#back")
        assert settled(tab, second) == first
        tab.click("#on")
        assert settled(tab, first) == second
        tab.fill("#slice", "8")
        last = settled(tab, second)
        assert "case 3, slice 2. Hard Dice absent" in last
        tab.select_option("#subject", "<b>&bob</b>")
        of_bob = settled(tab, last)
        assert of_bob.startswith("1 of 3: subject <b>&bob</b>, case 2, slice 2.")
        tab.select_option("#order", "number")
        tab.fill("#slice", "0")
        first_of_bob = settled(tab, of_bob)
        assert first_of_bob.startswith("1 of 3: subject <b>&bob</b>, case 2, slice 0.")
        assert "30 wrong pixels" in first_of_bob
        tab.keyboard.press("t")
        tab.wait_for_timeout(100)
        truth = evaluation().evaluated.slices[3][1]
        assert pixels(tab, "r == 86 && g == 180 && b == 233") == (truth == 1).sum()
        tab.keyboard.press("n")
        tab.wait_for_timeout(100)
        assert pixels(tab, "r == 86 && g == 180 && b == 233") == 0
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "wider than a phone"
