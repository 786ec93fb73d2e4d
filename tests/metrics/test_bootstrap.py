import numpy as np
import pytest
from checked import present, wilcoxon_p

from oasis_jax.metrics import bootstrap, overlap, significance


def subjects(count: int, seed: int = 0) -> np.ndarray:
    """Confusion counts `(count, 4, 4)`; only the first subject has class 3."""
    counts = np.random.default_rng(seed).integers(0, 500, (count, 4, 4))
    counts[1:, 3, :] = counts[1:, :, 3] = 0
    return counts


def resampled_dice(counts: np.ndarray) -> np.ndarray:
    """Dice of subjects drawn again, `(resamples, 4)`."""
    times = np.random.default_rng(0).multinomial(len(counts), [1 / len(counts)] * len(counts), bootstrap.RESAMPLES)
    return overlap.hard_dice(np.array([np.repeat(counts, drawn, axis=0).sum(0) for drawn in times]))


def test_an_interval_is_of_pooled_scores_of_subjects_drawn_again() -> None:
    counts = subjects(9)
    counts[:, 2, :] = counts[:, :, 2] = 0
    low, high = present(bootstrap.interval(overlap.hard_dice, counts))
    dice = resampled_dice(counts)
    assert np.isnan(dice[:, 3]).any()  # resamples without the only subject that has the class
    assert np.isnan([low[2], high[2]]).all()
    for k in (0, 1, 3):
        defined = dice[:, k][~np.isnan(dice[:, k])]
        assert (low[k], high[k]) == pytest.approx(tuple(np.percentile(defined, [2.5, 97.5])))


def test_a_paired_interval_draws_the_same_subjects_for_both_runs() -> None:
    ours, theirs = subjects(9, 0), subjects(9, 1)
    low, high = present(bootstrap.paired_interval(overlap.hard_dice, ours, theirs))
    differences = resampled_dice(ours)[:, 1] - resampled_dice(theirs)[:, 1]
    assert (low[1], high[1]) == pytest.approx(tuple(np.percentile(differences, [2.5, 97.5])))


def test_wilcoxon_of_each_class_without_its_undefined_subjects() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((2, 12, 5))
    ours[:, 0] = theirs[:, 0]
    ours[3, 1] = np.nan
    ours[:5, 2] = np.nan
    ours[:, 3] = theirs[:, 3] + np.linspace(0.1, 0.2, 12)
    p = significance.wilcoxon(ours, theirs)
    assert p is not None
    keep = np.arange(12) != 3
    assert p[0] == 1
    assert p[1] == wilcoxon_p(ours[keep, 1], theirs[keep, 1])
    assert np.isnan(p[2])
    assert p[3] == 2 / 2**12  # one of the two extreme patterns of 12 signs
    assert p[4] == wilcoxon_p(ours[:, 4], theirs[:, 4])


def test_holm_of_a_worked_example() -> None:
    # p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") in R
    assert significance.holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm(np.array([0.01, np.nan, 0.04])) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert significance.holm(np.array([0.9, 0.8])).tolist() == [1, 1]
