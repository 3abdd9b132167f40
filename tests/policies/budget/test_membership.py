"""What a test of membership can find: against the exact Gaussian curve, and a test that is the best on a grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from policies.budget import membership
from policies.budget.membership import FALSE_ALARM_RATES, MembershipBounds, membership_bounds
from policies.budget.steps import GaussianSteps

CLOSE = 1e-3


def bounds(*parts: tuple[float, float, int]) -> MembershipBounds:
    return membership_bounds(GaussianSteps(*part) for part in parts)


def gaussian_power(mu: float, rate: float) -> float:
    """Of the best test between N(0, 1) and N(mu, 1) (Dong, Roth and Su, equation 6)."""
    return float(1 - norm.cdf(norm.ppf(1 - rate) - mu))


@pytest.mark.parametrize(
    ("noise", "count"), [(0.5, 1), (1.0, 1), (1.0, 4), (5.0, 1), (5.0, 60), (20.0, 12), (60.0, 4000), (1000.0, 1)]
)
def test_without_sampling_it_is_the_gaussian_curve_and_never_below(noise: float, count: int) -> None:
    found, mu = bounds((noise, 1.0, count)), math.sqrt(count) / noise
    for rate, power in zip(found.false_alarm_rates, found.powers, strict=True):
        assert gaussian_power(mu, rate) <= power <= gaussian_power(mu, rate) + CLOSE
    assert found.gaussian_mu is not None
    assert mu <= found.gaussian_mu <= mu * 1.02 + 0.015


def best_powers(parts: list[tuple[float, float, int]], rates: tuple[float, ...], adjacency: str) -> list[float]:
    """The Neyman-Pearson test on a composed privacy loss distribution of Google's, a threshold on the loss with a coin
    at the threshold (Kulynych et al., arXiv 2407.02191, their algorithm for the trade-off of a discrete pair)."""
    from dp_accounting.pld import privacy_loss_distribution as library

    composed = library.identity(1e-3)
    for noise, rate, count in parts:
        one = library.from_gaussian_mechanism(noise, sampling_prob=rate, value_discretization_interval=1e-3)
        composed = composed.compose(one.self_compose(count))
    pmf = getattr(composed, f"_pmf_{adjacency}")
    dense = pmf.to_dense_pmf()
    losses = (np.arange(dense.size) + dense._lower_loss) * 1e-3
    yes = dense._probs  # the loss where the unit takes part; where it does not, its share is e^-loss of that
    no = yes * np.exp(-losses)
    powers = np.cumsum(yes[::-1]) + pmf._infinity_mass
    alarms = np.cumsum(no[::-1])
    return [float(np.interp(rate, alarms, powers)) for rate in rates]


@pytest.mark.parametrize(
    "parts",
    [
        [(1.0, 0.05, 400)],
        [(2.59, 0.1, 300)],
        [(3.54, 0.33, 300)],
        [(5.0, 0.9, 50)],
        [(0.7, 0.02, 20)],
        [(2.0, 0.1, 30), (3.0, 0.2, 40), (10.0, 1.0, 2)],
    ],
)
def test_sampled_steps_are_as_the_best_test_on_the_losses_finds_and_hardly_less(
    parts: list[tuple[float, float, int]],
) -> None:
    found = bounds(*parts)
    taken_part = best_powers(parts, found.false_alarm_rates, "remove")
    not_taken_part = best_powers(parts, found.false_alarm_rates, "add")
    for power, best, other in zip(found.powers, taken_part, not_taken_part, strict=True):
        assert max(best, other) - 2e-4 <= power <= max(best, other) + CLOSE


def test_one_sampled_step_is_never_below_the_test_that_looks_for_the_shift() -> None:
    noise, sampling = 0.6, 0.3
    found = bounds((noise, sampling, 1))
    for rate, power in zip(found.false_alarm_rates, found.powers, strict=True):
        threshold = norm.ppf(1 - rate) * noise
        exact = sampling * norm.sf((threshold - 1) / noise) + (1 - sampling) * norm.sf(threshold / noise)
        assert exact <= power <= exact + 0.02  # the other direction may find a little more


def test_more_steps_and_less_noise_never_find_less() -> None:
    for smaller, larger in (
        ((2.0, 0.1, 50), (2.0, 0.1, 60)),
        ((2.0, 0.1, 50), (1.9, 0.1, 50)),
        ((2.0, 0.1, 50), (2.0, 0.12, 50)),
    ):
        assert all(a <= b + 1e-4 for a, b in zip(bounds(smaller).powers, bounds(larger).powers, strict=True))
    powers = bounds((2.0, 0.1, 50)).powers
    assert list(powers) == sorted(powers)


def test_nothing_released_finds_as_many_as_it_alarms_falsely() -> None:
    assert bounds() == MembershipBounds(FALSE_ALARM_RATES, FALSE_ALARM_RATES, 0.0)


@pytest.mark.parametrize("part", [(0.02, 1.0, 100), (1e-3, 0.5, 1000)])
def test_hardly_any_noise_bounds_nothing(part: tuple[float, float, int]) -> None:
    found = bounds(part)
    assert found.powers == (1.0, 1.0, 1.0)
    assert found.gaussian_mu is None


def test_where_distributions_say_nothing_the_renyi_pairs_bound_from_above(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = bounds((5.0, 1.0, 20))
    monkeypatch.setattr(membership, "pld_divergences", lambda history: None)
    membership._bounds.cache_clear()
    rougher = bounds((5.0, 1.0, 20))
    membership._bounds.cache_clear()
    assert all(a <= b < 1 for a, b in zip(exact.powers, rougher.powers, strict=True))


def test_the_same_history_is_computed_once() -> None:
    bounds((4.0, 0.1, 20), (6.0, 1.0, 2))
    before = membership._bounds.cache_info()
    bounds((6.0, 1.0, 2), (4.0, 0.1, 5), (4.0, 0.1, 15))
    after = membership._bounds.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)


def test_more_different_steps_than_it_takes_are_bounded_all_the_same() -> None:
    found = bounds(*((10.0 + index, 1.0, 1) for index in range(120)))
    mu = math.sqrt(sum(1 / (10.0 + index) ** 2 for index in range(120)))
    assert all(
        gaussian_power(mu, rate) <= power <= 1 for rate, power in zip(FALSE_ALARM_RATES, found.powers, strict=True)
    )
