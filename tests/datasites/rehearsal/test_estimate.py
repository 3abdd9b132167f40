"""Estimates follow from the plan, the public size and a few steps on the mock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datasites.rehearsal.estimate import MOST_PLACES, STEPS, Measured, estimate, expected_batches, shortened
from datasites.training.pictures.placed_batches import placed_batches
from datasites.training.releases import private_evaluation, private_gram
from policies.plans.features import FeatureSpec
from policies.plans.kinds import Plan
from policies.plans.releases import EvaluationPlan, GramPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
PRIVATE = TrainingPlan("s", "d", SPEC, 36, 100, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
PLAIN = replace(PRIVATE, privacy=None)
RELEASE = ReleaseSpec(2.0, 1e-5)
COUNTS = EvaluationPlan("e", "d", SPEC, 2, RELEASE)
# The first step warms up: it is not what the others take.
SEEN = Measured(preparing_seconds=10.0, steps=(5.0, 6.0, 7.0), working_seconds=7.5, pictures=32)


def test_a_private_step_costs_on_the_mock_what_it_costs_at_the_public_size() -> None:
    for size in (100, 100_000):
        found = estimate(PRIVATE, SEEN, public_size=size)
        assert (found.seconds_a_step, found.seconds_a_round, found.hours) == (1.0, 110.0, 1.1)
        assert str(size) in found.assumptions


def test_a_step_without_privacy_is_stretched_to_the_public_size() -> None:
    assert estimate(PLAIN, SEEN, public_size=320).seconds_a_step == 10.0
    assert estimate(PLAIN, SEEN, public_size=320).seconds_a_round == 1000.0


STATISTICS = StatisticsPlan("s", "d", (16, 16, 1), 2, RELEASE)
SCATTERING = GramPlan("g", "d", ModelSpec("scattering_linear", (32, 32, 3), 2), RELEASE)
KEPT = GramPlan(
    "g", "d", ModelSpec("features", (28, 28, 3), 2, FeatureSpec("vit_small_patch16_224", "a" * 64).options), RELEASE
)


@pytest.mark.parametrize("plan", [STATISTICS, KEPT])
def test_a_pass_that_counts_is_stretched_and_what_comes_after_it_is_not(plan: Plan) -> None:
    # 7 seconds for the pass over 32 pictures, 0.5 for the noise.
    assert estimate(plan, SEEN, public_size=320).seconds_a_round == 80.0  # of 80.5: two digits are told
    short = replace(SEEN, preparing_seconds=0.0, steps=(0.01,))
    assert estimate(plan, short, public_size=320).seconds_a_round == 7.6


@pytest.mark.parametrize("plan", [COUNTS, SCATTERING])
def test_a_pass_whose_batches_have_one_size_is_stretched_by_how_many_there_are(plan: Plan) -> None:
    places = min(plan.run.physical_batch_size, MOST_PLACES)
    times = expected_batches(3200, places) / expected_batches(32, places)
    assert 10 < times < 50  # and not a hundred: the mock's batches are nearly empty
    found = estimate(plan, replace(SEEN, preparing_seconds=0.0), public_size=3200).seconds_a_round
    assert found == pytest.approx(7 * times + 0.5, rel=0.05)


@pytest.mark.parametrize("pictures", [32, 1000])
def test_as_many_batches_are_expected_as_are_made(pictures: int) -> None:
    images = np.random.default_rng(1).integers(0, 256, (pictures, 8, 8, 1), dtype=np.uint8)
    made = len(placed_batches(images, np.arange(pictures), MOST_PLACES))
    assert abs(made - expected_batches(pictures, MOST_PLACES)) < 2
    assert private_gram._SLOTS == private_evaluation._MOST_SLOTS == MOST_PLACES


def test_nothing_is_estimated_to_take_less_than_it_took_on_the_mock() -> None:
    assert estimate(PLAIN, SEEN, public_size=1).seconds_a_step == 1.0


@pytest.mark.parametrize(
    ("gpus", "where"),
    [(0, "the hospital's own processors"), (1, "one of the hospital's own GPUs"), (2, "2 of the hospital's own GPUs")],
)
def test_a_time_says_what_it_was_measured_on(gpus: int, where: str) -> None:
    found = estimate(PRIVATE, replace(SEEN, gpus=gpus), public_size=100)
    assert found.assumptions.startswith(f"on {where} with nothing else running, where a step computes ")


@pytest.mark.parametrize(("steps", "seconds"), [((), 7.5), ((4.0,), 4.0)])
def test_one_step_is_measured_whole(steps: tuple[float, ...], seconds: float) -> None:
    assert estimate(PRIVATE, replace(SEEN, steps=steps), public_size=100).seconds_a_step == seconds


def test_only_the_number_of_steps_of_a_plan_is_shortened() -> None:
    assert shortened(PRIVATE) == replace(PRIVATE, steps_per_round=STEPS)
    assert shortened(replace(PRIVATE, steps_per_round=1)) == replace(PRIVATE, steps_per_round=1)
    assert shortened(COUNTS) == COUNTS and shortened(STATISTICS) == STATISTICS
