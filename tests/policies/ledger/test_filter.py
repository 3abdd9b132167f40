"""The filter for studies that are chosen by earlier results: one order, fixed by the budget, and shares that add up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.ledgers import LIMITS, reserve

from policies.budget.accountant import epsilon_spent, filter_epsilon
from policies.budget.limits import PrivacyBudget
from policies.budget.steps import GaussianSteps
from policies.errors import BudgetExceeded
from policies.ledger.chain import Chain
from policies.ledger.ledger import Ledger

BUDGET = PrivacyBudget(8.0, 1e-5)
FIRST, SECOND = GaussianSteps(4.0, 0.1, 300), GaussianSteps(3.0, 0.05, 500)


def test_nothing_takes_nothing_and_parts_add_up() -> None:
    assert filter_epsilon([], BUDGET) == 0.0
    together = filter_epsilon([FIRST, SECOND], BUDGET)
    assert together == pytest.approx(filter_epsilon([FIRST], BUDGET) + filter_epsilon([SECOND], BUDGET))


def test_what_the_filter_lets_through_keeps_the_budget_by_every_accountant() -> None:
    """Full batches, where one Gaussian mechanism is exact: the filter is full before the accountant's total is."""
    for epsilon in (1.0, 3.0, 8.0):
        budget = PrivacyBudget(epsilon, 1e-5)
        fits = [
            count for count in range(1, 400) if filter_epsilon([GaussianSteps(10.0, 1.0, count)], budget) <= epsilon
        ]
        history = [GaussianSteps(10.0, 1.0, max(fits, default=0) or 1)]
        assert fits
        assert 0.8 * epsilon < epsilon_spent(history, 1e-5) <= epsilon


@pytest.mark.parametrize(("on", "refused"), [(False, False), (True, True)])
def test_a_ledger_asks_the_filter_only_where_the_hospital_does(on: bool, refused: bool, tmp_path: Path) -> None:
    Chain.begin(tmp_path / "ledger.sqlite", None)
    ledger = Ledger(tmp_path / "ledger.sqlite", lambda history, delta: 1.0, lambda history, budget: 9.0)
    limits = replace(LIMITS, adaptive_filter=on)
    if refused:
        with pytest.raises(BudgetExceeded, match="by the adaptive filter"):
            reserve(ledger, "one", 1, limits=limits)
        assert ledger.reservations() == {}
    else:
        reserve(ledger, "one", 1, limits=limits)
        assert list(ledger.reservations()) == ["one"]
