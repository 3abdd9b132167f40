"""A plan's settings in a report: every one that could be otherwise, by a name that says each word once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policies.errors import PlanError
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.server.server_spec import STRATEGIES
from policies.plans.training import ModelSpec, PrivacySpec, ServerSpec, TrainingPlan
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
    assert {"model name", "privacy noise multiplier", "server learning rate", "learning rate"} <= set(names)
    assert [name for name in names if any(a == b for a, b in zip(name.split(), name.split()[1:], strict=False))] == []
    assert len(set(names)) == len(names)


def test_a_list_is_told_by_its_values_and_an_empty_one_as_none() -> None:
    weighted = replace(PLAN, objective=ObjectiveSpec(class_weights=(0.5, 2.0)))
    assert dict(settings.of_plan(PLAN))["objective class weights"] == "none"
    assert dict(settings.of_plan(PLAN))["model image shape"] == "32 × 32 × 3"
    assert dict(settings.of_plan(weighted))["objective class weights"] == "0.5, 2.0"


# Fields of a plan that some plans do not read, with another value of each. The strategies that need one set it below.
OTHER: dict[str, object] = {
    "server_learning_rate": 0.25,
    "server_second_momentum": 0.9,
    "server_adaptivity": 0.01,
    "trimmed_share": 0.25,
    "faulty_hospitals": 2,
    "averaged_hospitals": 3,
    "server_ridge": 2.5,
    "mean_pull": 0.5,
    "server_momentum": 0.25,
    "server_averaging": 0.75,
    "momentum": 0.25,
    "proximal_mu": 0.25,
    "augmentation_multiplicity": 2,
    "pictures_per_patient": 2,
    "label_smoothing": 0.1,
    "class_weights": (1.0, 2.0),
    "present_weights": (1.0, 2.0),
}
GROUPS = dict.fromkeys(("label_smoothing", "class_weights", "present_weights"), "objective") | {"momentum": "of SGD"}
NEEDED: dict[str, dict[str, float]] = {"fed_avg_m": {"server_momentum": 0.5}, "fed_prox": {"proximal_mu": 0.5}}
PLANS = {
    **{
        name: replace(PLAN, server=ServerSpec(name), **NEEDED.get(name, {}))  # type: ignore[arg-type]
        for name in STRATEGIES
    },
    "flips": replace(PLAN, augmentation="flips"),
    "patients": replace(PLAN, privacy=PrivacySpec(1.0, 1.0, 1e-5, "patient")),
    "not private": replace(PLAN, privacy=None),
    "findings": replace(PLAN, model=replace(PLAN.model, label_kind="multi")),
    "grades": replace(PLAN, objective=ObjectiveSpec("ordinal")),
}


def _takes(plan: TrainingPlan, name: str, value: object) -> bool:
    """Whether the plan could have this value of a field."""
    try:
        for group in ("server", "objective"):
            if hasattr(getattr(plan, group), name):
                replace(plan, **{group: replace(getattr(plan, group), **{name: value})})  # type: ignore[arg-type]
                return True
        replace(plan, **{name: value})  # type: ignore[arg-type]
    except PlanError:
        return False
    return True


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_what_is_told_is_what_the_plan_could_have_otherwise(plan: TrainingPlan) -> None:
    labels = {label.replace(" ", "_") for label, _ in settings.of_plan(plan)}
    told = {name for name in OTHER if labels & {name, f"{GROUPS.get(name, 'server')}_{name}"}}
    assert told == {name for name in OTHER if _takes(plan, name, OTHER[name])}
    assert {"server_strategy", "objective_loss", "rounds", "learning_rate", "augmentation"} <= labels
