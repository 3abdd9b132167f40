"""What a plan may say of its loss, and that a plan which says nothing of it is the plan that it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from policies.errors import PlanError
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.training import ModelSpec, TrainingPlan

CLASSES = ModelSpec("linear", (8, 8, 1), 3)
FINDINGS = replace(CLASSES, label_kind="multi")
PLAN = TrainingPlan("s", "d", CLASSES, 1, 1, 0.5, 0.1)


def test_a_plan_without_one_has_the_text_that_it_had_before_there_were_any() -> None:
    assert "objective" not in json.loads(PLAN.to_json())
    assert PLAN.digest() == replace(PLAN, objective=ObjectiveSpec("cross_entropy", 0.0, (), ())).digest()


@pytest.mark.parametrize(
    ("model", "objective"),
    [
        (CLASSES, ObjectiveSpec("ordinal")),
        (CLASSES, ObjectiveSpec("ordinal", class_weights=(1, 2, 3.5))),
        (CLASSES, ObjectiveSpec(label_smoothing=0.1, class_weights=(1, 2, 3.5))),
        (FINDINGS, ObjectiveSpec(present_weights=(1, 2, 3.5))),
    ],
)
def test_a_plan_with_one_reads_back_exactly_and_has_another_digest(model: ModelSpec, objective: ObjectiveSpec) -> None:
    plan = replace(PLAN, model=model, objective=objective)
    again = TrainingPlan.from_json(plan.to_json())
    assert again == plan and again.digest() == plan.digest() and hash(again) == hash(plan)
    assert plan.digest() != replace(plan, objective=ObjectiveSpec()).digest()


@pytest.mark.parametrize(
    ("model", "given", "told"),
    [
        (CLASSES, {"loss": "hinge"}, "loss"),
        (CLASSES, {"label_smoothing": 0.6}, "label_smoothing"),
        (CLASSES, {"label_smoothing": float("nan")}, "label_smoothing"),
        (CLASSES, {"loss": "ordinal", "label_smoothing": 0.1}, "spreads no label"),
        (CLASSES, {"class_weights": (1.0, 2.0)}, "a number for each of 3, in their order; got 2"),
        (CLASSES, {"class_weights": (1.0, 2.0, 0.0)}, "class_weights"),
        (CLASSES, {"class_weights": (1.0, 2.0, float("inf"))}, "class_weights"),
        (CLASSES, {"class_weights": "1,2,3"}, "class_weights must be at most 1000 numbers"),
        (CLASSES, {"class_weights": (1.0,) * 1001}, "class_weights must be at most 1000 numbers"),
        (CLASSES, {"present_weights": (1.0, 2.0, 3.0)}, "for labels that are findings"),
        (FINDINGS, {"loss": "ordinal"}, "for labels that are classes"),
        (FINDINGS, {"label_smoothing": 0.1}, "for labels that are classes"),
        (FINDINGS, {"class_weights": (1.0, 2.0, 3.0)}, "for labels that are classes"),
        (FINDINGS, {"present_weights": (1.0,)}, "a number for each of 3"),
        (replace(CLASSES, num_classes=65), {"loss": "ordinal"}, "at most 64 grades"),
    ],
)
def test_what_is_not_for_the_plans_labels_or_out_of_range_is_refused(
    model: ModelSpec, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(PlanError, match=told):
        replace(PLAN, model=model, objective=ObjectiveSpec(**given))
    written = {**json.loads(PLAN.to_json()), "model": {**json.loads(PLAN.to_json())["model"]}}
    if model.label_kind == "multi":
        written["model"]["label_kind"] = "multi"
    written["model"]["num_classes"] = model.num_classes
    with pytest.raises(PlanError):
        TrainingPlan.from_json(json.dumps({**written, "objective": {**json.loads(json.dumps(given))}}))


def test_an_objective_must_be_one() -> None:
    with pytest.raises(PlanError, match="objective must be a ObjectiveSpec"):
        replace(PLAN, objective="ordinal")  # type: ignore[arg-type]
