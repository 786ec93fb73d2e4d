import numpy as np
import pytest

from oasis_jax.metrics.agreement import agreement, icc_a1

# Shrout & Fleiss 1979, table 2: six targets rated by four judges.
TARGETS = np.array([(9, 2, 5, 8), (6, 1, 3, 2), (8, 4, 6, 8), (7, 1, 2, 6), (10, 5, 6, 9), (6, 2, 4, 7)])

# Bland & Altman 1986, table 1: peak expiratory flow (l/min) of 17 people, first reading of each of two meters.
LARGE = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_icc_and_limits_of_the_published_examples() -> None:
    assert round(float(icc_a1(TARGETS)), 2) == 0.29
    meters = agreement(np.array(MINI), np.array(LARGE))
    assert round(float(meters.bias), 1) == -2.1
    assert round(float(meters.high - meters.bias) / 1.96, 1) == 38.8
    assert meters.low + meters.high == pytest.approx(2 * meters.bias)


def test_equal_volumes_agree_and_doubled_ones_do_not() -> None:
    volumes = np.array([[1.0, 10], [2, 30], [4, 20]])
    equal, doubled = agreement(volumes, volumes), agreement(volumes, 2 * volumes)
    for zeros in (equal.bias, equal.low, equal.high, 1 - equal.icc):
        assert zeros.tolist() == [0, 0]
    assert doubled.bias == pytest.approx(volumes.mean(0))
    assert (doubled.icc < 0.6).all()
    assert [x.shape for x in doubled] == [(2,)] * 4


def test_what_is_undefined_is_nan() -> None:
    single = agreement(np.array([3.0]), np.array([4.0]))
    assert single.bias == 1
    assert np.isnan([single.low, single.high, single.icc]).all()
    assert np.isnan(icc_a1(np.full((3, 2), 0.1)))
