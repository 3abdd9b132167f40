"""What `recipe = "few_rounds"` derives from public numbers, and that matrix and study together keep to the budget."""

from __future__ import annotations

import math

import pytest
from support.own_losses import cross_entropy, loss_graph, own_objective

from policies.budget.accountant import GaussianSteps, epsilon_spent, plan_spend
from policies.budget.gaussian import gaussian_mu
from policies.budget.limits import PrivacyBudget
from policies.errors import ConfigError, PlanError
from policies.plans.features import FeatureSpec
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.training import ModelSpec, ServerSpec
from researcher.hospitals.hospital import DatasetInfo
from researcher.planning.count_settings import GramSettings
from researcher.planning.few_rounds import few_rounds, gram_noise
from researcher.planning.planning import make_gram_plan, make_plan
from researcher.planning.settings import StudySettings

DELTA = 1e-5
HEAD = ModelSpec("scattering_linear", (28, 28, 3), 6)
OWN = own_objective(loss_graph(cross_entropy))
SIZES = [2600, 2700, 2700, 3300]


def dataset(size: int, **changes: object) -> DatasetInfo:
    told = {
        "datasite": "north",
        "name": "cells",
        "class_names": ("a", "b"),
        "image_shape": (28, 28, 3),
        "unit": "patient",
        "public_size": size,
        "limits": {},
    }
    return DatasetInfo(**{**told, **changes})


@pytest.mark.parametrize("epsilon", [1.0, 3.0, 8.0])
@pytest.mark.parametrize(("rounds", "repetitions"), [(None, 1), (1, 1), (9, 1), (20, 3)])
def test_the_matrix_and_all_rounds_together_keep_to_the_budget(epsilon, rounds, repetitions):
    found = few_rounds(HEAD, SIZES, epsilon=epsilon, delta=DELTA, rounds=rounds, repetitions=repetitions)
    assert found.gram_noise == gram_noise(PrivacyBudget(epsilon, DELTA))
    matrix = GaussianSteps(found.gram_noise, 1.0, 1)
    steps = GaussianSteps(found.noise_multiplier, 1.0, found.rounds * repetitions)
    assert 0.99 * epsilon < epsilon_spent([matrix, steps], DELTA) <= epsilon
    share = gaussian_mu([matrix]) ** 2 / gaussian_mu([matrix, steps]) ** 2
    assert share == pytest.approx(0.2, rel=0.01)


def test_the_formulas_are_those_of_the_page():
    found = few_rounds(HEAD, SIZES, epsilon=8.0, delta=DELTA)
    inputs = 3 * 235 + 1
    assert (found.rounds, found.server_learning_rate) == (20, 8.0)
    assert (found.server_momentum, found.server_averaging) == (0.3, 0.5)
    assert found.max_grad_norm == pytest.approx(0.5 * math.sqrt(inputs), rel=0.01)
    assert found.server_ridge == pytest.approx(0.8 * found.gram_noise * math.sqrt(4 * inputs), rel=0.01)


def test_every_value_of_the_recipe_stands_in_the_plan():
    settings = StudySettings(recipe="few_rounds", model="scattering_linear", epsilon=3.0)
    plan = make_plan(settings, [dataset(2000), dataset(700)])
    expected = few_rounds(plan.model, [2000, 700], epsilon=3.0, delta=DELTA)
    for name, value in expected.settings(delta=DELTA, unit="patient").items():
        assert getattr(plan, name) == value, name
    assert (plan.steps, plan.total_steps, plan.server.strategy) == ((1.0, 1, 0), 20, "dp_fc")
    assert plan.privacy is not None
    assert plan.privacy.unit == "patient"


def test_the_matrix_is_planned_for_the_same_head_and_costs_its_part():
    plan = make_gram_plan(GramSettings(epsilon=3.0), [dataset(2000), dataset(700)])
    assert (plan.model.name, plan.privacy.unit, plan.dataset) == ("scattering_linear", "patient", "cells")
    assert plan_spend(plan) == (GaussianSteps(gram_noise(PrivacyBudget(3.0, DELTA)), 1.0, 1),)
    assert 0 < epsilon_spent(plan_spend(plan), DELTA) < 1.5
    backbone = FeatureSpec("resnet18", "a" * 64)
    settings = GramSettings(model="features", options=backbone.options)
    assert make_gram_plan(settings, [dataset(2000)]).inputs == 513


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": "small_cnn"}, "scattering_linear or features"),
        ({"epsilon": None}, "Give an epsilon"),
        ({"num_rounds": 101}, "rounds"),
    ],
)
def test_what_it_is_not_made_for_is_refused(settings, says):
    with pytest.raises(PlanError, match=says):
        make_plan(StudySettings(**{"recipe": "few_rounds", "model": "scattering_linear", **settings}), [dataset(2000)])


def test_findings_are_refused():
    with pytest.raises(PlanError, match="findings"):
        make_plan(StudySettings(recipe="few_rounds", model="scattering_linear"), [dataset(2000, label_kind="multi")])


def test_a_delta_that_promises_nothing_is_refused_for_the_matrix_too():
    with pytest.raises(PlanError, match="promises nothing"):
        make_gram_plan(GramSettings(), [dataset(200_000)])


@pytest.mark.parametrize("given", [{"learning_rate": 1.0}, {"server": ServerSpec("fed_adam")}])
def test_a_setting_that_the_recipe_derives_is_refused_beside_it(given):
    with pytest.raises(ConfigError, match="derived by recipe few_rounds"):
        StudySettings(recipe="few_rounds", model="scattering_linear", **given)


@pytest.mark.parametrize(
    "given",
    [{"loss_graph": "loss.json"}, {"objective": OWN}],
    ids=["file", "plan"],
)
def test_an_own_loss_for_which_its_steps_were_not_fixed_is_refused(given):
    with pytest.raises(ConfigError, match=r"fixed for cross-entropy.*Use recipe auto"):
        StudySettings(recipe="few_rounds", model="scattering_linear", **given)
    StudySettings(recipe="auto", model="scattering_linear", **given)


def test_built_in_losses_are_taken():
    weighted = ObjectiveSpec(class_weights=(1.0, 5.0))
    settings = StudySettings(recipe="few_rounds", model="scattering_linear", epsilon=3.0, objective=weighted)
    assert make_plan(settings, [dataset(2000)]).objective == weighted
