"""A plan whose graphs have operators that came later is told to need a later release, before anything is sent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.graphs import Builder, comparing, small_graph

from policies.errors import VersionMismatch
from policies.graphs.graph import PICTURES, Graph
from policies.graphs.losses.loss_graph import LABEL, OUTPUT, LossGraph
from policies.graphs.losses.needs import check_operators
from policies.graphs.losses.own_loss import objective_of
from policies.graphs.own_model import spec_of
from policies.plans.releases import EvaluationPlan, ReleaseSpec
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from policies.versions.releases import Release

OLD, NEW = Release(0, 2, 4), Release(0, 3, 0)


def plan_of(graph: Graph) -> TrainingPlan:
    return TrainingPlan("own", "p", spec_of(graph.to_json()), 2, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5))


def test_a_comparison_needs_the_release_that_it_came_with() -> None:
    plan = plan_of(comparing())
    evaluation = EvaluationPlan("own", "p", plan.model, 1, ReleaseSpec(40.0, 1e-5))
    for one in (plan, evaluation):
        check_operators(one, NEW, "north")
        with pytest.raises(VersionMismatch, match=r"'north' runs Wanwu 0\.2\.4.* needs 0\.3.*operator at_least"):
            check_operators(one, OLD, "north")


def test_a_whole_number_needs_it_too() -> None:
    b = Builder()
    pooled = b.add("mean", b.convolution(PICTURES, "stem", 3, 8), axes=[2, 3], keep=False)
    b.linear(b.add("subtract", pooled, b.add("floor", pooled)), "head", 8, 4)
    with pytest.raises(VersionMismatch, match="operator floor"):
        check_operators(plan_of(b.graph()), OLD, "north")


def test_graphs_and_models_that_an_older_hospital_knows_need_nothing() -> None:
    known = plan_of(small_graph())
    check_operators(known, OLD, "north")
    check_operators(replace(known, model=ModelSpec("small_cnn", (8, 8, 3), 4)), OLD, "north")


def test_a_loss_that_compares_needs_that_release_too() -> None:
    b = Builder(num_classes=4)
    sure = b.add("greater", OUTPUT, b.constant("float32", (), [2.0]))
    b.add("sum", b.add("multiply", b.add("multiply", sure, OUTPUT), LABEL), axes=[1], keep=False)
    loss = LossGraph("single", 4, b.constants, tuple(b.nodes))
    plan = replace(plan_of(small_graph()), objective=objective_of(loss.to_json()))
    with pytest.raises(VersionMismatch, match="operator greater"):
        check_operators(plan, OLD, "north")
