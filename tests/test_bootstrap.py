import numpy as np
import pytest
from scipy import stats

from oasis_jax import bootstrap, scores


def subjects(count: int, seed: int = 0) -> np.ndarray:
    """Confusion counts `(count, 4, 4)`; class 3 is in the first subject alone."""
    counts = np.random.default_rng(seed).integers(0, 500, (count, 4, 4))
    counts[1:, 3, :] = counts[1:, :, 3] = 0
    return counts


def drawn(count: int, seed: int, resamples: int) -> np.ndarray:
    """How often each subject is in each resample."""
    return np.random.default_rng(seed).multinomial(count, [1 / count] * count, resamples)


def test_an_interval_is_of_pooled_scores_of_subjects_drawn_again() -> None:
    counts = subjects(9)
    low, high, undefined = bootstrap.interval(scores.hard_dice, counts, seed=3, resamples=200)  # pyright: ignore
    pools = [np.repeat(counts, times, axis=0).sum(0) for times in drawn(9, 3, 200)]
    dice = np.array([scores.hard_dice(pool) for pool in pools])
    assert undefined.tolist() == [0, 0, 0, sum(drawn(9, 3, 200)[:, 0] == 0)]
    assert undefined[3] > 0
    for k in range(4):
        defined = dice[:, k][~np.isnan(dice[:, k])]
        assert (low[k], high[k]) == pytest.approx(tuple(np.percentile(defined, [2.5, 97.5])))


def test_an_interval_of_a_mean_is_that_of_scipy() -> None:
    values = np.random.default_rng(1).gamma(2, size=40)
    pairs = np.stack([values, np.ones(40)], axis=1)
    ours = bootstrap.interval(lambda sums: sums[..., 0] / sums[..., 1], pairs)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=2).confidence_interval
    assert ours is not None
    # A 2.5th percentile of 10,000 draws has a standard error of 0.027 standard errors of the mean.
    tolerance = 5 * np.sqrt(2) * 0.027 * values.std() / np.sqrt(40)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=tolerance)


def test_a_class_that_nobody_has_has_no_interval() -> None:
    counts = subjects(8)
    counts[0, 3, :] = counts[0, :, 3] = 0
    low, high, undefined = bootstrap.interval(scores.hard_dice, counts, resamples=50)  # pyright: ignore
    assert np.isnan([low, high]).tolist() == [[False, False, False, True]] * 2
    assert undefined.tolist() == [0, 0, 0, 50]


def test_the_seed_decides() -> None:
    once, again, other = (bootstrap.interval(scores.hard_dice, subjects(12), seed=s, resamples=99) for s in (5, 5, 6))
    assert once is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(once.low, again.low, equal_nan=True)
    assert not np.array_equal(once.low, other.low, equal_nan=True)


@pytest.mark.parametrize(("count", "some"), [(7, False), (8, True)])
def test_below_eight_subjects_nothing_is_said(count: int, some: bool) -> None:
    assert (bootstrap.interval(scores.hard_dice, subjects(count), resamples=9) is not None) == some


def test_five_hundred_subjects_can_be_drawn_ten_thousand_times() -> None:
    found = bootstrap.interval(scores.hard_dice, subjects(500))
    assert found is not None
    assert (found.low < scores.hard_dice(subjects(500).sum(0)))[:3].all()
