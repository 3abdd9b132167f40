"""The audit's findings: standard normal values for sound numbers, large ones for wrong ones, and what is allowed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from datasites.training.privacy_audit.checks import (
    FALSE_ALARM,
    at_most,
    correlation_z,
    count_z,
    kurtosis_z,
    spread_z,
    worst,
)
from datasites.training.privacy_audit.draws import _most, _read

DRAWN = np.random.default_rng(1)


@pytest.mark.parametrize("count", [64, 1000, 50_000])
@pytest.mark.parametrize("share", [1e-6, 1e-3, 0.3, 0.9, 1 - 1e-6])
def test_spread_z_is_the_normal_value_of_a_sum_of_squares(count, share):
    assert spread_z(stats.chi2.ppf(share, count), count) == pytest.approx(stats.norm.ppf(share), abs=0.1)


def test_findings_on_sound_numbers_are_standard_normal():
    rows = DRAWN.normal(size=(2000, 2, 400))
    correlations = [correlation_z(*row) for row in rows]
    shapes = [kurtosis_z(DRAWN.normal(size=20_000)) for _ in range(400)]
    assert stats.kstest(correlations, "norm").pvalue > 1e-3
    assert abs(np.mean(shapes)) < 0.2
    assert np.std(shapes) == pytest.approx(1.0, abs=0.12)


def test_wrong_numbers_lie_far_off():
    values = DRAWN.normal(size=10_000)
    assert correlation_z(values, values) > 100
    assert correlation_z(values, -values) < -100
    assert correlation_z(values, np.zeros(10_000)) == 0
    assert kurtosis_z(DRAWN.uniform(-1, 1, 10_000)) < -20
    assert spread_z(float(np.square(0.95 * values).sum()), 10_000) < -4
    assert count_z(60, 100, 0.5) == pytest.approx(2.0)


def test_the_more_values_there_are_the_further_off_the_worst_may_be():
    one, many = worst("one", [-1.0]), worst("many", [0.5, -2.0, 1.0] * 1000)
    assert (one.value, many.value) == (-1.0, -2.0)
    assert one.allowed < many.allowed
    for check, values in ((one, 1), (many, 3000)):
        alarms = 2 * stats.norm.sf(check.allowed) * values
        assert 40 * alarms == pytest.approx(FALSE_ALARM, rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_holds_nowhere(value):
    assert not worst("a", [0.0, value]).holds
    assert math.isfinite(worst("a", [0.0, value]).value)
    if value != -math.inf:
        assert not at_most("a", [0.0, value], 1e3 - 2).holds
        assert math.isfinite(at_most("a", [value], 1.0).value)


def test_draws_are_read_from_a_score_whatever_they_are():
    times = DRAWN.integers(0, 4, (7, 300))
    in_sum = np.array([(1 - 0.25 ** (7 - step)) * 4 / 3 for step in range(7)])
    scores = (in_sum @ times).astype(np.float32)
    digits, unreadable = _read(scores.astype(np.float64))
    assert unreadable == 0
    assert np.array_equal(digits, times)


@pytest.mark.parametrize("factor", [1.1, 0.999, 2 / 3])
def test_scores_that_are_not_made_of_whole_gradients_cannot_be_read(factor):
    times = DRAWN.integers(0, 2, (7, 300))
    times[:, 0] = 1
    in_sum = np.array([(1 - 0.25 ** (7 - step)) * 4 / 3 for step in range(7)])
    assert _read(factor * (in_sum @ times))[1] > 100
    assert _read(np.array([math.nan, math.inf]))[1] == 2


def test_more_draws_than_chance_gives_are_an_alarm():
    most = _most(7, 0.01)
    assert stats.binom.sf(most, 7, 0.01) < FALSE_ALARM / 100 <= stats.binom.sf(most - 1, 7, 0.01)
