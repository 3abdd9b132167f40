"""The card says who is in a step where units are allocated, and nothing else of a plan's card changes."""

from __future__ import annotations

from dataclasses import replace

from datasites.review.wording import computed
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

PRIVACY = PrivacySpec(2.0, 1.0, 1e-5, "patient")
PLAN = TrainingPlan("cells", "blood-cells", ModelSpec("linear", (8, 8, 1), 2), 3, 10, 0.2, 0.5, privacy=PRIVACY)


def test_it_is_said_how_often_each_unit_is_in_a_step() -> None:
    told = computed(replace(PLAN, sampling="random_allocation"), "patient").text
    assert "30 steps in all, which are 6 passes of 5 steps" in told
    assert "every patient is in exactly one step" in told
    assert "each on a random draw of 20 %" in computed(PLAN, "patient").text
