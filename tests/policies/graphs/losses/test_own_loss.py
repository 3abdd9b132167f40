"""An own loss of a plan is proved whenever somebody asks, and is refused where the plan says something else of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.own_losses import (
    REFUSED,
    altered_loss,
    cross_entropy,
    findings,
    loss_graph,
    objective_of_text,
    own_objective,
)
from support.own_models import own_graph, own_spec

from policies.budget.limits import DatasetLimits
from policies.errors import GraphError, LimitExceeded
from policies.graphs.losses.own_loss import check_loss, loss_proof_of, objective_of
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.releases import EvaluationPlan, ReleaseSpec
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

LOSS = loss_graph(cross_entropy)
MODEL = ModelSpec("small_cnn", (16, 16, 1), 3)
PLAN = TrainingPlan(
    "own", "pictures", MODEL, 2, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5), objective=own_objective(LOSS)
)
OWN = DatasetLimits(model_sources=("built_in", "graph"))


def test_a_losss_text_becomes_the_objective_of_a_plan() -> None:
    assert objective_of(LOSS.to_json()) == PLAN.objective
    assert loss_proof_of(PLAN.objective).loss == LOSS
    found = check_loss(PLAN)
    assert found is not None and found.loss == LOSS


def test_other_plans_have_no_proof() -> None:
    assert check_loss(EvaluationPlan("own", "pictures", MODEL, 1, ReleaseSpec(40.0, 1e-5))) is None
    assert check_loss(replace(PLAN, objective=ObjectiveSpec("ordinal"))) is None


@pytest.mark.parametrize("what", REFUSED)
def test_a_loss_that_cannot_be_proved_is_no_objective(what: str) -> None:
    change, reason = REFUSED[what]
    text = altered_loss(LOSS, change)
    for refuse in (lambda: objective_of(text), lambda: check_loss(replace(PLAN, objective=objective_of_text(text)))):
        with pytest.raises(GraphError, match=reason):
            refuse()


@pytest.mark.parametrize("model", [replace(MODEL, num_classes=4), replace(MODEL, label_kind="multi")])
def test_a_plan_for_other_labels_than_its_loss_is_refused(model: ModelSpec) -> None:
    with pytest.raises(GraphError, match="Capture the loss for the dataset's schema"):
        check_loss(replace(PLAN, model=model))
    of_findings = own_objective(loss_graph(findings, label_kind="multi"))
    assert check_loss(replace(PLAN, model=replace(MODEL, label_kind="multi"), objective=of_findings))


def test_both_engines_take_an_own_loss() -> None:
    assert check_loss(replace(PLAN, run=RunSpec(engine="opacus")))


def test_a_hospital_takes_own_losses_only_where_it_says_so() -> None:
    OWN.check(PLAN, unit="picture", public_size=1000)
    with pytest.raises(LimitExceeded, match="takes no own losses"):
        DatasetLimits().check(PLAN, unit="picture", public_size=1000)
    with pytest.raises(LimitExceeded, match="no built-in model"):
        DatasetLimits(model_sources=("graph",)).check(PLAN, unit="picture", public_size=1000)
    both = replace(PLAN, model=own_spec(own_graph(num_classes=3)))
    DatasetLimits(model_sources=("graph",)).check(both, unit="picture", public_size=1000)
