"""What steps cost: against closed forms, against Opacus itself, and the properties that every budget rests on."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import policies
from policies.answers import rounded
from policies.budget import accountant, opacus_files, pld, privacy_loss, prv, renyi
from policies.budget.accountant import (
    MIN_NOISE_MULTIPLIER,
    GaussianSteps,
    calibrate_noise,
    epsilon_spent,
    merged,
    plan_spend,
    round_spend,
)
from policies.budget.limits import PrivacyBudget
from policies.errors import BudgetTooSmall, PlanError
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

DELTA = 1e-5
# How far the PRV accountant may lie from the truth: twice its own allowance in epsilon.
PRV_MARGIN = 2 * prv.PRV_EPSILON_ERROR

# Each PRV evaluation takes a tenth of a second: few examples, and the same ones each time.
few_examples = settings(max_examples=5, deadline=None, derandomize=True)
noises = st.sampled_from([1.5, 2.0, 3.0, 5.0, 8.0])
rates = st.sampled_from([0.02, 0.05, 0.1, 0.2, 1.0])
counts = st.integers(1, 100)
one_part = st.builds(GaussianSteps, noises, rates, counts)
histories = st.lists(one_part, min_size=1, max_size=3)


# --- oracles: exact values, by closed forms that share nothing with the accountants ---------------------------


def normal_cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def smallest_epsilon(delta_at: object, delta: float) -> float:
    """Where a falling delta(epsilon) reaches `delta`."""
    low, high = 0.0, 500.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_at(middle) > delta else (low, middle)  # type: ignore[operator]
    return high


def exact_gaussian_epsilon(history: Sequence[GaussianSteps], delta: float) -> float:
    """Everyone in each step: one Gaussian mechanism (Balle and Wang, ICML 2018, theorem 8)."""
    shift = math.sqrt(sum(part.steps / part.noise_multiplier**2 for part in history))

    def delta_at(epsilon: float) -> float:
        gone = normal_cdf(-epsilon / shift - shift / 2)
        return normal_cdf(shift / 2 - epsilon / shift) - (math.exp(epsilon + math.log(gone)) if gone else 0.0)

    return smallest_epsilon(delta_at, delta)


def exact_one_step_epsilon(noise: float, rate: float, delta: float) -> float:
    """One sampled step, a unit removed: the loss passes epsilon beyond one point, so delta is two tails."""

    def delta_at(epsilon: float) -> float:
        point = 0.5 + noise**2 * math.log((math.exp(epsilon) - 1 + rate) / rate)
        absent, present = normal_cdf(-point / noise), normal_cdf((1 - point) / noise)
        return (1 - rate) * absent + rate * present - math.exp(epsilon) * absent

    return smallest_epsilon(delta_at, delta)


@pytest.mark.parametrize(("noise", "count"), [(1.0, 1), (5.0, 10), (20.0, 100), (20.0, 2000), (60.0, 4000)])
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-7])
def test_full_batches_cost_what_the_gaussian_mechanism_costs(noise: float, count: int, delta: float) -> None:
    history = [GaussianSteps(noise, 1.0, count)]
    exact = exact_gaussian_epsilon(history, delta)
    assert exact <= epsilon_spent(history, delta) <= exact + PRV_MARGIN


def test_different_full_batches_add_up_in_their_signal_and_not_in_epsilon() -> None:
    history = [GaussianSteps(10.0, 1.0, 20), GaussianSteps(25.0, 1.0, 200), GaussianSteps(4.0, 1.0, 1)]
    exact = exact_gaussian_epsilon(history, DELTA)
    assert exact <= epsilon_spent(history, DELTA) <= exact + PRV_MARGIN
    assert epsilon_spent(history, DELTA) < 0.7 * sum(epsilon_spent([part], DELTA) for part in history)


@pytest.mark.parametrize(("noise", "rate"), [(0.5, 0.1), (1.0, 0.01), (1.0, 0.5), (2.0, 0.1), (5.0, 0.9)])
def test_one_sampled_step_costs_what_its_two_tails_say(noise: float, rate: float) -> None:
    exact = exact_one_step_epsilon(noise, rate, DELTA)
    assert exact <= epsilon_spent([GaussianSteps(noise, rate, 1)], DELTA) <= exact + PRV_MARGIN


def test_opacus_accountants_bracket_the_result_and_the_gaussian_approximation_is_not_used() -> None:
    """Sigma 1, q .05, 400 steps: 7.42 by RDP, 6.71 by PRV, and 6.01 by GDP, which promises too much."""
    from opacus.accountants import GaussianAccountant, PRVAccountant, RDPAccountant

    by_prv, by_rdp = PRVAccountant(), RDPAccountant()
    with pytest.warns(UserWarning, match="GDP accounting"):
        by_gdp = GaussianAccountant()
    for opacus in (by_prv, by_rdp, by_gdp):
        opacus.history = [(1.0, 0.05, 400)]
    spent = epsilon_spent([GaussianSteps(1.0, 0.05, 400)], DELTA)
    assert by_prv.get_epsilon(DELTA) - PRV_MARGIN < spent < by_prv.get_epsilon(DELTA)
    assert by_gdp.get_epsilon(DELTA) + 0.5 < spent < by_rdp.get_epsilon(DELTA) - 0.5


# --- history ---------------------------------------------------------------------------------------------------


def test_nothing_spent_is_zero() -> None:
    assert epsilon_spent([], DELTA) == 0.0


def test_the_order_and_the_cut_of_a_history_do_not_matter() -> None:
    first, second = GaussianSteps(1.0, 0.1, 30), GaussianSteps(2.0, 0.2, 40)
    cut = [GaussianSteps(2.0, 0.2, 15), first, GaussianSteps(2.0, 0.2, 25)]
    assert merged(cut) == merged([second, first]) == (first, second)
    assert epsilon_spent(cut, DELTA) == epsilon_spent([first, second], DELTA)


def test_the_same_history_is_computed_once() -> None:
    history = [GaussianSteps(3.21, 0.1, 5), GaussianSteps(4.32, 0.1, 5)]
    epsilon_spent(history, DELTA)
    before = accountant._epsilon_spent.cache_info()
    epsilon_spent(list(reversed(history)), DELTA)
    after = accountant._epsilon_spent.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)


@pytest.mark.parametrize(
    ("noise", "rate", "count"),
    [
        *((noise, 0.1, 1) for noise in (0.0, -1.0, math.nan, math.inf, "1")),
        *((1.0, rate, 1) for rate in (0.0, 1.01, math.nan)),
        *((1.0, 0.1, count) for count in (0, 1.0, True)),
    ],
)
def test_steps_out_of_range_are_refused(noise: float, rate: float, count: int) -> None:
    with pytest.raises(PlanError):
        GaussianSteps(noise, rate, count)


@pytest.mark.parametrize("delta", [0.0, -1e-5, 0.2, math.nan, "1e-5"])
def test_a_delta_out_of_range_is_refused(delta: float) -> None:
    with pytest.raises(PlanError):
        epsilon_spent([GaussianSteps(1.0, 0.1, 1)], delta)


def test_a_plan_spends_its_rounds_together() -> None:
    plan = TrainingPlan(
        "study",
        "data",
        ModelSpec("linear", (8, 8, 1), 2),
        rounds=5,
        steps_per_round=7,
        sample_rate=0.25,
        learning_rate=1.0,
        privacy=PrivacySpec(2.0, 1.0, DELTA),
    )
    assert plan_spend(plan) == (GaussianSteps(2.0, 0.25, 35),)
    assert round_spend(plan) == GaussianSteps(2.0, 0.25, 7)
    assert merged([round_spend(plan)] * 5) == plan_spend(plan)


def test_a_plan_without_privacy_has_no_spend() -> None:
    plan = TrainingPlan("study", "data", ModelSpec("linear", (8, 8, 1), 2), 5, 7, 0.25, 1.0)
    assert plan_spend(plan) == ()
    assert round_spend(plan) is None


# --- both accountants ------------------------------------------------------------------------------------------


@few_examples
@given(histories)
def test_the_accountants_agree_within_their_margins(history: list[GaussianSteps]) -> None:
    """PRV is at most RDP plus its own allowance, PLD at most PRV, and none is under what the divergences prove."""
    parts = merged(history)
    upper, lower = renyi.upper_bound(parts, DELTA), renyi.lower_bound(parts, DELTA)
    by_prv, by_pld = prv.prv_epsilon(parts, DELTA), pld.pld_epsilon(parts, DELTA)
    assert by_prv is not None
    assert by_pld is not None
    assert lower <= by_prv <= upper + prv.PRV_EPSILON_ERROR
    assert by_prv - PRV_MARGIN < by_pld < by_prv + 1e-4 * by_prv
    assert epsilon_spent(history, DELTA) == min(by_prv, by_pld, upper)


@pytest.mark.parametrize("noise", [0.5, 2.0, 30.0])
def test_the_divergences_bracket_the_exact_gaussian(noise: float) -> None:
    history = [GaussianSteps(noise, 1.0, 9)]
    exact = exact_gaussian_epsilon(history, DELTA)
    assert 0.2 * exact < renyi.lower_bound(history, DELTA) <= exact
    assert exact <= renyi.upper_bound(history, DELTA) <= 1.15 * exact


@pytest.mark.parametrize(("noise", "rate"), [(0.5, 0.01), (1.0, 0.1), (3.0, 0.5)])
def test_the_rdp_bound_is_opacus_own_on_fewer_orders(noise: float, rate: float) -> None:
    from opacus.accountants import RDPAccountant

    opacus = RDPAccountant()
    opacus.history = [(noise, rate, 50)]
    own = renyi.upper_bound([GaussianSteps(noise, rate, 50)], DELTA)
    assert own == pytest.approx(opacus.get_epsilon(DELTA), rel=2e-3)


@pytest.mark.parametrize(
    "broken",
    [math.nan, math.inf, -1.0, 0.0, 0.5, RuntimeError("mean"), ValueError("mean"), MemoryError(), IndexError()],
    ids=repr,
)
def test_where_the_prv_accountant_fails_the_rdp_bound_counts(
    broken: float | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """True is about 4.5, proven is above 1.5: whatever PRV says below that, or fails to say, counts for nothing."""

    def get_epsilon(self: object, *_: object, **__: object) -> float:
        if isinstance(broken, Exception):
            raise broken
        return broken

    monkeypatch.setattr(opacus_files.prv().PRVAccountant, "get_epsilon", get_epsilon)
    monkeypatch.setattr(accountant, "pld_epsilon", lambda history, delta: None)
    accountant._epsilon_spent.cache_clear()
    history = [GaussianSteps(5.0, 0.5, 100)]
    spent = epsilon_spent(history, DELTA)
    accountant._epsilon_spent.cache_clear()
    assert spent == renyi.upper_bound(history, DELTA)
    assert 4.5 < spent < 5.0


def test_a_loss_distribution_below_what_the_others_leave_possible_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """True is about 4.54: the divergences prove 1.5 and more, the PRV accountant 4.52 and more."""
    history = merged([GaussianSteps(5.0, 0.5, 100)])
    by_prv = prv.prv_epsilon(history, DELTA)
    assert by_prv is not None
    known = {(history, DELTA): by_prv}
    monkeypatch.setattr(accountant, "prv_epsilon", lambda history, delta: known[history, delta])  # computed once
    for broken in (None, math.nan, -1.0, 0.0, 0.5, 4.0):
        monkeypatch.setattr(accountant, "pld_epsilon", lambda history, delta, broken=broken: broken)
        accountant._epsilon_spent.cache_clear()
        spent = epsilon_spent(history, DELTA)
        accountant._epsilon_spent.cache_clear()
        assert spent == by_prv, broken


def test_where_rounding_could_hide_spending_the_prv_accountant_is_not_asked() -> None:
    """At delta 1e-11 on three million points, PRV's upper bound is 16.374 and the exact value 16.408."""
    history = [GaussianSteps(80.0, 1.0, 30_000)]
    exact = exact_gaussian_epsilon(history, 1e-11)
    assert exact <= epsilon_spent(history, 1e-11) <= 1.1 * exact
    assert prv.prv_epsilon(history, 1e-11) is None


def test_a_plan_too_large_for_the_prv_grid_still_has_an_epsilon() -> None:
    history = [GaussianSteps(0.5, 1.0, 1_000_000)]
    assert prv.prv_epsilon(history, DELTA) is None
    mean_loss = 1_000_000 / 0.5**2 / 2
    assert mean_loss < epsilon_spent(history, DELTA) < 1.2 * mean_loss


def test_hardly_any_noise_costs_more_than_any_budget() -> None:
    assert epsilon_spent([GaussianSteps(1e-6, 0.1, 1)], DELTA) > 1e6


def test_no_third_party_warning_reaches_the_log() -> None:
    """Tiny spends make Opacus warn about its orders; the warning would name nothing that the reader can change."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0.0 < epsilon_spent([GaussianSteps(90.0, 0.01, 3)], DELTA) < 0.02


# --- properties ------------------------------------------------------------------------------------------------


@few_examples
@given(histories, one_part)
def test_more_steps_never_cost_less(history: list[GaussianSteps], more: GaussianSteps) -> None:
    before = epsilon_spent(history, DELTA)
    assert epsilon_spent([*history, more], DELTA) >= before - 1e-3 - privacy_loss.GRID_SHARE * before


@few_examples
@given(one_part, st.floats(1.05, 2.0))
def test_more_noise_a_lower_rate_and_a_larger_delta_cost_less(part: GaussianSteps, factor: float) -> None:
    base = epsilon_spent([part], DELTA)
    noisier = GaussianSteps(part.noise_multiplier * factor, part.sample_rate, part.steps)
    rarer = GaussianSteps(part.noise_multiplier, part.sample_rate / factor, part.steps)
    assert epsilon_spent([noisier], DELTA) <= base
    assert epsilon_spent([rarer], DELTA) <= base
    assert epsilon_spent([part], DELTA * factor) <= base


@few_examples
@given(histories)
def test_composing_costs_at_least_the_dearest_part_and_at_most_the_sum_of_all(
    history: list[GaussianSteps],
) -> None:
    """At a delta divided among the parts, as basic composition asks; PRV's allowance once for each part."""
    parts = merged(history)
    spent = epsilon_spent(parts, DELTA)
    share = DELTA / len(parts)
    assert spent >= max(epsilon_spent([part], DELTA) for part in parts) - 1e-3
    assert spent <= sum(epsilon_spent([part], share) for part in parts) + prv.PRV_EPSILON_ERROR


# --- calibration -----------------------------------------------------------------------------------------------


@settings(few_examples, max_examples=4)
@given(st.floats(0.3, 8.0), rates, counts, st.sampled_from([[], [GaussianSteps(20.0, 0.1, 90)]]))
def test_calibrated_noise_spends_the_budget_and_no_more(
    epsilon: float, rate: float, count: int, history: list[GaussianSteps]
) -> None:
    before = epsilon_spent(history, DELTA)
    budget = PrivacyBudget(before + epsilon, DELTA)
    noise = calibrate_noise(budget, sample_rate=rate, steps=count, history=history)
    assert epsilon_spent([*history, GaussianSteps(noise, rate, count)], DELTA) <= budget.epsilon
    less = GaussianSteps(noise / 1.0015, rate, count)
    assert noise == MIN_NOISE_MULTIPLIER or epsilon_spent([*history, less], DELTA) > budget.epsilon * (1 - 1e-6)


def test_calibrated_noise_for_full_batches_is_the_gaussian_mechanisms() -> None:
    noise = calibrate_noise(PrivacyBudget(3.0, DELTA), sample_rate=1.0, steps=100)
    assert exact_gaussian_epsilon([GaussianSteps(noise, 1.0, 100)], DELTA) <= 3.0
    assert exact_gaussian_epsilon([GaussianSteps(noise * 0.99, 1.0, 100)], DELTA) > 3.0


def test_more_budget_fewer_steps_and_a_lower_rate_need_less_noise() -> None:
    def noise(epsilon: float, rate: float, count: int) -> float:
        return calibrate_noise(PrivacyBudget(epsilon, DELTA), sample_rate=rate, steps=count)

    assert noise(4.0, 1.0, 20) < noise(2.0, 1.0, 20)
    assert noise(2.0, 1.0, 10) < noise(2.0, 1.0, 20)
    assert noise(2.0, 0.1, 20) < noise(2.0, 1.0, 20)


@pytest.mark.parametrize(
    ("budget", "rate", "count", "most"),
    [
        (PrivacyBudget(3.0, DELTA), 0.2, 200, 8),
        (PrivacyBudget(0.001, 0.01), 1.0, 1, 30),  # where delta begins to cover the step alone, epsilon falls to 0
    ],
)
def test_calibration_asks_the_slow_accountant_a_handful_of_times(
    budget: PrivacyBudget, rate: float, count: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def counting(history: Sequence[GaussianSteps], delta: float) -> float:
        asked.append(history)
        return epsilon_spent(history, delta)

    monkeypatch.setattr(accountant, "epsilon_spent", counting)
    calibrate_noise(budget, sample_rate=rate, steps=count)
    assert 0 < len(asked) <= most


def test_calibrated_noise_has_five_digits() -> None:
    noise = calibrate_noise(PrivacyBudget(3.0, DELTA), sample_rate=1.0, steps=100)
    assert float(f"{noise:.5g}") == noise


def test_a_budget_that_no_noise_fits_is_too_small() -> None:
    with pytest.raises(BudgetTooSmall, match=r"1000000 steps at sample rate 1 do not fit into epsilon 0\.001"):
        calibrate_noise(PrivacyBudget(0.001, DELTA), sample_rate=1.0, steps=1_000_000)


def test_a_budget_spent_before_is_too_small() -> None:
    history = [GaussianSteps(1.0, 0.5, 20)]
    spent = epsilon_spent(history, DELTA)
    with pytest.raises(BudgetTooSmall, match=f"of which {rounded.cost(spent)} is spent"):
        calibrate_noise(PrivacyBudget(spent - 0.1, DELTA), sample_rate=0.2, steps=200, history=history)


def test_a_boundless_budget_still_gets_the_least_noise() -> None:
    assert calibrate_noise(PrivacyBudget(1e6, DELTA), sample_rate=0.1, steps=1) == MIN_NOISE_MULTIPLIER


# --- the module ------------------------------------------------------------------------------------------------


def test_importing_the_privacy_core_loads_neither_torch_nor_opacus_nor_syft() -> None:
    root = str(Path(policies.__file__).parents[1])
    heavy = "import sys; print(sorted({'torch', 'opacus', 'syft', 'scipy', 'dp_accounting'} & set(sys.modules)))"
    core = "policies.budget.accountant, policies.ledger.ledger, policies.contracts.inputs, policies.contracts.outputs"
    program = f"import {core}; {heavy}"
    ran = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_of_many_kinds_of_steps_the_prv_accountant_is_spared_where_the_bound_is_the_same_without_it() -> None:
    history = merged(GaussianSteps(10.0 + kind / 7, 0.05 + kind / 500, 50) for kind in range(40))
    assert not prv.is_quick(history, 1e-5)
    by_pld, by_prv = pld.pld_epsilon(history, 1e-5), prv.prv_epsilon(history, 1e-5)
    assert by_pld is not None and by_prv is not None
    assert epsilon_spent(history, 1e-5) == by_pld == min(by_pld, by_prv, renyi.upper_bound(history, 1e-5))
    assert by_pld >= max(renyi.lower_bound(history, 1e-5), by_prv - 2 * prv.PRV_EPSILON_ERROR)


def test_of_many_kinds_of_steps_the_prv_accountant_is_asked_where_nothing_else_is_as_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history = merged(GaussianSteps(10.0 + kind / 7, 0.05 + kind / 500, 50) for kind in range(10))
    monkeypatch.setattr(prv, "MOST_QUICK_POINTS", 0)
    by_prv = prv.prv_epsilon(history, 1e-5)
    for said in (None, 0.001):  # none, and one that is below what any bound can be
        monkeypatch.setattr(accountant, "pld_epsilon", lambda *_, said=said: said)
        accountant._epsilon_spent.cache_clear()
        assert epsilon_spent(history, 1e-5) == by_prv
    accountant._epsilon_spent.cache_clear()
