"""An own model of a plan is proved whenever somebody asks, and is refused where the plan says something else of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.own_models import REFUSED, altered, own_graph, own_spec, spec_of_text

from policies.budget.limits import DatasetLimits
from policies.errors import GraphError, LimitExceeded, PlanError
from policies.graphs.own_model import check_graph, proof_of, spec_of
from policies.plans.releases import EvaluationPlan, GramPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

GRAPH = own_graph()
PLAN = TrainingPlan("own", "pictures", own_spec(GRAPH), 2, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5))
EVALUATION = EvaluationPlan("own", "pictures", PLAN.model, 1, ReleaseSpec(40.0, 1e-5))
OWN = DatasetLimits(model_sources=("built_in", "graph"))


def test_a_graphs_text_becomes_the_model_of_a_plan() -> None:
    assert spec_of(GRAPH.to_json()) == PLAN.model
    assert proof_of(PLAN.model).graph == GRAPH
    for plan in (PLAN, EVALUATION):
        found = check_graph(plan)
        assert found is not None
        assert found.graph == GRAPH


def test_other_models_have_no_proof() -> None:
    statistics = StatisticsPlan("own", "pictures", (16, 16, 1), 2, ReleaseSpec(40.0, 1e-5))
    assert check_graph(statistics) is None
    assert check_graph(replace(PLAN, model=ModelSpec("small_cnn", (16, 16, 1), 2))) is None


@pytest.mark.parametrize("what", REFUSED)
def test_a_graph_that_cannot_be_proved_is_no_model(what: str) -> None:
    change, reason = REFUSED[what]
    text = altered(GRAPH, change)
    for refuse in (lambda: spec_of(text), lambda: check_graph(replace(PLAN, model=spec_of_text(text)))):
        with pytest.raises(GraphError, match=reason):
            refuse()


@pytest.mark.parametrize("other", [(8, 8, 1), (16, 16, 3)])
def test_a_plan_for_other_pictures_than_its_graph_is_refused(other: tuple[int, int, int]) -> None:
    with pytest.raises(GraphError, match="Capture the model for the dataset's schema"):
        proof_of(replace(PLAN.model, image_shape=other))
    with pytest.raises(GraphError, match="tells 2 classes"):
        proof_of(replace(PLAN.model, num_classes=3))


def test_the_hooks_of_opacus_train_no_own_model() -> None:
    with pytest.raises(PlanError, match="'book_keeping' alone"):
        replace(PLAN, run=RunSpec(engine="opacus"))


def test_a_gram_matrix_is_of_no_own_model() -> None:
    with pytest.raises(PlanError, match="scattering_linear or features"):
        GramPlan("own", "pictures", PLAN.model, ReleaseSpec(40.0, 1e-5))


@pytest.mark.parametrize("plan", [PLAN, EVALUATION])
def test_a_hospital_takes_own_models_only_where_it_says_so(plan: TrainingPlan | EvaluationPlan) -> None:
    OWN.check(plan, unit="picture", public_size=1000)
    DatasetLimits(model_sources=("graph",)).check(plan, unit="picture", public_size=1000)
    with pytest.raises(LimitExceeded, match="takes no own models"):
        DatasetLimits().check(plan, unit="picture", public_size=1000)


def test_a_hospital_of_own_models_alone_trains_no_built_in_one() -> None:
    plan = replace(PLAN, model=ModelSpec("small_cnn", (16, 16, 1), 2))
    with pytest.raises(LimitExceeded, match="no built-in model"):
        DatasetLimits(model_sources=("graph",)).check(plan, unit="picture", public_size=1000)
