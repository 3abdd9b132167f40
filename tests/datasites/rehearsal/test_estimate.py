"""Estimates follow from the plan, the public size and a few steps on the mock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datasites.rehearsal.estimate import STEPS, Measured, estimate, shortened
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
PRIVATE = TrainingPlan("s", "d", SPEC, 36, 100, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
PLAIN = replace(PRIVATE, privacy=None)
COUNTS = EvaluationPlan("e", "d", SPEC, 2, ReleaseSpec(2.0, 1e-5))
# The first step warms up: it is not what the others take.
SEEN = Measured(preparing_seconds=10.0, steps=(5.0, 6.0, 7.0), working_seconds=7.5, pictures=32)


def test_a_private_step_costs_on_the_mock_what_it_costs_at_the_public_size() -> None:
    for size in (100, 100_000):
        found = estimate(PRIVATE, SEEN, public_size=size)
        assert (found.seconds_a_step, found.seconds_a_round, found.hours) == (1.0, 110.0, 1.1)
        assert str(size) in found.assumptions


def test_a_step_without_privacy_and_a_pass_that_counts_are_stretched_to_the_public_size() -> None:
    assert estimate(PLAIN, SEEN, public_size=320).seconds_a_step == 10.0
    assert estimate(PLAIN, SEEN, public_size=320).seconds_a_round == 1000.0
    assert estimate(COUNTS, SEEN, public_size=320).seconds_a_round == 85.0


def test_nothing_is_estimated_to_take_less_than_it_took_on_the_mock() -> None:
    assert estimate(PLAIN, SEEN, public_size=1).seconds_a_step == 1.0


@pytest.mark.parametrize(
    ("gpus", "where"), [(0, "this machine's processors"), (1, "one GPU of this machine"), (2, "2 GPUs of this machine")]
)
def test_a_time_says_what_it_was_measured_on(gpus: int, where: str) -> None:
    found = estimate(PRIVATE, replace(SEEN, gpus=gpus), public_size=100)
    assert found.assumptions.startswith(f"on {where} with nothing else running, ")


@pytest.mark.parametrize(("steps", "seconds"), [((), 7.5), ((4.0,), 4.0)])
def test_one_step_is_measured_whole(steps: tuple[float, ...], seconds: float) -> None:
    assert estimate(PRIVATE, replace(SEEN, steps=steps), public_size=100).seconds_a_step == seconds


def test_only_the_number_of_steps_of_a_plan_is_shortened() -> None:
    assert shortened(PRIVATE) == replace(PRIVATE, steps_per_round=STEPS)
    assert shortened(replace(PRIVATE, steps_per_round=1)) == replace(PRIVATE, steps_per_round=1)
    statistics = StatisticsPlan("s", "d", (16, 16, 1), 2, ReleaseSpec(2.0, 1e-5))
    assert shortened(COUNTS) == COUNTS and shortened(statistics) == statistics
