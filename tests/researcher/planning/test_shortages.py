"""What a plan costs beside what is left of hospitals' budgets, said before anybody is asked."""

from __future__ import annotations

from typing import Any

import pytest
from support.notebooks import dataset, federation

from policies.answers import rounded
from policies.answers.hospital import BudgetAnswer
from policies.errors import DatasiteUnreachable
from researcher.planning.shortages import shortages

SMALL: dict[str, Any] = {"model": "linear", "num_rounds": 2, "sample_rate": 0.2, "noise_multiplier": 2.0}


def leave(at: Any, name: str, epsilon_left: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        at.hospitals[name].routes,
        "budget",
        lambda dataset: BudgetAnswer(epsilon_total=8.0, epsilon_left=epsilon_left, delta=1e-5),
    )


def test_a_hospital_with_less_left_than_the_study_costs_is_named_with_both_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = federation(dataset("north"), dataset("south"))
    cost = at.plan(**SMALL).epsilon
    leave(at, "north", cost * 0.9, monkeypatch)
    leave(at, "south", cost * 1.1, monkeypatch)
    draft = at.plan(**SMALL)
    assert set(draft.short) == {"north"}
    told = draft.short["north"]
    assert (
        f"costs epsilon {rounded.cost(cost)} at delta 1e-5" in told
        and f"{rounded.left(cost * 0.9)} of 8 is left" in told
    )
    assert "less than their sum, so it may still fit" in told
    assert f"north: {told}" in repr(draft) and "left there" in str(draft._repr_html_())


def test_a_study_is_told_not_to_fit_only_where_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    at = federation(dataset("north"), dataset("south"))
    leave(at, "north", 0.0, monkeypatch)
    leave(at, "south", 7.0, monkeypatch)
    dear = at.plan(**{**SMALL, "noise_multiplier": 0.5})
    assert dear.epsilon > 8.0
    told = [at.plan(**SMALL).short["north"], *dear.short.values()]
    assert len(told) == 3
    assert all("It does not fit: lower epsilon" in one and "may still" not in one for one in told)


def test_where_nobody_answers_or_nothing_is_private_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    at = federation()
    leave(at, "north", 0.0, monkeypatch)
    at.hospitals["south"].routes.reachable = False
    assert set(at.plan(**SMALL).short) == {"north"}
    assert shortages(at, at.plan(**{**SMALL, "noise_multiplier": None, "epsilon": None}).plan) == {}
    with pytest.raises(DatasiteUnreachable):
        at.hospitals["south"].routes.budget("pictures")
