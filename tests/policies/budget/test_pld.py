"""Privacy loss distributions: against closed forms at every delta, and against Google's own composition."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from policies.budget import pld, privacy_loss, prv, renyi
from policies.budget.pld import pld_epsilon
from policies.budget.privacy_loss import GRID_SHARE
from policies.budget.steps import GaussianSteps

# The grid's share of epsilon, aimed at by a formula that is right to a small factor, and delta's share for rounding.
CLOSE = 10 * GRID_SHARE
ABSOLUTE = 5e-4

# Twenty-four histories: noise multiplier, sample rate, steps, and a delta.
HISTORIES = [
    ([(noise, rate, count)], delta)
    for noise, rate, count in [
        (1.0, 0.05, 400),
        (1.0, 0.01, 1000),
        (1.29, 0.1, 300),
        (2.0, 0.02, 3000),
        (2.59, 0.1, 300),
        (3.54, 0.33, 300),
        (5.0, 0.9, 50),
        (6.62, 0.33, 200),
        (8.0, 0.2, 2000),
        (10.0, 1.0, 1),
        (20.0, 1.0, 12),
    ]
    for delta in (1e-5, 1e-7)
] + [
    ([(2.0, 0.1, 30), (3.0, 0.2, 40)], 1e-5),
    ([(2.59, 0.1, 300), (10.0, 1.0, 5), (5.0, 0.05, 100)], 1e-6),
]


def normal_cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def where_it_reaches(delta_at: Callable[[float], float], delta: float, highest: float = 3000.0) -> float:
    low, high = 0.0, highest
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_at(middle) > delta else (low, middle)
    return high


def exact_gaussian(history: Sequence[GaussianSteps], delta: float) -> float:
    """Everyone in each step: one Gaussian mechanism (Balle and Wang, ICML 2018, theorem 8)."""
    shift = math.sqrt(sum(part.steps / part.noise_multiplier**2 for part in history))

    def delta_at(epsilon: float) -> float:
        gone = normal_cdf(-epsilon / shift - shift / 2)
        return normal_cdf(shift / 2 - epsilon / shift) - (math.exp(epsilon + math.log(gone)) if gone else 0.0)

    return where_it_reaches(delta_at, delta)


def exact_removal(noise: float, rate: float, delta: float) -> float:
    """One sampled step, a unit removed: two tails beyond one point."""

    def delta_at(epsilon: float) -> float:
        point = 0.5 + noise**2 * math.log((math.exp(epsilon) - 1 + rate) / rate)
        absent, present = normal_cdf(-point / noise), normal_cdf((1 - point) / noise)
        return (1 - rate) * absent + rate * present - math.exp(epsilon) * absent

    return where_it_reaches(delta_at, delta, highest=60.0)


def steps(*parts: tuple[float, float, int]) -> tuple[GaussianSteps, ...]:
    return tuple(GaussianSteps(*part) for part in parts)


def bound(history: Sequence[GaussianSteps], delta: float) -> float:
    found = pld_epsilon(history, delta)
    assert found is not None
    return found


@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-7, 1e-9, 1e-10, 1e-12, 1e-15])
@pytest.mark.parametrize(
    ("noise", "count"), [(0.5, 1), (1.0, 1), (5.0, 10), (20.0, 1), (20.0, 2000), (60.0, 4000), (80.0, 30_000)]
)
def test_full_batches_cost_a_little_more_than_the_gaussian_mechanism_at_every_delta(
    noise: float, count: int, delta: float
) -> None:
    history = steps((noise, 1.0, count))
    exact = exact_gaussian(history, delta)
    assert exact <= bound(history, delta) <= exact * (1 + CLOSE) + ABSOLUTE


@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-9, 1e-12])
@pytest.mark.parametrize(("noise", "rate"), [(0.5, 0.1), (1.0, 0.01), (1.0, 0.5), (2.0, 0.1), (5.0, 0.9)])
def test_one_sampled_step_costs_what_its_two_tails_say(noise: float, rate: float, delta: float) -> None:
    exact = exact_removal(noise, rate, delta)
    assert exact <= bound(steps((noise, rate, 1)), delta) <= exact * (1 + CLOSE) + ABSOLUTE


@pytest.mark.parametrize(("parts", "delta"), HISTORIES)
def test_it_agrees_with_googles_composition_and_lies_between_the_other_accountants(
    parts: list[tuple[float, float, int]], delta: float
) -> None:
    """Google's is pessimistic too, on another grid and in another order; at these deltas its rounding is small."""
    from dp_accounting.pld import privacy_loss_distribution

    history = steps(*parts)
    composed = privacy_loss_distribution.identity(1e-3)
    for part in history:
        one = privacy_loss_distribution.from_gaussian_mechanism(
            part.noise_multiplier, sampling_prob=part.sample_rate, value_discretization_interval=1e-3
        )
        composed = composed.compose(one.self_compose(part.steps))
    found = bound(history, delta)
    assert found == pytest.approx(composed.get_epsilon_for_delta(delta), rel=5e-3, abs=1e-3)
    assert renyi.lower_bound(history, delta) <= found <= renyi.upper_bound(history, delta)
    by_prv = prv.prv_epsilon(history, delta)
    assert by_prv is None or by_prv - 2 * prv.PRV_EPSILON_ERROR < found < by_prv


@pytest.mark.parametrize("delta", [1e-9, 1e-10])
def test_small_deltas_cost_less_than_by_divergences(delta: float) -> None:
    """Where the PRV accountant cannot be asked: 300 steps at sample rate 0.1 cost 5 to 6 % less."""
    history = steps((2.59, 0.1, 300))
    assert prv.prv_epsilon(history, delta) is None
    assert bound(history, delta) < 0.96 * renyi.upper_bound(history, delta)


def test_adding_a_unit_is_counted_as_well_as_removing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dearer direction counts, whichever it is."""
    costs = iter([2.0, 3.0])
    monkeypatch.setattr(pld, "_one_direction", lambda *_: next(costs))
    assert pld_epsilon(steps((2.0, 0.1, 3)), 1e-5) == 3.0
    costs = iter([3.0, 2.0])
    assert pld_epsilon(steps((2.0, 0.1, 3)), 1e-5) == 3.0
    costs = iter([3.0, None])  # type: ignore[list-item]
    assert pld_epsilon(steps((2.0, 0.1, 3)), 1e-5) is None


@pytest.mark.parametrize("direction", ["ADD", "REMOVE"])
@pytest.mark.parametrize(("noise", "rate"), [(0.05, 1e-6), (0.3, 0.9), (0.5, 1.0), (1.0, 0.01), (20.0, 0.001)])
def test_one_steps_divergences_are_the_librarys_in_both_directions(noise: float, rate: float, direction: str) -> None:
    from dp_accounting.pld.privacy_loss_mechanism import AdjacencyType, GaussianPrivacyLoss

    loss = GaussianPrivacyLoss(noise, sampling_prob=rate, adjacency_type=AdjacencyType[direction])
    bounds = loss.connect_dots_bounds()
    grid = np.linspace(bounds.epsilon_lower, bounds.epsilon_upper, 501)
    ours = privacy_loss.divergences(loss, GaussianSteps(noise, rate, 1), grid)
    np.testing.assert_allclose(ours, loss.get_delta_for_epsilon(grid), rtol=0, atol=2e-15)


@pytest.mark.parametrize("noise", [1e-9, 0.05, 0.1, 0.5, 3.0, 100.0, 1e5])
@pytest.mark.parametrize("rate", [1e-6, 1e-3, 0.3, 1.0])
@pytest.mark.parametrize("count", [1, 20_000])
def test_over_all_that_a_plan_may_say_it_is_sound_or_nothing(noise: float, rate: float, count: int) -> None:
    """Never under the divergences' lower bound; nothing where no grid helps."""
    history = steps((noise, rate, count))
    found = pld_epsilon(history, 1e-8)
    assert found is None or found >= renyi.lower_bound(history, 1e-8)


@pytest.mark.parametrize("delta", [1e-5, 1e-10])
def test_more_steps_and_less_noise_cost_more(delta: float) -> None:
    counts = [bound(steps((3.0, 0.2, count)), delta) for count in (1, 10, 40, 41, 400)]
    noises = [bound(steps((noise, 0.2, 40)), delta) for noise in (30.0, 3.0, 2.99, 1.0)]
    rates = [bound(steps((3.0, rate, 40)), delta) for rate in (0.01, 0.2, 0.201, 1.0)]
    for costs in (counts, noises, rates):
        assert costs == sorted(costs)
