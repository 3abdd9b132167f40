"""A plan's settings in a report: every one of them, by a name that says each word once."""

from __future__ import annotations

from dataclasses import replace

from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.reports import settings

PLAN = TrainingPlan(
    study="cells",
    dataset="smears",
    model=ModelSpec("small_cnn", (32, 32, 3), 2, {"width": 16}),
    rounds=2,
    steps_per_round=5,
    sample_rate=0.1,
    learning_rate=0.5,
    privacy=PrivacySpec(noise_multiplier=1.0, max_grad_norm=1.0, delta=1e-5),
)


def test_a_setting_is_named_by_its_group_and_no_word_twice() -> None:
    names = [name for name, _ in settings.of_plan(PLAN)]
    assert {"model name", "privacy noise multiplier", "server learning rate", "server ridge", "learning rate"} <= set(
        names
    )
    assert [name for name in names if any(a == b for a, b in zip(name.split(), name.split()[1:], strict=False))] == []
    assert len(set(names)) == len(names)


def test_a_list_is_told_by_its_values_and_an_empty_one_as_none() -> None:
    weighted = replace(PLAN, objective=ObjectiveSpec(class_weights=(0.5, 2.0)))
    assert dict(settings.of_plan(PLAN))["objective class weights"] == "none"
    assert dict(settings.of_plan(PLAN))["model image shape"] == "32 × 32 × 3"
    assert dict(settings.of_plan(weighted))["objective class weights"] == "0.5, 2.0"
