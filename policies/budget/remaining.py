"""Counts studies of the same cost that fit into what is left of a budget: by composition, never by division."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from policies.budget import renyi
from policies.budget.accountant import epsilon_spent, filter_epsilon
from policies.budget.limits import PrivacyBudget
from policies.budget.steps import GaussianSteps, merged

# As many are told apart; more are "at least so many".
MOST_STUDIES = 20


def studies_left(
    history: Iterable[GaussianSteps], spend: Iterable[GaussianSteps], budget: PrivacyBudget, *, adaptive: bool
) -> int:
    """Returns how many studies that spend `spend` each fit into `budget` after `history`; at most MOST_STUDIES.

    Guarantees:
        As many, one after the other, compose with the history to at most `budget`; where the result is less than
        MOST_STUDIES, one more does not.

    Args:
        history: What is charged already.
        spend: What one such study spends.
        budget: Of the dataset.
        adaptive: Whether the budget must hold by the filter for studies chosen by earlier results, too.
    """
    before, one = merged(history), merged(spend)
    if not one:
        return 0

    def composed(count: int) -> tuple[GaussianSteps, ...]:
        more = (replace(part, steps=part.steps * count) for part in one if count)
        return merged((*before, *more))

    def fits_surely(count: int) -> bool:
        return renyi.upper_bound(composed(count), budget.delta) <= budget.epsilon

    def fits(count: int) -> bool:
        return epsilon_spent(composed(count), budget.delta) <= budget.epsilon

    def may_fit(count: int) -> bool:
        by_filter = not adaptive or filter_epsilon(composed(count), budget) <= budget.epsilon
        return by_filter and renyi.lower_bound(composed(count), budget.delta) <= budget.epsilon

    high = _most(may_fit, 0, MOST_STUDIES)
    return _most(fits, _most(fits_surely, 0, high), high)


def _most(fits: Callable[[int], bool], low: int, high: int) -> int:
    """The largest count above `low`, up to `high`, that fits, given that fewer of what fits fit too; `low` for none."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
