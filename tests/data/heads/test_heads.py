"""Heads drawn from label maps: the rule of the labels, what a key decides, and maps that cannot be used."""

from pathlib import Path

import jax
import numpy as np
import pytest
from checked import load
from helpers import command, save

from oasis_jax.data.dataset import load_dataset
from oasis_jax.data.heads import tree
from oasis_jax.data.heads.draw import STYLE, HeadMap
from oasis_jax.data.heads.label_map import STANDARD, read_map, read_table
from oasis_jax.data.heads.priors import NAMES
from oasis_jax.data.heads.tree import draw_head, find_maps, head_key, splits_of
from oasis_jax.data.slices import read_pair
from oasis_jax.geometry import Cut
from oasis_jax.system.errors import UserError

SIDES = (72, 80, 64)

STEADY = STYLE._replace(
    **dict.fromkeys(("rotate", "stretch", "shift", "warp", "strip"), 0.0),
    **dict.fromkeys(("texture", "bias", "dome", "noise", "scraps"), (0.0, 0.0)),
    **{"scale": (1.0, 1.0), "blur": (0.4, 0.6)},
)
"""A style of heads that differ in contrast alone."""

STILL = STEADY._replace(gray=(0.6, 0.6), csf=(0.4, 0.4), fat=(1.0, 1.0))


def ball(centre: tuple[int, int, int], radius: float) -> np.ndarray:
    return np.sum([(n - c) ** 2 for n, c in zip(np.indices(SIDES), centre, strict=True)], axis=0) < radius**2


def values() -> np.ndarray:
    """A head in RAS order: skin, bone, fluid, cortex, white matter, a ventricle, pallidum and putamen, a cerebellum."""
    out = np.zeros(SIDES, np.int16)
    for value, centre, radius in (
        *((511, (36, 40, 32), 30), (515, (36, 40, 32), 27), (24, (36, 40, 32), 24), (3, (36, 40, 32), 22)),
        *((2, (36, 40, 32), 16), (4, (36, 40, 32), 4), (13, (28, 40, 32), 3), (12, (44, 40, 32), 3)),
        *((8, (36, 28, 20), 6), (7, (36, 28, 20), 4)),
    ):
        out[ball(centre, radius)] = value
    return out


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> HeadMap:
    return read_map(save(tmp_path_factory.mktemp("map") / "a.nii.gz", values(), way="LIA"), STANDARD)


@pytest.fixture
def head(read: HeadMap, monkeypatch: pytest.MonkeyPatch) -> HeadMap:
    """A head; scans of it have no space around it, to be quick."""
    monkeypatch.setattr(tree, "_MARGIN", 0)
    return read


def where(head: HeadMap, name: str, size: tuple[int, ...]) -> np.ndarray:
    """The voxels of a structure in a scan that no chance moved."""
    pads = [((n - m) // 2, n - m - (n - m) // 2) for n, m in zip(size, head.structure.shape, strict=True)]
    return np.pad(np.asarray(head.structure) == NAMES.index(name), pads)


def test_a_map_is_cut_to_the_head_in_ras_order_and_padded(head: HeadMap) -> None:
    assert all(n % 32 == 0 for n in head.structure.shape)
    structure = np.asarray(head.structure)
    assert np.count_nonzero(structure == NAMES.index("cerebellum-cortex")) == np.count_nonzero(values() == 8)
    cerebellum = np.argwhere(structure == NAMES.index("cerebellum-cortex")).mean(0)
    cortex = np.argwhere(structure == NAMES.index("cortex")).mean(0)
    assert cerebellum[1] < cortex[1]  # behind
    assert cerebellum[2] < cortex[2]  # below
    dura = ball((36, 40, 32), 24) & ~ball((36, 40, 32), 22)
    assert 0 < np.count_nonzero(structure == NAMES.index("dura")) < np.count_nonzero(dura)
    beyond = np.asarray(head.beyond)
    assert not beyond[np.isin(structure, [NAMES.index(n) for n in ("cortex", "white", "ventricle")])].any()
    assert beyond[structure == NAMES.index("skin")].min() >= 4


def test_labels_follow_the_brightness_of_the_brain(head: HeadMap) -> None:
    drawn = draw_head(jax.random.key(0), head, STILL)
    size = drawn.classes.shape
    inner = {name: where(head, name, size) for name in ("ventricle", "white", "pallidum", "putamen", "skin", "csf")}
    assert set(drawn.classes[inner["ventricle"]]) == {1}
    assert np.mean(drawn.classes[inner["white"]] == 3) > 0.9  # the rest is partial volume at the rim
    assert np.median(drawn.classes[inner["pallidum"]]) == 3  # as bright as white matter, so FAST calls it white
    assert np.median(drawn.classes[where(head, "cortex", size)]) == 2
    assert not drawn.classes[inner["skin"]].any()
    assert set(drawn.classes[inner["csf"]]) <= {0, 1, 2}
    assert drawn.image[inner["white"]].mean() > drawn.image[where(head, "cortex", size)].mean() > 40


def test_a_key_decides_everything_and_tissues_of_every_head_have_the_contrast_of_t1(head: HeadMap) -> None:
    one, same, *others = (draw_head(head_key(7, "a", k), head) for k in (0, 0, 1, 2, 3))
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.classes, same.classes)
    for other in others:
        assert np.mean(one.classes != other.classes) > 0.01
        dark, middle, bright = (np.median(other.image[other.classes == c]) for c in (1, 2, 3))
        assert dark < middle < bright
    assert not np.array_equal(jax.random.key_data(head_key(7, "a", 0)), jax.random.key_data(head_key(7, "b", 0)))


def test_contrast_spans_the_ranges_of_the_style(head: HeadMap) -> None:
    ratios = []
    for k in range(8):
        drawn = draw_head(jax.random.key(k), head, STEADY)
        tissues = ("ventricle", "cortex", "white")
        csf, gray, white = (np.median(drawn.image[where(head, name, drawn.image.shape)]) for name in tissues)
        ratios.append((csf / gray, gray / white))
    for found, (low, high) in zip(np.transpose(ratios), (STYLE.csf, STYLE.gray), strict=True):
        assert low - 0.03 < found.min() < found.max() < high + 0.03  # grey levels are whole numbers
        assert found.max() - found.min() > (high - low) / 3


def test_fat_is_suppressed_or_brighter_than_the_brain(head: HeadMap) -> None:
    for fat, brighter in ((0.3, False), (2.0, True)):
        drawn = draw_head(jax.random.key(3), head, STILL._replace(fat=(fat, fat)))  # three quarters of its skin are fat
        skin, white = (np.median(drawn.image[where(head, name, drawn.image.shape)]) for name in ("skin", "white"))
        assert (skin > white) == brighter


def test_a_stripped_head_shows_no_skull_but_for_scraps(head: HeadMap) -> None:
    bare, scrappy = (
        draw_head(jax.random.key(3), head, STILL._replace(strip=1.0, scraps=(mm, mm))) for mm in (0.0, 20.0)
    )
    skin = where(head, "skin", bare.image.shape)
    assert not bare.image[skin].any()
    assert 0.1 < np.mean(scrappy.image[skin] > 0) < 0.9
    assert bare.image[bare.classes > 0].min() > 0
    np.testing.assert_array_equal(bare.classes, scrappy.classes)


def test_a_map_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    for change, way, said in (
        (lambda v: v[:, :, ::-1], "RAS", "cerebellum above its cortex: its header gives the wrong directions"),
        (lambda v: v[:, ::-1], "RAS", "cerebellum in front of its cortex"),
        (lambda v: np.where(v > 500, v, 0), "RAS", "shows no brain"),
        (lambda v: np.where(v == 3, 2, v), "LIA", "shows no gray matter"),
        (lambda v: np.where(v == 4, 999, v), "LIA", "values 999, which stand for no structure"),
    ):
        path = save(tmp_path / "map.nii.gz", change(values()), way=way)
        with pytest.raises(UserError, match=rf"map\.nii\.gz .*{said}"):
            read_map(path, STANDARD)


def test_other_values_are_named_in_a_table(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("value,structure\n0,air\n1,csf\n2,cortex\n3,white\n4,skin\n")
    simple = np.select([values() == v for v in (24, 3, 2, 511)], [1, 2, 3, 4], 0).astype(np.int16)
    found = read_map(save(tmp_path / "simple.nii.gz", simple, way="LIA"), read_table(table))
    assert np.count_nonzero(np.asarray(found.structure) == NAMES.index("cortex")) == np.count_nonzero(simple == 2)
    table.write_text("value,structure\n0,air\n1,brains\n")
    with pytest.raises(UserError, match=r"line 3: 'brains' is not one of air, csf"):
        read_table(table)
    table.write_text("number,name\n0,air\n")
    with pytest.raises(UserError, match="line 2: give the columns value"):
        read_table(table)
    table.write_text("value,structure,remark\n0,air,café\n", encoding="latin-1")
    with pytest.raises(UserError, match="is no CSV file in UTF-8"):
        read_table(table)


def test_a_folder_of_maps_becomes_a_tree_and_a_head_a_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = tmp_path / "maps"
    maps.mkdir()
    for name in ("10", "01"):
        save(maps / f"{name}.nii.gz", values())
    (maps / "notes.txt").write_text("not a map")
    assert list(find_maps(maps)) == ["01", "10"]
    for name in ("p.hdr", "p.img"):
        (tmp_path / name).touch()
    assert find_maps(tmp_path) == {"p": tmp_path / "p.hdr"}
    root = tmp_path / "tree"
    words = ["--heads", "2", "--validate", "10", "--frame", "112", "128"]
    with monkeypatch.context() as patch:
        patch.setattr(tree, "_MARGIN", 0)
        assert "Wrote" in command("data", "heads", maps, root, *words).stdout
    found = load_dataset(root, ("train", "validate"))
    assert {found.subjects[pair.case] for pair in found.splits["train"]} == {"01"}
    assert {pair.case for pair in found.splits["validate"]} == {"10-0", "10-1"}
    assert found.cut == Cut("axial", None, (1.0, 1.0, 1.0))
    assert found.size == (112, 128)
    assert (root / "contact_sheet.png").is_file()
    labels = [bool(read_pair(pair)[1].any()) for pair in found.splits["validate"] if pair.case == "10-0"]
    assert labels.index(True) > 3  # from below the brain
    assert not labels[-1]  # to the vertex
    volume = tmp_path / "head.nii.gz"
    assert "labels" in command("data", "heads", maps / "01.nii.gz", "--volume", volume, "--seed", "5").stdout
    image, truth = load(volume), load(tmp_path / "head_labels.nii.gz")
    assert image.shape == truth.shape == (96, 96, 96)  # with space around the map
    assert set(np.unique(np.asarray(truth.dataobj))) == {0, 1, 2, 3}


def test_names_of_splits_belong_to_maps() -> None:
    assert splits_of(["1", "2", "3"], ["2"], ["3"]) == {"1": "train", "2": "validate", "3": "test"}
    with pytest.raises(UserError, match="There is no map 9: the first are 1, 2"):
        splits_of(["1", "2"], ["9"], [])
    with pytest.raises(UserError, match="2 cannot be both"):
        splits_of(["1", "2"], ["2"], ["2"])
