"""The One-Euro filter's laws."""

import math

import numpy as np
import pytest

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.pose.tracking.smoothing import OneEuro, PoseSmoother, Smoothed
from rtmo_plugin.pose.tracking.tracker import NO_ID
from tests.pose.tracking.walkers import make_people

TIMES = np.arange(1, 200) / 30


def smooth(values, one_euro, times=TIMES, unit=1.0):
    """Return the smoothed values, the first of which was measured at time 0."""
    states = [Smoothed.start(np.asarray(values[0], float), 0.0)]
    for value, time in zip(values[1:], times):
        states.append(one_euro.step(states[-1], np.asarray(value, float), time, unit))
    return np.array([state.values for state in states])


def test_what_stands_still_stays():
    assert (smooth(np.full((100, 2), 7.0), OneEuro()) == 7.0).all()


def test_without_beta_it_is_a_low_pass_filter_of_first_order():
    weight = 1 / (1 + 30 / (2 * math.pi * 1.5))
    expected = 1 - (1 - weight) ** np.arange(50)
    assert smooth(np.r_[0.0, np.ones(49)], OneEuro(min_cutoff=1.5, beta=0.0)) == pytest.approx(expected)


def test_jitter_is_less_and_a_lower_cutoff_takes_more_of_it():
    noise = np.random.default_rng(0).normal(size=200)
    rough, smoother, smoothest = (
        smooth(noise, OneEuro(min_cutoff=cutoff, beta=0.0))[20:].std() for cutoff in (30.0, 3.0, 0.3)
    )
    assert smoothest < 0.5 * smoother < 0.5 * rough < 0.5


def test_fast_movements_lag_less_with_beta():
    ramp = 10 * np.r_[0.0, TIMES]
    lags = [(ramp - smooth(ramp, OneEuro(beta=beta)))[-1] for beta in (0.0, 1.0, 10.0)]
    assert lags[0] == pytest.approx(10 / (2 * math.pi), rel=0.02)  # speed over 2 pi cutoff
    assert lags[0] > 5 * lags[1] > 25 * lags[2] > 0


def test_moved_and_scaled_coordinates_are_smoothed_alike():
    values = np.random.default_rng(1).normal(size=(60, 17, 2)).cumsum(axis=0)
    smoothed = smooth(values, OneEuro())
    np.testing.assert_allclose(smooth(values + 100.0, OneEuro()), smoothed + 100.0)
    np.testing.assert_allclose(smooth(values * 8, OneEuro(), unit=8.0), smoothed * 8)


def test_everybody_is_smoothed_alone_and_nobody_without_an_id():
    smoother = PoseSmoother(OneEuro(min_cutoff=0.5, beta=0.0))
    keypoints = np.random.default_rng(2).uniform(0, 100, (3, 17, 2))
    people = make_people(keypoints, np.ones(3))
    first = smoother.update(people, np.array([1, 2, NO_ID]), 0.0)
    np.testing.assert_array_equal(first.keypoints, keypoints)
    moved = make_people(keypoints[[1, 0, 2]] + 10.0, np.ones(3))  # in another order
    second = smoother.update(moved, np.array([2, 1, NO_ID]), 0.04)
    shifts = (second.keypoints - keypoints[[1, 0, 2]]).mean(axis=(1, 2))
    assert shifts[0] == pytest.approx(shifts[1])
    assert 0 < shifts[0] < 3
    assert shifts[2] == pytest.approx(10.0)
    np.testing.assert_array_equal(moved.keypoints, keypoints[[1, 0, 2]] + 10.0)  # what was given stays
    late = smoother.update(people, np.array([1, 2, NO_ID]), 60.0)
    np.testing.assert_array_equal(late.keypoints, keypoints)  # forgotten


@pytest.mark.parametrize("wrong", [{"min_cutoff": 0.0}, {"beta": -1.0}, {"speed_cutoff": -1.0}])
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"(cutoff|beta) must be a number (above|from) 0"):
        OneEuro(**wrong)
