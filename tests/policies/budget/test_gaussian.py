"""Gaussian noise on sums that everybody is in: mu, and its epsilon, against arithmetic with fifty digits."""

from __future__ import annotations

import math

import mpmath
import pytest

from policies.budget.accountant import GaussianSteps, calibrate_noise, epsilon_spent
from policies.budget.gaussian import gaussian_epsilon, gaussian_mu
from policies.budget.limits import PrivacyBudget
from policies.budget.pld import pld_epsilon

MUS = (0.001, 0.01, 0.1, 0.7, 1.6, 4.0, 15.0, 100.0)
DELTAS = (1e-10, 1e-8, 1e-5, 1e-3, 0.1)


def exact_delta(epsilon: float, mu: float) -> mpmath.mpf:
    """Balle and Wang's theorem 8, with fifty digits."""
    with mpmath.workdps(50):
        e, m = mpmath.mpf(epsilon), mpmath.mpf(mu)
        return mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m)


def test_mu_is_added_up_in_squares():
    # 1/2^2 + 9 x 1/6^2 = 1/4 + 1/4 = 1/2
    assert gaussian_mu([GaussianSteps(2.0, 1.0, 1), GaussianSteps(6.0, 1.0, 9)]) == pytest.approx(math.sqrt(0.5))
    assert gaussian_mu([]) == 0


def test_an_epsilon_that_a_table_of_the_normal_distribution_gives():
    # mu = 1, epsilon = 1: Phi(-1/2) - e Phi(-3/2) = .30854 - 2.71828 x .06681 = .12694
    assert gaussian_epsilon([GaussianSteps(2.0, 1.0, 4)], 0.126937) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("mu", MUS)
@pytest.mark.parametrize("delta", DELTAS)
def test_epsilon_is_never_below_the_exact_one_and_hardly_above(mu, delta):
    stated = gaussian_epsilon([GaussianSteps(1 / mu, 1.0, 1)], delta)
    assert exact_delta(stated, mu) <= delta
    if stated > 0:
        assert exact_delta(stated * (1 - 1e-6), mu) > delta


def test_sampled_steps_have_no_such_formula():
    history = [GaussianSteps(2.0, 1.0, 1), GaussianSteps(2.0, 0.5, 1)]
    assert gaussian_mu(history) is None
    assert gaussian_epsilon(history, 1e-5) is None


@pytest.mark.parametrize("noise", [1e-6, 1e-3, 1e6])
def test_no_noise_and_much_noise_have_an_epsilon_all_the_same(noise):
    stated = epsilon_spent([GaussianSteps(noise, 1.0, 1)], 1e-5)
    assert math.isfinite(stated) and stated >= 0
    assert exact_delta(stated, 1 / noise) <= 1e-5


@pytest.mark.parametrize(("noise", "steps"), [(1.4, 1), (5.0, 20), (30.0, 400)])
def test_the_accountant_takes_it_and_an_independent_bound_lies_just_above(noise, steps):
    history = [GaussianSteps(noise, 1.0, steps)]
    stated, by_losses = epsilon_spent(history, 1e-5), pld_epsilon(history, 1e-5)
    assert stated == gaussian_epsilon(history, 1e-5)
    assert stated <= by_losses <= stated + 0.01


@pytest.mark.parametrize("epsilon", [1.0, 3.0, 8.0])
def test_noise_is_calibrated_to_it_beside_what_was_spent(epsilon):
    before, budget = GaussianSteps(4.0, 1.0, 1), PrivacyBudget(epsilon, 1e-5)
    noise = calibrate_noise(budget, sample_rate=1.0, steps=20, history=(before,))
    assert 0.995 * epsilon < epsilon_spent([before, GaussianSteps(noise, 1.0, 20)], 1e-5) <= epsilon
