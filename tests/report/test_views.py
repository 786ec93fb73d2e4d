"""The views of a labelled volume in a browser: which side is left, what is up, true proportions, and one cross-hair."""

import base64
import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import data_of, open_page, pixels
from checked import present
from helpers import save
from nibabel.affines import apply_affine
from PIL import Image

from oasis_jax.data.appearance import MEASURES
from oasis_jax.geometry import Axis, Cut
from oasis_jax.inference.label import Segmentation
from oasis_jax.prediction import images, pages
from oasis_jax.prediction.summary import file_summary
from oasis_jax.runs.trained import Trained
from oasis_jax.volumes.cut import read_input
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.frame import Framing, volume_grey
from oasis_jax.volumes.nifti import own_axes, planes, stacked

EXTENT = (72, 96, 84)
"""mm of the volume."""

MARK = ((18, 30), (60, 72), (48, 60))
"""mm of the mark, a cube on the left side of the head, in front of its middle and above it."""

Spacing = tuple[float, float, float]


def segmented(folder: Path, spacing: Spacing = (1, 1, 1), way: str = "RAS", axis: Axis = "axial") -> Segmentation:
    """A head whose brain is all CSF, with a mark of white matter on its left side."""
    shape = [round(n / mm) for n, mm in zip(EXTENT, spacing, strict=True)]
    places = np.meshgrid(*((np.arange(n) + 0.5) * mm for n, mm in zip(shape, spacing, strict=True)), indexing="ij")
    radius = np.sqrt(sum(((p - n / 2) / (0.36 * n)) ** 2 for p, n in zip(places, EXTENT, strict=True)))
    classes = np.where(radius < 0.8, 1, 0).astype(np.uint8)
    classes[np.all([(p > low) & (p < high) for p, (low, high) in zip(places, MARK, strict=True)], axis=0)] = 3
    values = np.where(radius < 1, 100 + 30 * np.sin(places[1]), 0).astype(np.int16)
    framing = Framing((112, 112), (112, 112), axis)
    item = read_input(InputFile(save(folder / "head.nii.gz", values, spacing, way), "head"), framing)
    return Segmentation(item, planes(classes, axis).copy(), None, np.ones(len(planes(classes, axis)), np.float32))


def page_of(file: Segmentation) -> str:
    trained = Trained(Cut(file.input.axis, (0.3, 0.7)), dict.fromkeys(MEASURES, (0.0, 255.0)))
    return pages.volume_page(file, file_summary(file, trained))


def low(data: dict[str, Any], axis: int) -> int:
    """Planes of the volume to the left of those on the page, behind them, or below them."""
    first, *_, last = data["numbers"][axis]
    return first if first < last else round(EXTENT[axis] / data["mm"][axis]) - 1 - first


def open_views(page: str, folder: Path) -> Any:
    (folder / "view.html").write_text(page, encoding="utf-8")
    return open_page(folder / "view.html", ready="At the cross-hair")


def at(tab: Any, text: str) -> None:
    """Wait until the captions of the views, in the order axial, coronal, sagittal, are these slice numbers."""
    script = """text => ['axial', 'coronal', 'sagittal'].map(
        name => document.querySelector(`#${name} span`).textContent.split(' ').pop()).join(' ') === text"""
    tab.wait_for_function(script, arg=text, timeout=5000)


def drawn(tab: Any) -> None:
    """Wait for the next picture."""
    tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def box(tab: Any, name: str) -> list[float] | None:
    """Left, top, right and bottom end of the white matter in a view, as shares of its side."""
    script = """name => { const c = document.querySelector(`#${name} canvas`), n = c.width;
        const d = c.getContext('2d').getImageData(0, 0, n, n).data; let [l, t, r, b] = [n, n, 0, 0];
        for (let i = 0; i < n * n; i++) if (d[4 * i] === 0 && d[4 * i + 1] === 158 && d[4 * i + 2] === 115) {
            const x = i % n, y = Math.floor(i / n);
            [l, t, r, b] = [Math.min(l, x), Math.min(t, y), Math.max(r, x + 1), Math.max(b, y + 1)]; }
        return r ? [l / n, t / n, r / n, b / n] : null; }"""
    return tab.evaluate(script, name)


def show_mark(tab: Any, page: str) -> None:
    """Move the cross-hair into the mark by the sliders, and show labels at full strength."""
    data = data_of(page)
    for name, axis in (("sagittal", 0), ("coronal", 1), ("axial", 2)):
        voxel = int((MARK[axis][0] + 4) / data["mm"][axis]) - low(data, axis)
        tab.fill(f"#{name} input", str(voxel))
    tab.fill("#labels", "100")
    drawn(tab)


@pytest.mark.parametrize(
    ("way", "spacing", "axis"),
    [
        ("RAS", (1, 1, 1), "axial"),
        ("LIA", (1, 1, 1), "coronal"),
        ("PSR", (1, 1, 3), "axial"),
        ("IRP", (3, 1, 1.5), "sagittal"),
    ],
)
def test_left_is_left_the_nose_is_up_and_proportions_are_true(
    way: str, spacing: Spacing, axis: Axis, tmp_path: Path
) -> None:
    file = segmented(tmp_path, spacing, way, axis)
    page, volume = page_of(file), present(file.input.volume)
    data = data_of(page)
    extent = np.multiply(data["size"], data["mm"])
    middles = [low(data, k) * data["mm"][k] + extent[k] / 2 for k in range(3)]
    # The ends of the mark as shares of a view's side: x is below 0, on the left of the head; y and z above.
    x, y, z = np.subtract(MARK, np.reshape(middles, (3, 1))) / extent.max()
    with open_views(page, tmp_path) as tab:
        show_mark(tab, page)
        place = r"cross-hair: white matter, voxel (.*) of the file, (.*) mm\..* slice (\d+)"
        shown = present(re.search(place, tab.text_content("#numbers")))
        voxel, mm = (np.array(list(map(float, numbers.split(", ")))) for numbers in shown.groups()[:2])
        assert own_axes(stacked(file.classes, axis), volume)[tuple(voxel.astype(int))] == 3
        assert int(shown[3]) in voxel
        assert np.allclose(apply_affine(volume.own_affine, voxel), mm, atol=0.051)
        for convention, key, ends, across in (("Radiological", "r", "RL", -x[::-1]), ("Neurological", "u", "LR", x)):
            tab.keyboard.press(key)
            drawn(tab)
            assert tab.text_content("#side").startswith(f"{convention} convention")
            for name, rims, columns, rows in (
                ("axial", f"{ends}AP", across, -y[::-1]),
                ("coronal", f"{ends}SI", across, -z[::-1]),
                ("sagittal", "APSI", -y[::-1], -z[::-1]),
            ):
                assert "".join(tab.locator(f"#{name} b").all_text_contents()) == rims
                pixel = 1 / tab.evaluate(f"document.querySelector('#{name} canvas').width")
                expected = 0.5 + np.stack([columns, rows], axis=1).ravel()
                assert np.allclose(present(box(tab, name)), expected, atol=1.5 * pixel), name


def test_a_click_a_finger_and_keys_move_the_cross_hair_of_all_views(tmp_path: Path) -> None:
    page = page_of(segmented(tmp_path))
    first = [numbers[k] for numbers, k in zip(data_of(page)["numbers"], data_of(page)["first"], strict=True)]
    with open_views(page, tmp_path) as tab:
        at(tab, f"{first[2]} {first[1]} {first[0]}")
        show_mark(tab, page)
        marked = [MARK[axis][0] + 4 for axis in (2, 1, 0)]
        at(tab, "{} {} {}".format(*marked))
        for key, change in (
            *(("ArrowLeft", (0, 0, 1)), ("ArrowUp", (0, 1, 0)), ("PageUp", (1, 0, 0))),
            *(("ArrowRight", (0, 0, -1)), ("ArrowDown", (0, -1, 0)), ("PageDown", (-1, 0, 0))),
        ):
            tab.locator("#axial canvas").focus()
            tab.keyboard.press(key)
            marked = np.add(marked, change)
            at(tab, "{} {} {}".format(*marked))
        tab.locator("#sagittal canvas").focus()
        tab.keyboard.press("ArrowLeft")  # toward the nose
        at(tab, f"{marked[0]} {marked[1] + 1} {marked[2]}")

        corner = tab.locator("#axial canvas").bounding_box()
        left, top, right, bottom = present(box(tab, "axial"))
        near = {"x": left * corner["width"] + 2, "y": top * corner["height"] + 2}  # front left corner of the mark
        tab.locator("#axial canvas").click(position=near)
        at(tab, f"{marked[0]} {MARK[1][1] - 1} {MARK[0][1] - 1}")
        tab.touchscreen.tap(corner["x"] + right * corner["width"] - 2, corner["y"] + bottom * corner["height"] - 2)
        at(tab, f"{marked[0]} {MARK[1][0]} {MARK[0][0]}")
        tab.mouse.move(corner["x"] + near["x"], corner["y"] + near["y"] + 40)
        tab.mouse.down()
        tab.mouse.move(corner["x"] + near["x"], corner["y"] + near["y"])
        tab.mouse.up()
        at(tab, f"{marked[0]} {MARK[1][1] - 1} {MARK[0][1] - 1}")
        for turned in (100, 30):  # the second is less than a notch
            tab.mouse.wheel(0, turned)
            drawn(tab)
            at(tab, f"{marked[0] - 1} {MARK[1][1] - 1} {MARK[0][1] - 1}")


def test_labels_outline_image_and_zoom_follow_keys_and_fingers_on_a_phone(tmp_path: Path) -> None:
    page = page_of(segmented(tmp_path))
    with open_views(page, tmp_path) as tab:
        assert tab.evaluate("window.innerWidth") == 390
        show_mark(tab, page)
        left, top, right, bottom = present(box(tab, "axial"))
        tab.keyboard.press("l")
        drawn(tab)
        assert box(tab, "axial") is None
        tab.keyboard.press("i")
        tab.keyboard.press("o")
        drawn(tab)
        outline = present(box(tab, "axial"))
        assert np.allclose(outline, (left, top, right, bottom), atol=0.01), "a line around the mark"
        assert pixels(tab, "b === 115", "#axial canvas") < 0.5 * (right - left) ** 2 * 362**2, "not filled"
        tab.keyboard.press("o")
        tab.keyboard.press("l")
        tab.fill("#labels", "100")
        tab.fill("#zoom", "2")
        drawn(tab)
        left2, _, right2, _ = present(box(tab, "axial"))
        assert np.isclose(right2 - left2, 2 * (right - left), atol=0.02)
        tab.keyboard.press("-")
        drawn(tab)
        left2, _, right2, _ = present(box(tab, "axial"))
        assert np.isclose(right2 - left2, 1.6 * (right - left), atol=0.02)

        tab.locator("#axial canvas").scroll_into_view_if_needed()
        place = tab.locator("#axial canvas").bounding_box()
        x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        fingers = tab.context.new_cdp_session(tab)
        before = tab.locator("#axial span").text_content()
        for kind, apart in (("Start", 40), ("Move", 50), ("Move", 60)):
            points = [{"x": x + way * apart, "y": y, "id": way} for way in (0, 1)]
            fingers.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        drawn(tab)
        assert float(tab.input_value("#zoom")) == pytest.approx(2.4, abs=0.06)
        assert tab.locator("#axial span").text_content() == before
        for key, name in (("c", "coronal"), ("s", "sagittal"), ("a", "axial")):
            tab.keyboard.press(key)
            drawn(tab)
            widths = [tab.locator(f"#{n} canvas").bounding_box()["width"] for n in (name, "axial", "coronal")]
            assert max(widths) == widths[0] > 340
            assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "wider than a phone"


def unpacked(page: str) -> np.ndarray:
    content = gzip.decompress(base64.b64decode(page.split('id="voxels">')[1].split("</script>")[0]))
    return np.frombuffer(content, np.uint8).reshape(data_of(page)["size"])


def test_the_page_holds_grey_levels_and_exact_labels_of_the_box_around_the_head(tmp_path: Path) -> None:
    file = segmented(tmp_path, (1, 1, 3), "PSR")
    page, volume = page_of(file), present(file.input.volume)
    data, bytes_ = data_of(page), unpacked(page)
    box = tuple(slice(low(data, axis), low(data, axis) + n) for axis, n in enumerate(data["size"]))
    classes = np.moveaxis(file.classes, 0, 2)
    assert np.array_equal(bytes_ >> 6, classes[box])
    assert (bytes_ >> 6 > 0).sum() == (classes > 0).sum()
    assert np.array_equal(bytes_ & 63, volume_grey(volume.values[box]) >> 2)
    assert 0 < box[1].start < box[1].stop < classes.shape[1], "cut to the head"
    texts = [int(present(re.match(r"Axial slice (\d+)", text))[1]) for text in data["texts"]]
    assert texts == data["numbers"][2]


def test_a_page_of_16_million_voxels_of_noise_stays_below_20_mb_and_a_larger_one_shows_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = segmented(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 256)).astype(np.float32)
    volume = present(file.input.volume)._replace(values=noise)
    classes = np.broadcast_to(np.arange(256) // 64, noise.shape).astype(np.uint8)
    large = file._replace(input=file.input._replace(head=classes < 4, volume=volume), classes=classes)
    _, text = pages.packed(large)
    assert len(text) < 20_000_000
    whole = data_of(page_of(file))
    monkeypatch.setattr(pages, "_LARGEST", np.prod(whole["size"]) // 2)
    page = page_of(file)
    data = data_of(page)
    assert data["stride"] == [2, 1, 1]
    assert data["mm"] == [2, 1, 1]
    assert "One in 2 x 1 x 1 voxels is shown." in page
    assert unpacked(page).shape == (-(-whole["size"][0] // 2), *whole["size"][1:])


@pytest.mark.parametrize(
    ("axis", "spacing"),
    [("axial", (1, 1, 1)), ("coronal", (1, 1, 1)), ("sagittal", (1, 1, 1)), ("axial", (0.75, 1.5, 3))],
)
def test_the_picture_of_a_volume_is_upright_with_the_left_of_the_head_on_its_right(
    axis: Axis, spacing: Spacing, tmp_path: Path
) -> None:
    file = segmented(tmp_path, spacing, axis=axis)
    images.write_overlay(tmp_path / "head_overlay.png", file)
    with Image.open(tmp_path / "head_overlay.png") as picture:
        shown = np.asarray(picture)
    columns, rows = file.input.head.shape[1:]
    plain, tiles = shown.reshape(-1, rows, 4, 2, columns).transpose(3, 0, 2, 1, 4).reshape(2, -1, rows, columns)
    assert (plain[tiles >> 6 > 0] > 0).mean() > 0.9  # colour lies on tissue
    row, column = (tiles >> 6 == 3).any(0).nonzero()
    low = {"axial": (1, 0), "coronal": (2, 0), "sagittal": (2, 1)}[axis]  # axes up and across, both from high to low
    for found, across in ((row, low[0]), (column, low[1])):
        expected = [EXTENT[across] - mm for mm in reversed(MARK[across])]
        assert np.allclose((found.min(), found.max() + 1), expected, atol=max(spacing) > 1)
    left, right = ((part & 63 > 40).any(0).sum() for part in (tiles[:, :12, :12], tiles[:, :12, -12:]))
    assert 0 < left != right > 0, "two letters"
