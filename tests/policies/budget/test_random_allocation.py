"""Random allocation: against an integral, trials and another accountant, and what it always promises."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest

from policies.budget import accountant, membership, pld, renyi
from policies.budget.accountant import GaussianSteps, calibrate_noise, epsilon_spent, filter_epsilon, merged
from policies.budget.allocation import allocated_steps, lognormal_sums
from policies.budget.limits import PrivacyBudget
from policies.budget.membership import membership_bounds
from policies.budget.remaining import studies_left
from policies.errors import PlanError

DELTA = 1e-5
# Noise multiplier, steps of an epoch, epochs, delta, and between which epsilons the exact one lies: by
# `PLD_accounting.random_allocation_api.gaussian_allocation_epsilon_range(delta=, sigma=, num_steps=, num_epochs=,
# epsilon_accuracy=0.01)` of PLD_accounting 2.0 with dp_accounting 0.6, which shares nothing with this package. Its
# last case takes it 310 seconds; it needs other pins than ours, so that its numbers stand here.
BY_PLD_ACCOUNTING = [
    (2.0, 2, 1, 1e-4, 1.216774, 1.225205),
    (2.0, 3, 1, 1e-4, 0.985341, 0.993073),
    (1.0, 4, 1, 1e-4, 2.488010, 2.496841),
    (1.5, 5, 2, 1e-4, 1.630778, 1.633257),
    (1.4, 5, 4, 1e-5, 3.099030, 3.101789),
]


def allocated(noise: float, terms: int, epochs: int) -> GaussianSteps:
    return GaussianSteps(noise, 1 / terms, terms * epochs, terms)


# --- oracles: an integral and trials, which share nothing with the sums on a grid -------------------------------


def call(strikes: np.ndarray, noise: float) -> np.ndarray:
    """The mean of (Y - strike)+ for one lognormal Y with mean 1: the formula of Black and Scholes."""
    from scipy.special import ndtr

    with np.errstate(all="ignore"):
        first = (-np.log(strikes) + 0.5 / noise**2) * noise
        return np.where(strikes <= 0, 1 - strikes, ndtr(first) - strikes * ndtr(first - 1 / noise))


def exact_of_two_steps(noise: float, epsilon: float, *, addition: bool) -> float:
    """The hockey-stick divergence of an epoch of two steps: an integral over the noise of one of them."""
    points = np.linspace(-12, 12, 200_001)
    weights = np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi) * (points[1] - points[0])
    one = np.exp(points / noise - 1 / (2 * noise**2))
    strike = math.exp(-epsilon if addition else epsilon)
    above = float(weights @ call(2 * strike - one, noise)) / 2
    return above if not addition else math.exp(epsilon) * (above - 1 + strike)


def losses_of_trials(noise: float, terms: int, epochs: int, *, addition: bool, trials: int) -> np.ndarray:
    """The loss of all epochs, drawn as they are released: with the unit for its removal, without for its addition."""
    random = np.random.default_rng(20261129)
    losses = np.zeros(trials)
    for _ in range(epochs):
        noises = random.normal(0, noise, (trials, terms))
        if not addition:
            noises[np.arange(trials), random.integers(terms, size=trials)] += 1
        ratio = np.log(np.exp((noises - 0.5) / noise**2).mean(axis=1))
        losses += -ratio if addition else ratio
    return losses


@pytest.mark.parametrize("addition", [False, True], ids=["removal", "addition"])
@pytest.mark.parametrize("noise", [0.6, 1.0, 3.0])
@pytest.mark.parametrize("epsilon", [-0.5, 0.2, 1.0])
def test_an_epoch_of_two_steps_is_bounded_from_above_and_closely(noise: float, epsilon: float, addition: bool) -> None:
    exact = exact_of_two_steps(noise, epsilon, addition=addition)
    found = float(allocated_steps.divergences(noise, 2, np.array([epsilon]), addition=addition)[0])
    assert exact * (1 - 1e-9) <= found <= exact * 1.003


@pytest.mark.parametrize("addition", [False, True], ids=["removal", "addition"])
@pytest.mark.parametrize(
    ("noise", "terms", "epochs", "epsilon"), [(1.4, 5, 4, 1.5), (2.9, 5, 20, 1.0), (0.8, 4, 2, 2.0)]
)
def test_composed_epochs_agree_with_trials(
    noise: float, terms: int, epochs: int, epsilon: float, addition: bool
) -> None:
    losses = losses_of_trials(noise, terms, epochs, addition=addition, trials=100_000)
    paid = np.maximum(0.0, 1 - np.exp(epsilon - losses))
    five_errors = 5 * float(paid.std()) / math.sqrt(len(paid))
    curves = pld.pld_divergences([allocated(noise, terms, epochs)])
    assert curves is not None
    curve = curves[1 if addition else 0]
    found = float(np.interp(epsilon, curve.epsilons, curve.deltas))
    assert float(paid.mean()) - five_errors <= found <= float(paid.mean()) + five_errors
    assert five_errors < 0.15 * found, "too few trials to tell anything"


@pytest.mark.parametrize(("noise", "terms"), [(1.4, 5), (2.9, 5), (2.0, 12)])
def test_renyi_divergences_agree_with_trials(noise: float, terms: int) -> None:
    random = np.random.default_rng(7)
    ratios = np.exp((random.normal(0, noise, (400_000, terms)) - 0.5) / noise**2).mean(axis=1)
    for order in (2.0, 3.0):
        removal = math.log(float((ratios**order).mean())) / (order - 1)
        addition = math.log(float((ratios ** (1 - order)).mean())) / (order - 1)
        exact = allocated_steps.removal_divergences(noise, terms, [order])[0]
        both = allocated_steps.renyi_divergences(noise, terms, [order])[0]
        assert exact == pytest.approx(removal, rel=0.05)
        assert max(removal, addition) * 0.95 <= both <= max(removal, addition) * 1.05


def test_a_removal_of_order_two_is_the_formula_by_hand() -> None:
    # The mean of M^2 is (t e^(1 / s^2) + t (t - 1)) / t^2.
    for noise, terms in ((1.0, 2), (0.7, 5), (4.0, 100)):
        by_hand = math.log1p(math.expm1(1 / noise**2) / terms)
        assert allocated_steps.removal_divergences(noise, terms, [2.0])[0] == pytest.approx(by_hand, abs=1e-9)
    assert math.isnan(allocated_steps.removal_divergences(1.0, 5, [2.5])[0])


@pytest.mark.parametrize(("noise", "terms", "epochs", "delta", "least", "most"), BY_PLD_ACCOUNTING)
def test_it_lies_between_the_bounds_of_another_accountant(
    noise: float, terms: int, epochs: int, delta: float, least: float, most: float
) -> None:
    assert least <= epsilon_spent([allocated(noise, terms, epochs)], delta) <= most


# --- what always holds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("terms", [2, 3, 5, 20, 100])
@pytest.mark.parametrize("noise", [0.3, 1.0, 30.0])
def test_a_sum_keeps_its_mean_and_its_probability(noise: float, terms: int) -> None:
    found = lognormal_sums.lognormal_sum(noise, terms, 4)
    assert float(found.masses.sum()) + found.at_zero == pytest.approx(1, abs=1e-10)
    assert float(found.masses @ np.exp(found.logs)) + found.beyond == pytest.approx(terms, rel=1e-10)
    assert found.at_zero < 1e-19
    assert found.beyond < 1e-18 * terms


def on_the_grid(coarser: int) -> list[tuple[float, int]]:
    """Noise multipliers and steps for which ln 2 is a whole number of grid points, and their neighbours."""
    found = []
    for terms, points, places in itertools.product((2, 3, 4, 10), range(5, 40), (-2, -1, 0, 1, 2)):
        noise = 0.03 * coarser * points / (math.log(2) * math.sqrt(terms))
        for _ in range(abs(places)):
            noise = math.nextafter(noise, math.copysign(math.inf, places))
        found.append((noise, terms))
    return found[:: 3 if coarser > 1 else 9]


@pytest.mark.parametrize("coarser", [4, 1])
def test_a_sum_of_equals_that_lies_on_a_point_of_the_grid_is_kept(coarser: int) -> None:
    for noise, terms in on_the_grid(coarser):
        found = lognormal_sums.lognormal_sum.__wrapped__(noise, terms, coarser)
        assert float(found.masses.sum()) + found.at_zero == pytest.approx(1, abs=1e-10)
        assert float(found.masses @ np.exp(found.logs)) + found.beyond == pytest.approx(terms, rel=1e-10)


def test_an_epsilon_on_a_point_of_the_grid_is_that_of_its_neighbour() -> None:
    on_a_point = epsilon_spent([allocated(0.734500401549688, 2, 5)], DELTA)
    assert on_a_point == pytest.approx(epsilon_spent([allocated(0.7345005, 2, 5)], DELTA), rel=1e-5)
    assert on_a_point == pytest.approx(13.925, abs=1e-3)


def test_what_lost_some_of_its_mass_or_fails_bounds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def clear() -> None:
        for cached in (lognormal_sums.lognormal_sum, renyi._one_epoch, accountant._epsilon_spent, membership._bounds):
            cached.cache_clear()

    history = [allocated(0.9, 2, 5)]
    added = lognormal_sums._add_ordered

    def losing(masses: np.ndarray, *arguments: object, **options: object) -> None:
        added(masses, *arguments, **options)
        masses *= 1 - 1e-6

    def failing(*_: object) -> None:
        raise ValueError("operands could not be broadcast together")

    for name, wrong in (("_add_ordered", losing), ("_added", failing)):
        clear()
        with monkeypatch.context() as patched:
            patched.setattr(lognormal_sums, name, wrong)
            assert epsilon_spent(history, DELTA) == math.inf
            assert filter_epsilon(history, PrivacyBudget(3.0, DELTA)) == math.inf
            assert membership_bounds(history).powers == (1.0, 1.0, 1.0)
            assert studies_left([], history, PrivacyBudget(3.0, DELTA), adaptive=False) == 0
        clear()


@pytest.mark.parametrize("addition", [False, True], ids=["removal", "addition"])
def test_a_coarser_grid_only_lifts_the_divergence(addition: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    at = np.array([-1.0, 0.1, 0.5, 1.5])
    found = []
    for spacing in (0.01, 0.03, 0.1, 0.3):
        monkeypatch.setattr(lognormal_sums, "_SPACING", spacing)
        lognormal_sums.lognormal_sum.cache_clear()
        found.append(allocated_steps.divergences(1.2, 5, at, addition=addition))
    lognormal_sums.lognormal_sum.cache_clear()
    assert all((coarser >= finer).all() for finer, coarser in itertools.pairwise(found))
    assert found[1] == pytest.approx(found[0], rel=0.003)


@pytest.mark.parametrize(("terms", "epochs", "epsilon"), [(5, 20, 1.0), (5, 4, 8.0), (10, 10, 3.0), (4, 1, 3.0)])
def test_it_takes_less_noise_than_poisson_sampling_of_as_many_steps(terms: int, epochs: int, epsilon: float) -> None:
    budget, steps = PrivacyBudget(epsilon, DELTA), terms * epochs
    poisson = calibrate_noise(budget, sample_rate=1 / terms, steps=steps)
    noise = calibrate_noise(budget, sample_rate=1 / terms, steps=steps, allocated_over=terms)
    assert 0.7 * poisson < noise < 0.99 * poisson
    assert 0.995 * epsilon < epsilon_spent([allocated(noise, terms, epochs)], DELTA) <= epsilon


def test_its_epsilon_lies_between_the_bounds_by_renyi_divergences() -> None:
    for noise, terms, epochs in ((1.0, 5, 4), (3.0, 10, 30), (0.6, 2, 1)):
        history = merged([allocated(noise, terms, epochs)])
        spent = epsilon_spent(history, DELTA)
        assert renyi.lower_bound(history, DELTA) <= spent <= renyi.upper_bound(history, DELTA)
        unsampled = epsilon_spent([GaussianSteps(noise, 1.0, epochs)], DELTA)
        assert spent < unsampled, "never more than one step without sampling an epoch"


@pytest.mark.parametrize("noise", [1e-6, 0.05, 1e5])
def test_extreme_noise_never_fails_and_never_says_less(noise: float) -> None:
    spent = epsilon_spent([allocated(noise, 5, 3)], DELTA)
    assert spent > 1e6 if noise < 1e-3 else 0 <= spent < 1000


def test_histories_of_both_kinds_compose() -> None:
    both = [allocated(2.0, 5, 4), GaussianSteps(2.0, 0.2, 20), GaussianSteps(20.0, 1.0, 1)]
    alone = [epsilon_spent([part], DELTA) for part in both]
    assert len(merged(both)) == 3
    assert max(alone) < epsilon_spent(both, DELTA) < sum(alone)
    assert merged([both[0], both[0]]) == (allocated(2.0, 5, 8),)


def test_odds_filter_and_what_is_left_know_it() -> None:
    noise, poisson = allocated(2.0, 5, 4), GaussianSteps(2.0, 0.2, 20)
    bounds, others = membership_bounds([noise]), membership_bounds([poisson])
    assert all(ours < theirs for ours, theirs in zip(bounds.powers, others.powers, strict=True))
    assert bounds.gaussian_mu is not None
    budget = PrivacyBudget(8.0, DELTA)
    assert 0 < filter_epsilon([noise], budget) < filter_epsilon([poisson], budget) < 8.0
    assert studies_left((), (noise,), budget, adaptive=True) > 1


def test_shares_of_the_filter_add_up() -> None:
    budget, one = PrivacyBudget(8.0, DELTA), allocated(2.0, 5, 4)
    assert filter_epsilon([one, one], budget) == pytest.approx(2 * filter_epsilon([one], budget))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((1.0, 0.2, 10, 1), "at least 2"),
        ((1.0, 0.21, 10, 5), "sample_rate of 1 over them"),
        ((1.0, 0.2, 11, 5), "whole epochs"),
        ((1.0, 1 / 101, 101, 101), "allocated_over"),
        ((1.0, 0.2, 10, -5), "allocated_over"),
        ((1.0, 0.2, 10, True), "allocated_over"),
    ],
)
def test_steps_that_are_no_whole_epochs_are_refused(values: tuple[float, float, int, int], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        GaussianSteps(*values)


def test_steps_without_allocation_are_as_they_were() -> None:
    assert GaussianSteps(1.0, 0.1, 5) == GaussianSteps(1.0, 0.1, 5, 0)
    assert GaussianSteps(1.0, 0.1, 5).draws == 5
    assert allocated(1.0, 5, 3).draws == 3


@pytest.mark.parametrize(("noise", "terms"), [(0.5, 97), (1e5, 100), (1e6, 99)])
def test_what_anybody_may_submit_takes_no_more_memory_than_a_usual_plan(noise: float, terms: int) -> None:
    """A sum of two of unequal size was laid out to the logarithm of 2 beyond, in points that noise makes ever finer."""
    lognormal_sums.lognormal_sum.cache_clear()
    tracemalloc.start()
    try:
        found = lognormal_sums.lognormal_sum(noise, terms)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert len(found.masses) < 5000
