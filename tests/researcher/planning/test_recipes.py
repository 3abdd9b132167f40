"""What `recipe = "auto"` derives from public numbers, and that it keeps to the budget."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import pytest
from references import understood

from policies.budget.accountant import epsilon_spent, plan_spend
from policies.errors import BudgetTooSmall, ConfigError, PlanError
from policies.plans.training import ModelSpec, TrainingPlan
from researcher.planning.recipes import auto

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.cli.program import make_program
    from researcher.cli.study_options import study_settings_of
    from researcher.hospitals.hospital import DatasetInfo
    from researcher.planning.planning import StudySettings, make_plan, study_epsilon

DELTA = 1e-5
SIZES = [2000, 2000, 2000, 3000]
CNN = ModelSpec("small_cnn", (32, 32, 3), 6)
SCATTERING = ModelSpec("scattering_linear", (32, 32, 3), 6)  # 705 inputs of its head


def plan_of(recipe, model=CNN) -> TrainingPlan:
    return TrainingPlan("study", "cells", model, **recipe.settings(delta=DELTA, unit="picture"))


@pytest.mark.parametrize(
    ("model", "epsilon", "rounds", "repetitions"), [(CNN, 8.0, None, 1), (SCATTERING, 3.0, 7, 1), (CNN, 1.0, 150, 2)]
)
def test_the_study_spends_at_most_the_epsilon_and_nearly_all_of_it(model, epsilon, rounds, repetitions):
    recipe = auto(model, SIZES, epsilon=epsilon, delta=DELTA, rounds=rounds, repetitions=repetitions)
    plan = plan_of(recipe, model)
    spent = epsilon_spent([replace(part, steps=part.steps * repetitions) for part in plan_spend(plan)], DELTA)
    assert 0.98 * epsilon < spent <= epsilon


def test_without_an_epsilon_there_is_no_noise_and_the_largest_rate():
    recipe = auto(SCATTERING, SIZES, epsilon=None, delta=DELTA)
    assert recipe.noise_multiplier is None
    assert plan_of(recipe, SCATTERING).privacy is None
    assert recipe.learning_rate == pytest.approx(28 / 705, rel=0.01)


def test_a_heads_values_follow_the_length_of_its_inputs():
    recipe = auto(SCATTERING, SIZES, epsilon=8.0, delta=DELTA)
    assert recipe.max_grad_norm == pytest.approx(0.3 * math.sqrt(705), rel=0.01)
    noise = recipe.noise_multiplier * math.sqrt(4 * 6 * 706) / (0.2 * 9000)  # four hospitals, six classes, a bias each
    assert recipe.learning_rate == pytest.approx(28 / 705 / (noise * math.sqrt(100)), rel=0.01)
    assert (recipe.rounds, recipe.steps_per_round, recipe.sample_rate) == (100, 1, 0.2)
    assert (recipe.server_momentum, recipe.server_averaging) == (0.9, 0.95)


@pytest.mark.parametrize("model", [CNN, SCATTERING])
def test_more_noise_means_smaller_steps_and_never_larger_ones(model):
    rates = [auto(model, SIZES, epsilon=e, delta=DELTA).learning_rate for e in (None, 8.0, 1.0)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0] / 3
    few = auto(model, [200, 200, 200, 300], epsilon=8.0, delta=DELTA).learning_rate
    assert few < auto(model, SIZES, epsilon=8.0, delta=DELTA).learning_rate


def test_more_hospitals_with_as_many_pictures_in_all_add_noise():
    # Each adds its own noise: that of the sum grows with the root of their number.
    rates = [auto(SCATTERING, sizes, epsilon=1.0, delta=DELTA).learning_rate for sizes in ([8000], [2000] * 4)]
    assert rates[0] == pytest.approx(2 * rates[1], rel=0.02)


@pytest.mark.parametrize("rounds", [1, 3, 9, 10, 20, 99, 100, 1000])
def test_fewer_rounds_have_more_steps_and_less_momentum(rounds):
    recipe = auto(CNN, SIZES, epsilon=None, delta=DELTA, rounds=rounds)
    assert recipe.rounds == rounds
    assert abs(rounds * recipe.steps_per_round - max(200, rounds)) <= rounds / 2
    assert recipe.server_momentum == (0.0 if rounds < 10 else pytest.approx(min(0.9, 1 - 5 / rounds), abs=1e-3))
    assert recipe.server_averaging == pytest.approx(max(0.0, 1 - 5 / rounds), abs=1e-3)


@pytest.mark.parametrize(
    ("sizes", "rate"), [([50, 5000], 1.0), ([100, 5000], 0.64), ([3000], 0.2), ([400_000], 0.041), ([10**9], 1.64e-5)]
)
def test_a_step_sees_enough_units_at_the_smallest_hospital_and_no_more_than_help(sizes, rate):
    assert auto(CNN, sizes, epsilon=None, delta=DELTA).sample_rate == pytest.approx(rate, rel=0.01)


def test_views_are_for_pictures_that_are_changed():
    assert auto(CNN, SIZES, epsilon=8.0, delta=DELTA).augmentation_multiplicity == 1
    augmented = auto(SCATTERING, SIZES, epsilon=8.0, delta=DELTA, augmentation="flips")
    assert augmented.augmentation_multiplicity == 1


def test_the_same_numbers_give_the_same_recipe():
    assert auto(CNN, SIZES, epsilon=3.0, delta=DELTA) == auto(CNN, list(SIZES), epsilon=3.0, delta=DELTA)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"public_sizes": []}, PlanError),
        ({"public_sizes": [2000, 0]}, PlanError),
        ({"rounds": 0}, PlanError),
        ({"epsilon": -1.0}, PlanError),
        ({"epsilon": 1e-9}, BudgetTooSmall),
        ({"model": ModelSpec("none_such", (32, 32, 3), 6)}, PlanError),
    ],
)
def test_what_no_recipe_can_be_made_of_is_refused(changes, error):
    values = {"model": CNN, "public_sizes": SIZES, "epsilon": 8.0, "delta": DELTA, **changes}
    with pytest.raises(error):
        auto(**values)


def test_findings_are_clipped_and_moved_by_the_root_of_their_number():
    """Their gradients are that much shorter: as many are clipped, and a step is as long."""
    findings = replace(SCATTERING, num_classes=9, label_kind="multi")
    classes = auto(replace(SCATTERING, num_classes=9), SIZES, epsilon=8.0, delta=DELTA)
    recipe = auto(findings, SIZES, epsilon=8.0, delta=DELTA)
    assert recipe.max_grad_norm == pytest.approx(classes.max_grad_norm / 3, rel=0.01)
    assert recipe.learning_rate == pytest.approx(3 * classes.learning_rate, rel=0.01)
    assert recipe.noise_multiplier == classes.noise_multiplier


# --- in a plan ---


def dataset(size: int) -> DatasetInfo:
    return DatasetInfo(
        datasite="north",
        name="cells",
        class_names=("a", "b"),
        image_shape=(32, 32, 3),
        unit="patient",
        public_size=size,
        limits={},
    )


def test_every_value_of_the_recipe_stands_in_the_plan():
    settings = StudySettings(recipe="auto", model="scattering_linear", epsilon=3.0)
    plan = make_plan(settings, [dataset(2000), dataset(700)])
    expected = auto(plan.model, [2000, 700], epsilon=3.0, delta=DELTA)
    for name, value in expected.settings(delta=DELTA, unit="patient").items():
        assert getattr(plan, name) == value, name
    assert plan.privacy is not None
    assert plan.privacy.unit == "patient"
    assert study_epsilon(plan) <= 3.0


def test_without_a_recipe_the_wishes_count():
    plan = make_plan(StudySettings(server_momentum=0.5, server_averaging=0.3, learning_rate=0.7), [dataset(2000)])
    assert (plan.rounds, plan.learning_rate, plan.server_momentum, plan.server_averaging) == (5, 0.7, 0.5, 0.3)


@pytest.mark.parametrize("value", ["0.1", "0.5"])  # 0.5 is what holds without a recipe
def test_an_option_that_the_recipe_derives_is_refused_beside_it(value):
    arguments = ["submit", "--recipe", "auto", "--epsilon", "2", "--num_rounds", "20"]
    assert study_settings_of(understood(make_program(), arguments)).recipe == "auto"
    with pytest.raises(ConfigError, match="learning_rate is derived by recipe auto"):
        study_settings_of(understood(make_program(), [*arguments, "--learning_rate", value]))


def test_with_random_allocation_rounds_are_whole_epochs_at_less_noise():
    poisson = auto(SCATTERING, SIZES, epsilon=3.0, delta=DELTA, rounds=20)
    recipe = auto(SCATTERING, SIZES, epsilon=3.0, delta=DELTA, rounds=20, sampling="random_allocation")
    assert (recipe.steps_per_round, recipe.sample_rate) == (5, 0.2) == (poisson.steps_per_round, poisson.sample_rate)
    assert recipe.noise_multiplier < 0.98 * poisson.noise_multiplier
    assert recipe.learning_rate > poisson.learning_rate
    plan = make_plan(
        StudySettings(model="linear", recipe="auto", num_rounds=20, epsilon=3.0, sampling="random_allocation"),
        [dataset(2000)],
    )
    assert plan.allocated_over == 5
    assert study_epsilon(plan) <= 3.0


def test_rounds_that_are_too_short_to_allocate_are_refused():
    with pytest.raises(PlanError, match="Set num_rounds to at most 20"):
        auto(SCATTERING, SIZES, epsilon=3.0, delta=DELTA, sampling="random_allocation")
    with pytest.raises(ConfigError, match="sampling has nothing to say"):
        StudySettings(recipe="few_rounds", sampling="random_allocation")
