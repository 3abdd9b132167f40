"""The demo's plans: what its comparison shares with the study, and how it treats pictures that it does not know."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest

from policies.plan import ModelSpec, PrivacySpec, TrainingPlan

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.demo import plan_alone, recipe

PLAN = TrainingPlan(
    study="demo",
    dataset="pictures",
    model=ModelSpec("small_cnn", (32, 32, 3), 6),
    rounds=100,
    steps_per_round=2,
    sample_rate=0.2,
    learning_rate=1.0,
    privacy=PrivacySpec(2.5, 1.0, 1e-5),
)


@pytest.mark.parametrize("rounds", [5, 100, 7])
def test_a_hospital_alone_takes_as_many_steps_with_the_same_noise(rounds: int) -> None:
    plan = replace(PLAN, rounds=rounds)
    alone = plan_alone(plan)
    assert alone.total_steps == plan.total_steps
    assert (alone.privacy, alone.sample_rate, alone.learning_rate) == (plan.privacy, plan.sample_rate, 1.0)


def test_a_study_of_long_rounds_is_compared_with_the_very_same_plan() -> None:
    plan = replace(PLAN, rounds=10, steps_per_round=10)
    assert plan_alone(plan) == plan


def test_with_few_pictures_the_rate_shrinks_in_proportion() -> None:
    many, momentum = recipe([5000, 5000], given=True)
    few, _ = recipe([500, 500], given=True)
    assert (many.learning_rate, few.learning_rate, momentum) == (1.0, 0.125, 0.9)
    assert many.repetitions == 2
