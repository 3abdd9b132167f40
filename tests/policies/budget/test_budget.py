"""What a hospital allows: its limits refuse what is outside them, say how far, and read back exactly."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from policies.budget.limits import DatasetLimits, PrivacyBudget
from policies.errors import ConfigError, LimitExceeded, PlanError
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

LIMITS = DatasetLimits(min_noise_multiplier=1.0, max_rounds=10, max_steps=50)
PLAN = TrainingPlan(
    study="blood-cells",
    dataset="smears",
    model=ModelSpec("small_cnn", (28, 28, 3), 4),
    rounds=10,
    steps_per_round=5,
    sample_rate=0.2,
    learning_rate=0.5,
    privacy=PrivacySpec(1.0, 1.0, 1e-5, "patient"),
)


def check(limits: DatasetLimits, plan: TrainingPlan) -> None:
    limits.check(plan, unit="patient", public_size=1000)


def test_a_plan_at_every_limit_passes() -> None:
    check(LIMITS, PLAN)


@pytest.mark.parametrize(
    ("limit", "inside", "beyond"),
    [
        ("max_grad_norms", (1.0, 1.0), ((1.01, 2.0), (0.5, 0.99))),
        ("learning_rates", (0.5, 0.5), ((0.51, 1.0), (0.1, 0.49))),
        ("sample_rates", (0.2, 0.2), ((0.21, 1.0), (0.1, 0.19))),
    ],
)
def test_a_value_at_an_end_of_its_limits_passes_and_one_beyond_is_refused(
    limit: str, inside: tuple[float, float], beyond: tuple[tuple[float, float], ...]
) -> None:
    check(replace(LIMITS, **{limit: inside}), PLAN)
    for allowed in beyond:
        with pytest.raises(LimitExceeded, match=limit[:-1]):
            check(replace(LIMITS, **{limit: allowed}), PLAN)


def with_privacy(**changes: Any) -> TrainingPlan:
    assert PLAN.privacy is not None
    return replace(PLAN, privacy=replace(PLAN.privacy, **changes))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (replace(PLAN, rounds=11, steps_per_round=1), "at most 10 rounds, the plan has 11"),
        (replace(PLAN, rounds=9, steps_per_round=6), r"at most 50 steps .*\b54\b.* Lower"),
        (with_privacy(noise_multiplier=0.99), "at least 1, the plan has 0.99. Raise it"),
        (with_privacy(delta=1.1e-5), "at delta 1e-5, the plan asks for 1.1e-5. Lower"),
        (with_privacy(unit="picture"), "unit is a patient, the plan says picture. Set"),
        (replace(PLAN, privacy=None), "differential privacy only, the plan has none. Give"),
    ],
)
def test_a_plan_outside_a_limit_is_refused_with_what_came_and_what_to_do(plan: TrainingPlan, said: str) -> None:
    with pytest.raises(LimitExceeded, match=said):
        check(LIMITS, plan)


def test_a_plan_without_privacy_passes_only_where_the_hospital_allows_it() -> None:
    check(replace(LIMITS, allow_non_private=True), replace(PLAN, privacy=None))


def test_a_plan_without_privacy_is_still_held_to_rounds_and_steps() -> None:
    with pytest.raises(LimitExceeded):
        check(replace(LIMITS, allow_non_private=True), replace(PLAN, privacy=None, rounds=11))


def test_runs_without_privacy_are_off_unless_the_hospital_says_so() -> None:
    assert DatasetLimits().allow_non_private is False


def test_limits_read_back_exactly() -> None:
    limits = DatasetLimits(
        total=PrivacyBudget(3.0, 1e-6),
        max_study_epsilon=2.0,
        max_researcher_epsilon=2.5,
        min_noise_multiplier=0.7,
        max_rounds=40,
        max_steps=400,
        min_public_size=100,
        min_release_size=200,
        allow_non_private=True,
    )
    assert DatasetLimits.from_dict(json.loads(json.dumps(limits.to_dict()))) == limits


def test_a_limit_that_is_not_given_takes_its_default() -> None:
    assert DatasetLimits.from_dict({}) == DatasetLimits()
    assert DatasetLimits.from_dict({"max_rounds": 7}) == DatasetLimits(max_rounds=7)


@pytest.mark.parametrize(
    "values",
    [
        {"epsilon": 3},
        {"total": 8},
        {"total": {"epsilon": 8}},
        {"total": {"epsilon": 8, "delta": 1e-5, "unit": "picture"}},
        {"total": {"epsilon": 0, "delta": 1e-5}},
        {"total": {"epsilon": 8, "delta": 0}},
        {"max_study_epsilon": 0},
        {"max_researcher_epsilon": -1},
        {"min_noise_multiplier": -1},
        {"max_rounds": 0},
        {"max_rounds": 1.5},
        {"max_steps": 0},
        {"min_public_size": 0},
        {"min_release_size": 0},
        {"allow_non_private": 1},
        {"allow_non_private": "no"},
        {"model_sources": ["the internet"]},
    ],
)
def test_limits_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DatasetLimits.from_dict(values)


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0, 1e-5), (-1, 1e-5), (math.nan, 1e-5), (math.inf, 1e-5), (1, 0), (1, 0.2), ("1", 1e-5)]
)
def test_a_budget_out_of_range_is_refused(epsilon: float, delta: float) -> None:
    with pytest.raises(PlanError):
        PrivacyBudget(epsilon, delta)


@pytest.mark.parametrize("public_size", [100, 1000])
def test_a_delta_that_could_give_a_whole_record_away_refuses_every_private_plan(public_size: int) -> None:
    limits = replace(LIMITS, total=PrivacyBudget(8.0, 0.01))
    with pytest.raises(LimitExceeded, match=f"below 1/{public_size}"):
        limits.check(PLAN, unit="patient", public_size=public_size)
    limits.check(PLAN, unit="patient", public_size=99)
