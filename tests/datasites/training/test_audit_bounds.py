"""The audit's statistics, against hand calculation and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from datasites.training.privacy_audit.bounds import (
    MAX_EPSILON,
    gaussian_epsilon,
    gaussian_lower_bound,
    noise_z,
    one_run_lower_bound,
)

APART = np.ones(500), np.zeros(500)


def test_noise_of_the_right_spread_has_z_zero_and_half_of_it_minus_half_the_root_of_2n():
    scores = np.array([2.0, -2.0] * 100)
    assert noise_z(scores, 2.0) == 0
    assert noise_z(scores, 4.0) == pytest.approx(-0.5 * math.sqrt(400))
    assert noise_z(np.zeros(200), 2.0) == pytest.approx(-math.sqrt(400))


def test_noise_z_is_a_standard_normal_value_for_sound_noise():
    generator = np.random.default_rng(1)
    values = [noise_z(generator.normal(0, 3.0, 500), 3.0) for _ in range(2000)]
    assert stats.kstest(values, "norm").pvalue > 1e-3


def test_perfect_guesses_refute_what_a_coin_of_that_bias_would_hardly_do():
    # All r guesses right: refuted is every epsilon at which (e^eps / (1 + e^eps))^r < 1 - confidence.
    chance = 0.05 ** (1 / 100)
    found = one_run_lower_bound(*APART, guesses=100, delta=0.0, confidence=0.95)
    assert found == pytest.approx(math.log(chance / (1 - chance)))


def test_some_wrong_guesses_refute_what_the_binomial_tail_says():
    included, excluded = np.ones(50), np.concatenate([np.zeros(40), np.full(10, 2.0)])
    # The 20 highest are 10 excluded and 10 included canaries, the 20 lowest are excluded: 30 right of 40.
    found = one_run_lower_bound(included, excluded, guesses=40, delta=0.0, confidence=0.95)
    bias = math.exp(found) / (1 + math.exp(found))
    assert stats.binom.sf(29, 40, bias) == pytest.approx(0.05, rel=1e-6)


def test_a_larger_delta_refutes_less():
    bounds = [one_run_lower_bound(*APART, guesses=100, delta=d, confidence=0.95) for d in (0.0, 1e-5, 1e-4)]
    assert bounds[0] > bounds[1] > bounds[2]


def test_guesses_no_better_than_chance_refute_nothing():
    generator = np.random.default_rng(1)
    scores = generator.normal(size=(2, 500))
    assert one_run_lower_bound(*scores, guesses=250, delta=1e-5, confidence=0.95) < 0.3
    assert gaussian_lower_bound(*scores, delta=1e-5, confidence=0.9999) == 0


@pytest.mark.parametrize("mu", [0.25, 1.0, 4.0, 10.0])
def test_gaussian_epsilon_solves_the_gaussian_trade_off(mu):
    epsilon = gaussian_epsilon(mu, 1e-5)
    upper = stats.norm.cdf(mu / 2 - epsilon / mu)
    lower = math.exp(epsilon + stats.norm.logcdf(-mu / 2 - epsilon / mu))
    assert upper - lower == pytest.approx(1e-5, rel=1e-4)


def test_gaussian_bound_comes_from_the_distance_in_spreads():
    generator = np.random.default_rng(1)
    included, excluded = generator.normal(3.0, 1.0, 200_000), generator.normal(0.0, 1.0, 200_000)
    found = gaussian_lower_bound(included, excluded, delta=1e-5, confidence=0.95)
    assert found == pytest.approx(gaussian_epsilon(3.0, 1e-5), rel=0.02)
    assert found < gaussian_epsilon(3.0, 1e-5)


def test_scores_without_noise_refute_everything_that_can_be_told():
    assert gaussian_lower_bound(*APART, delta=1e-5, confidence=0.95) == MAX_EPSILON
    assert gaussian_lower_bound(np.zeros(9), np.zeros(9), delta=1e-5, confidence=0.95) == 0
