"""How many studies remain: by composition, checked one by one, and never one too many."""

from __future__ import annotations

import pytest

from policies.budget.accountant import epsilon_spent, filter_epsilon
from policies.budget.limits import PrivacyBudget
from policies.budget.remaining import MOST_STUDIES, studies_left
from policies.budget.steps import GaussianSteps

BUDGET = PrivacyBudget(8.0, 1e-5)
STUDY = (GaussianSteps(4.0, 1.0, 8),)


def times(count: int) -> tuple[GaussianSteps, ...]:
    return tuple(GaussianSteps(4.0, 1.0, 8) for _ in range(count))


@pytest.mark.parametrize("before", [0, 1, 3])
def test_so_many_fit_and_one_more_does_not(before: int) -> None:
    left = studies_left(times(before), STUDY, BUDGET, adaptive=False)
    assert 0 < left < MOST_STUDIES
    assert epsilon_spent(times(before + left), BUDGET.delta) <= BUDGET.epsilon
    assert epsilon_spent(times(before + left + 1), BUDGET.delta) > BUDGET.epsilon


def test_composition_leaves_more_than_a_division_of_epsilons() -> None:
    one = epsilon_spent(STUDY, BUDGET.delta)
    assert studies_left((), STUDY, BUDGET, adaptive=False) > BUDGET.epsilon // one


def test_nothing_left_is_zero_and_much_left_is_told_up_to_a_bound() -> None:
    assert studies_left(times(40), STUDY, BUDGET, adaptive=False) == 0
    assert studies_left((), (GaussianSteps(500.0, 1.0, 1),), BUDGET, adaptive=False) == MOST_STUDIES
    assert studies_left((), (), BUDGET, adaptive=False) == 0


def test_the_filter_for_studies_chosen_by_results_counts_too_where_the_hospital_asks_for_it() -> None:
    left = studies_left((), STUDY, BUDGET, adaptive=True)
    assert left <= studies_left((), STUDY, BUDGET, adaptive=False)
    assert filter_epsilon(times(left), BUDGET) <= BUDGET.epsilon
