"""The accountant: from a history of noisy steps to its epsilon, and from a budget to the noise that keeps it.

Only these numbers may be told outside. Epsilons are never added up: steps are composed, in three ways, and the
smallest bound counts of those that can be trusted: by privacy loss distributions, by Opacus' PRV accountant, and by
Rényi divergences, which hold everywhere and state more epsilon for the same history. Where everybody takes part in
every step there is a formula for it, which counts alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from policies import validate
from policies.budget import renyi
from policies.budget.gaussian import gaussian_epsilon
from policies.budget.limits import PrivacyBudget
from policies.budget.pld import pld_epsilon
from policies.budget.prv import PRV_EPSILON_ERROR, is_quick, prv_epsilon
from policies.budget.steps import GaussianSteps, merged
from policies.errors import BudgetTooSmall
from policies.plans.kinds import Plan

__all__ = [
    "MAX_NOISE_MULTIPLIER",
    "MIN_NOISE_MULTIPLIER",
    "GaussianSteps",
    "calibrate_noise",
    "epsilon_spent",
    "filter_epsilon",
    "merged",
    "plan_spend",
    "round_spend",
]

MIN_NOISE_MULTIPLIER = 0.05
MAX_NOISE_MULTIPLIER = 100_000.0
RELATIVE_TOLERANCE = 1e-3
# Kept free, so that the last digits of another machine's arithmetic do not refuse a calibrated plan.
_ROUNDING_ALLOWANCE = 1e-6
# Of numbers that leave what an accountant can compute with: then nothing bounds a history, and nobody may spend it.
_FAILURES = (ArithmeticError, LookupError, ValueError)


def plan_spend(plan: Plan) -> tuple[GaussianSteps, ...]:
    """What all rounds of a plan spend at one hospital; empty for a plan without differential privacy."""
    if plan.privacy is None:
        return ()
    return (replace(GaussianSteps(plan.privacy.noise_multiplier, *plan.steps), steps=plan.total_steps),)


def round_spend(plan: Plan) -> GaussianSteps | None:
    """What one round of a plan spends at one hospital; None for a plan without differential privacy."""
    if plan.privacy is None:
        return None
    return GaussianSteps(plan.privacy.noise_multiplier, *plan.steps)


def epsilon_spent(history: Iterable[GaussianSteps], delta: float) -> float:
    """Returns the epsilon that a history of steps has spent at `delta`.

    Guarantees:
        The composition of the history is (result, delta)-differentially private, add or remove one privacy
        unit. The smallest of three upper bounds counts. One that fails, or lies below a lower bound, does not: the
        lower bound from Rényi divergences for both, and for the privacy loss distributions also the least that
        the PRV accountant leaves possible. The PRV accountant is not asked about more than eight kinds of steps where
        that would take seconds and the privacy loss distributions have a bound. The Rényi upper bound always counts.
        Where everybody takes part in every step, the exact epsilon of Gaussian noise counts alone
        (`gaussian_epsilon`). An empty history is 0, and so is one that `delta` covers alone. Where the arithmetic
        fails, no bound is known: infinity.

    Args:
        history: Steps in any order, of any number of studies.
        delta: At which epsilon is stated, in (0, 0.1].

    Raises:
        PlanError: A delta out of range.
    """
    delta = validate.number("delta", delta, low=0, high=0.1, open_low=True)
    parts = merged(history)
    try:
        return _epsilon_spent(parts, delta) if parts else 0.0
    except _FAILURES:
        return math.inf


@lru_cache(maxsize=4096)
def _epsilon_spent(history: tuple[GaussianSteps, ...], delta: float) -> float:
    exact = gaussian_epsilon(history, delta)
    if exact is not None:
        return exact
    bounds = [renyi.upper_bound(history, delta)]
    least = renyi.lower_bound(history, delta)
    by_pld = pld_epsilon(history, delta)
    needed = by_pld is None or by_pld < least or is_quick(history, delta)
    by_prv = prv_epsilon(history, delta) if needed else None
    if by_prv is not None and by_prv >= max(least, PRV_EPSILON_ERROR / 2):
        bounds.append(by_prv)
        least = max(least, by_prv - 2 * PRV_EPSILON_ERROR)
    if by_pld is not None and by_pld >= least:
        bounds.append(by_pld)
    return min(bounds)


def filter_epsilon(history: Iterable[GaussianSteps], budget: PrivacyBudget) -> float:
    """Returns what a history takes of `budget.epsilon` where its parts are chosen in the knowledge of earlier results.

    Unlike epsilons, these figures add up.

    Guarantees:
        Whoever chooses each part by everything that was released before, and stops before the result passes
        `budget.epsilon`, has got answers that together are (budget.epsilon, budget.delta)-differentially private,
        add or remove one privacy unit: a Rényi filter at one order, which depends on the budget alone (Feldman and
        Zrnic, "Individual Privacy Accounting via a Rényi Filter", NeurIPS 2021). An empty history is 0. Where the
        arithmetic fails, it is infinity.
    """
    parts = merged(history)
    try:
        share = renyi.share_of_budget(parts, budget.epsilon, budget.delta) if parts else 0.0
    except _FAILURES:
        return math.inf
    return math.inf if math.isnan(share) else budget.epsilon * share


def calibrate_noise(
    budget: PrivacyBudget,
    *,
    sample_rate: float,
    steps: int,
    allocated_over: int = 0,
    history: Sequence[GaussianSteps] = (),
) -> float:
    """Returns the smallest noise multiplier that keeps further training within `budget`.

    It is smallest to `RELATIVE_TOLERANCE`, rounded up to five digits, and never under `MIN_NOISE_MULTIPLIER`.

    Guarantees:
        Composing `history` and `steps` Gaussian steps with units so drawn, at the returned value, spends at most
        `budget.epsilon` at `budget.delta`, per privacy unit.

    Args:
        budget: What may be spent, per privacy unit.
        sample_rate: Probability that a unit joins a step, in (0, 1].
        steps: Optimiser steps over all rounds, at least 1.
        allocated_over: As of `GaussianSteps`.
        history: What was spent before, out of the same budget.

    Raises:
        BudgetTooSmall: No multiplier up to `MAX_NOISE_MULTIPLIER` fits.
        PlanError: A sample rate or a number of steps out of range.
    """
    target = budget.epsilon * (1 - _ROUNDING_ALLOWANCE)
    before = merged(history)

    def composed(noise: float) -> tuple[GaussianSteps, ...]:
        return (*before, GaussianSteps(noise, sample_rate, steps, allocated_over))

    def excess(noise: float) -> float:
        """Log of what would be spent over what may be: at most 0 where the noise is enough."""
        return _log_ratio(epsilon_spent(composed(noise), budget.delta), target)

    def cheap_excess(noise: float) -> float:
        return _log_ratio(renyi.upper_bound(composed(noise), budget.delta), target)

    high = _enough_by_renyi(cheap_excess)
    high_excess = excess(high)
    if high_excess > 0:
        spent = math.ceil(100 * epsilon_spent(before, budget.delta)) / 100  # a cost, never told smaller than it is
        raise BudgetTooSmall(
            f"Budget too small: {steps} steps at sample rate {sample_rate:g} do not fit into epsilon "
            f"{budget.epsilon:g} at delta {validate.written(budget.delta)}, of which {spent:.2f} is spent, with any "
            f"noise multiplier up to {MAX_NOISE_MULTIPLIER:g}. Lower the steps or the sample rate, or ask for more."
        )
    return _least(excess, high, high_excess)


def _log_ratio(epsilon: float, target: float) -> float:
    return math.log(max(epsilon, 1e-300) / target) if math.isfinite(epsilon) else math.inf


def _enough_by_renyi(excess: Callable[[float], float]) -> float:
    """A noise multiplier that is enough by the cheap bound, to a hundredth; the maximum where none is."""
    low, high = MIN_NOISE_MULTIPLIER, MAX_NOISE_MULTIPLIER
    if excess(high) > 0:
        return high
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return _rounded_up(high)


def _least(excess: Callable[[float], float], high: float, high_excess: float) -> float:
    """The least enough noise multiplier, given one, `high`, that is enough.

    Narrows between one that is too low and one that is enough, along the line through both (in logarithms),
    aimed a little above the root, so that one more try below it usually ends.
    What is returned was itself tried.
    """
    step = 0.93
    while True:
        if high <= MIN_NOISE_MULTIPLIER:
            return high
        low = max(MIN_NOISE_MULTIPLIER, _rounded_up(high * step))
        low_excess = excess(low)
        if low_excess > 0:
            break
        high, high_excess, step = low, low_excess, step**2
    fell_short = False
    while high / low > 1 + RELATIVE_TOLERANCE:
        # After a try that fell short, halve: where epsilon jumps or stands still, lines alone would creep.
        candidate = _candidate(low, math.inf if fell_short else low_excess, high, high_excess)
        value = excess(candidate)
        fell_short = value > 0 and not fell_short
        if value > 0:
            low, low_excess = candidate, value
        else:
            high, high_excess = candidate, value
    return high


def _candidate(low: float, low_excess: float, high: float, high_excess: float) -> float:
    """Where to look next, strictly between `low` and `high`."""
    middle = math.sqrt(low * high)
    nudge = 1 + RELATIVE_TOLERANCE / 3
    aim = middle
    if math.isfinite(low_excess) and low_excess > high_excess:
        share = low_excess / (low_excess - high_excess)
        aim = low * (high / low) ** share * nudge
    if aim >= high / nudge:
        aim = high / (1 + RELATIVE_TOLERANCE)
    candidate = _rounded_up(aim)
    return candidate if low < candidate < high else _rounded_up(middle)


def _rounded_up(noise: float) -> float:
    """The next number of five significant digits, at or above."""
    unit = 10.0 ** (math.floor(math.log10(noise)) - 4)
    return float(f"{math.ceil(noise / unit - 1e-9) * unit:.5g}")
