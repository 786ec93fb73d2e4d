import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import cdist, directed_hausdorff
from surface_distance import metrics

from oasis_jax.metrics import aggregate, surface

Masks = tuple[np.ndarray, np.ndarray]

# Halves and whole numbers: their squares add up without rounding, so equal means equal to the last bit.
SPACINGS = st.lists(st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0]), min_size=3, max_size=3)


@st.composite
def pairs(draw: st.DrawFn, empty: bool = True) -> Masks:
    """Two small masks of one shape, in 2 or 3 dimensions, that may touch the edges of the array."""
    shape = draw(st.one_of(st.tuples(*[st.integers(1, 8)] * 2), st.tuples(*[st.integers(1, 5)] * 3)))
    masks = [draw(arrays.arrays(bool, shape)) for _ in range(2)]
    if not empty:
        for mask in masks:
            mask[tuple(draw(st.integers(0, n - 1)) for n in shape)] = True
    return masks[0], masks[1]


def scores(pair: Masks, spacing: Sequence[float], *tolerance: float) -> tuple[float, float, float]:
    """Hausdorff distances (95 %, maximum) and surface Dice; masks are compared as those of CSF."""
    table = surface.compare(pair[0].astype(np.uint8), pair[1].astype(np.uint8), spacing, *tolerance)
    farthest = surface.hausdorff(*surface.surface_distances(*pair, spacing), 100.0)
    return float(table.hausdorff[0]), farthest, float(surface.surface_dice(table.near, table.size)[0])


def same(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def block(shape: tuple[int, ...], *ranges: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*r) for r in ranges)] = True
    return mask


def corners(mask: np.ndarray, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Places in mm and contour lengths of a 2D mask's surface elements, corner by corner."""
    padded, places, lengths = np.pad(mask, 1), [], []
    half = np.hypot(spacing[0], spacing[1]) / 2
    for y, x in itertools.product(*(range(n + 1) for n in mask.shape)):
        square = padded[y : y + 2, x : x + 2]
        if 0 < square.sum() < 4:
            places.append((y * spacing[0], x * spacing[1]))
            if square.sum() != 2:
                lengths.append(half)
            elif square[0, 0] == square[1, 1]:
                lengths.append(2 * half)
            else:
                lengths.append(spacing[1] if square[0, 0] == square[0, 1] else spacing[0])
    return np.array(places), np.array(lengths)


@given(pairs(empty=False).filter(lambda pair: pair[0].ndim == 2), SPACINGS)
def test_a_plain_loop_over_corners_gives_the_same(pair: Masks, spacing: list[float]) -> None:
    spacing = spacing[:2]
    (places, lengths), (other_places, other_lengths) = (corners(mask, spacing) for mask in pair)
    between = cdist(places, other_places)
    directed, near = [], 0.0
    for distances, sizes in ((between.min(1), lengths), (between.min(0), other_lengths)):
        shares = {d: sizes[distances <= d].sum() / sizes.sum() for d in distances}
        assume(all(abs(share - 0.95) > 1e-9 for share in shares.values()))  # else rounding decides, in the library too
        directed.append(min(d for d, share in shares.items() if share > 0.95))
        near += sizes[distances <= 1.0].sum()
    farthest = max(directed_hausdorff(*both)[0] for both in ((places, other_places), (other_places, places)))
    expected = (max(directed), farthest, near / (lengths.sum() + other_lengths.sum()))
    assert scores(pair, spacing) == pytest.approx(expected, rel=1e-12)


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
@given(pairs(empty=False), SPACINGS, st.sampled_from([0.0, 1.0, 1.5, 2.5]))
def test_the_library_whose_definition_it_is_gives_the_same(pair: Masks, spacing: list[float], tolerance: float) -> None:
    spacing = spacing[: pair[0].ndim]
    library = metrics.compute_surface_distances(*pair, spacing)
    expected = (
        metrics.compute_robust_hausdorff(library, 95),
        metrics.compute_robust_hausdorff(library, 100),
        metrics.compute_surface_dice_at_tolerance(library, tolerance),
    )
    ours = scores(pair, spacing, tolerance)
    assert ours[:2] == expected[:2]
    assert ours[2] == pytest.approx(expected[2], rel=1e-12)


@given(pairs(), SPACINGS, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=3))
def test_moving_both_masks_changes_nothing(pair: Masks, spacing: list[float], margins: list[tuple[int, int]]) -> None:
    moved = tuple(np.pad(mask, margins[: mask.ndim]) for mask in pair)
    spacing = spacing[: pair[0].ndim]
    assert same(scores(pair, spacing), scores((moved[0], moved[1]), spacing))


@given(pairs(), SPACINGS)
def test_neither_mask_comes_first(pair: Masks, spacing: list[float]) -> None:
    spacing = spacing[: pair[0].ndim]
    assert same(scores(pair, spacing), scores((pair[1], pair[0]), spacing))


@given(pairs(), SPACINGS, st.permutations(range(3)))
def test_axes_may_be_swapped_with_their_spacings(pair: Masks, spacing: list[float], order: list[int]) -> None:
    order = [axis for axis in order if axis < pair[0].ndim]
    turned = (pair[0].transpose(order), pair[1].transpose(order))
    hausdorff, farthest, dice = scores(pair, spacing[: len(order)])
    turned_scores = scores(turned, [spacing[axis] for axis in order])
    assert same((hausdorff, farthest), turned_scores[:2])
    assert dice == pytest.approx(turned_scores[2], rel=1e-12, nan_ok=True)  # areas are added in another order


@given(pairs(), SPACINGS, st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_distances_grow_with_the_spacing(pair: Masks, spacing: list[float], factor: float) -> None:
    spacing = spacing[: pair[0].ndim]
    hausdorff, farthest, dice = scores(pair, spacing)
    grown = scores(pair, [factor * mm for mm in spacing], factor)
    assert same(grown, (factor * hausdorff, factor * farthest, dice))


@given(pairs(empty=False), SPACINGS)
def test_a_mask_lies_on_itself(pair: Masks, spacing: list[float]) -> None:
    assert scores((pair[0], pair[0].copy()), spacing[: pair[0].ndim], 0.0) == (0, 0, 1)


@pytest.mark.parametrize(("axis", "mm"), [(0, 2.0), (1, 0.75)])
def test_a_block_moved_three_pixels_is_three_spacings_away(axis: int, mm: float) -> None:
    mask = block((20, 20), (4, 10), (4, 12))
    assert scores((mask, np.roll(mask, 3, axis)), (2.0, 0.75))[:2] == (3 * mm, 3 * mm)


def test_a_block_of_voxels_too() -> None:
    mask = block((12, 14, 12), (2, 6), (2, 8), (3, 6))
    assert [scores((mask, np.roll(mask, 2, axis)), (3.0, 1.0, 0.5))[0] for axis in range(3)] == [6, 2, 1]


def test_two_single_pixels_are_as_far_as_their_farthest_corners() -> None:
    first, second = block((9, 9), (0, 1), (0, 1)), block((9, 9), (3, 4), (4, 5))
    hausdorff, farthest, dice = scores((first, second), (2.0, 0.5))
    assert hausdorff == farthest == np.hypot(3 * 2.0, 4 * 0.5)  # corner (0, 0) to corner (3, 4)
    assert dice == 0


def test_blocks_that_touch_share_one_edge() -> None:
    left, right = block((4, 8), (0, 4), (0, 4)), block((4, 8), (0, 4), (4, 8))
    half = np.sqrt(2) / 2
    shared, around = 3 + 2 * half, 4 * 3 + 4 * half
    assert scores((left, right), (1.0, 1.0), 0.0) == pytest.approx((4, 4, shared / around))


def test_an_outlier_below_five_percent_moves_the_maximum_alone() -> None:
    mask = block((80, 80), (5, 55), (5, 55))
    stray = mask | block((80, 80), (78, 79), (30, 31))
    hausdorff, farthest, dice = scores((mask, stray), (1.0, 1.0))
    assert (hausdorff, farthest) == (0, 79 - 55)
    assert 0.97 < dice < 1


def test_the_tolerance_is_in_millimetres_and_includes_its_edge() -> None:
    mask = block((20, 20), (4, 10), (4, 12))
    moved = np.roll(mask, 1, axis=0)
    assert scores((mask, moved), (1.0, 5.0))[2] == 1
    assert scores((mask, moved), (1.01, 5.0))[2] < 1


def test_sizes_are_the_contour_in_mm_and_the_surface_in_square_mm() -> None:
    rectangle = block((9, 9), (2, 6), (1, 8))
    side = surface.surface_distances(rectangle, rectangle, (2.0, 0.5))[0]
    assert side.size.sum() == pytest.approx(2 * 3 * 2.0 + 2 * 6 * 0.5 + 4 * np.hypot(2.0, 0.5) / 2)
    voxel = block((1, 1, 1), (0, 1), (0, 1), (0, 1))
    octahedron = surface.surface_distances(voxel, voxel, (1.0, 1.0, 1.0))[0]
    assert octahedron.size.sum() == pytest.approx(np.sqrt(3))  # of edge 1 / sqrt(2)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 2.0, 0.5)])
def test_the_surface_of_a_ball_is_that_of_marching_cubes(spacing: tuple[float, ...]) -> None:
    measure = pytest.importorskip("skimage.measure")
    ball = ((np.indices((18, 18, 18)) - 8.5) ** 2).sum(0) < 7**2
    vertices, triangles, *_ = measure.marching_cubes(ball.astype(float), 0.5, spacing=spacing, method="lorensen")
    side = surface.surface_distances(ball, ball, spacing)[0]
    assert side.size.sum() == pytest.approx(measure.mesh_surface_area(vertices, triangles), rel=1e-6)  # float32 there


@pytest.mark.parametrize("shape", [(6, 7), (4, 5, 6)])
def test_a_class_that_one_side_lacks_is_infinitely_far_and_one_that_both_lack_is_left_out(
    shape: tuple[int, ...],
) -> None:
    truth, prediction = np.zeros((2, *shape), np.uint8)
    truth[2:4, 2:4] = prediction[2:4, 2:4] = 1
    prediction[0, 0] = 2
    table = surface.compare(truth, prediction, (1.0,) * len(shape))
    assert same(tuple(table.hausdorff), (0, np.inf, np.nan))
    assert same(tuple(surface.surface_dice(table.near, table.size)), (1, 0, np.nan))
    swapped = surface.compare(prediction, truth, (1.0,) * len(shape))
    assert all(same(tuple(a), tuple(b)) for a, b in zip(table, swapped, strict=True))
    average = aggregate.average(np.stack([table.hausdorff, [2, 1, np.nan]]))
    assert same(tuple(average.mean), (1, 1, np.nan))
    assert (average.undefined.tolist(), average.infinite.tolist()) == ([0, 0, 2], [0, 1, 0])


def test_slices_are_compared_one_by_one_and_a_subject_is_scored_from_their_sums() -> None:
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 4, (2, 3, 9, 11), np.uint8)
    table = surface.compare_slices(zip(truth, prediction, strict=True), itertools.repeat((1.0, 2.0)), tolerance=0.5)
    for i in range(3):
        for own, whole in zip(surface.compare(truth[i], prediction[i], (1.0, 2.0), 0.5), table, strict=True):
            assert np.array_equal(own, whole[i])
    turned = surface.compare(truth[0], prediction[0], (2.0, 1.0), tolerance=0.5)
    assert not np.array_equal(turned.size, table.size[0])
    _, near = aggregate.sums(table.near, ["a", "b", "a"])
    assert near[0] == pytest.approx(table.near[0] + table.near[2])
