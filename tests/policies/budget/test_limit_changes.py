"""Which changes of a dataset's limits allow more, limit by limit, each in both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.answers.limit_values import told_limit
from policies.budget.limit_changes import by_name, changed, compare
from policies.budget.limits import DatasetLimits
from policies.errors import ConfigError

LIMITS = DatasetLimits(approvals_needed=2)
# What allows more of each limit, and what allows less.
MORE_AND_LESS: dict[str, tuple[Any, Any]] = {
    "epsilon": (40, 2),
    "delta": (1e-4, 1e-6),
    "max_study_epsilon": (9, 7),
    "max_researcher_epsilon": (9, 7),
    "min_noise_multiplier": (0.4, 0.6),
    "max_grad_norms": ([1e-3, 101], [1e-2, 100]),
    "learning_rates": ([1e-7, 100], [1e-6, 10]),
    "sample_rates": ([1e-5, 0.5], [1e-3, 0.9]),
    "max_weight_decay": (2, 0.5),
    "max_proximal_mu": (11, 9),
    "max_rounds": (501, 499),
    "max_steps": (20_001, 19_999),
    "min_public_size": (49, 51),
    "min_release_size": (99, 101),
    "allow_non_private": (True, None),
    "approvals_needed": (1, 3),
    "adaptive_filter": (None, True),
    "model_sources": (None, []),
}


def test_every_limit_is_told_apart() -> None:
    assert set(by_name(LIMITS)) == set(MORE_AND_LESS)


@pytest.mark.parametrize("name", MORE_AND_LESS)
def test_a_change_says_whether_it_allows_more(name: str) -> None:
    for value, allows_more in zip(MORE_AND_LESS[name], (True, False), strict=True):
        if value is None:
            continue
        (change,) = compare(LIMITS, changed(LIMITS, {name: value}))
        assert (change.name, change.allows_more) == (name, allows_more)
        both = [told_limit(json.loads(one)) for one in (change.before, change.after)]
        assert all(one in change.means for one in both) and change.means.endswith(".")
        back = compare(changed(LIMITS, {name: value}), LIMITS)
        assert [one.allows_more for one in back] == [not allows_more] or "[" in change.before


def test_several_changes_are_told_one_by_one_and_none_of_what_stays() -> None:
    changes = compare(LIMITS, changed(LIMITS, {"epsilon": 40, "max_rounds": 10, "delta": LIMITS.total.delta}))
    assert {one.name: one.allows_more for one in changes} == {"epsilon": True, "max_rounds": False}


@pytest.mark.parametrize(
    "new", [{"total": {"epsilon": 1, "delta": 1e-5}}, {"epsilons": 1}, {"epsilon": "40"}, {"x\n": 1}]
)
def test_what_is_no_limit_or_no_value_is_refused(new: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        changed(LIMITS, new)
