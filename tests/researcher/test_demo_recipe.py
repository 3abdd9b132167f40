"""The demo's plans: what its comparison shares with the study, and how it treats pictures that it does not know."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from policies.errors import ConfigError
from policies.plans.training import TrainingPlan

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.demo import plan_alone, recipe, run_demo
    from researcher.hospitals.hospital import DatasetInfo
    from researcher.planning.planning import make_plan, study_epsilon


def planned(*sizes: int, given: bool) -> TrainingPlan:
    datasets = [
        DatasetInfo(f"hospital-{n}", "cells", ("a", "b"), (32, 32, 3), "picture", size, {})
        for n, size in enumerate(sizes)
    ]
    return make_plan(recipe(given=given), datasets)


@pytest.mark.parametrize("given", [True, False])
def test_a_hospital_alone_takes_as_many_steps_with_the_same_noise(given: bool) -> None:
    plan = planned(2000, 3000, given=given)
    alone = plan_alone(plan, 2000, given=given)
    same = ("model", "rounds", "steps_per_round", "sample_rate", "privacy", "momentum", "server_momentum")
    assert [getattr(alone, name) for name in same] == [getattr(plan, name) for name in same]


@pytest.mark.parametrize("given", [True, False])
def test_study_and_comparison_together_keep_to_the_budget(given: bool) -> None:
    plan = planned(2000, 3000, given=given)
    spent = study_epsilon(plan)
    assert spent is not None
    assert spent < 8 * 0.75


def test_one_hospitals_noise_asks_for_smaller_steps_than_that_of_all_together() -> None:
    plan = planned(1000, 1000, 1000, 1000, given=True)
    # A quarter of the pictures, so four times the noise in the mean; one hospital's instead of four, so half of that.
    assert plan_alone(plan, 1000, given=True).learning_rate == pytest.approx(plan.learning_rate / 2, rel=0.02)


def test_with_few_pictures_the_rate_shrinks() -> None:
    assert planned(400, 400, given=True).learning_rate < planned(4000, 4000, given=True).learning_rate / 4


@pytest.mark.parametrize("inside", [".", "south", "linked"])
def test_a_hold_out_that_hospitals_train_on_is_refused_before_any_hospital_starts(tmp_path: Path, inside: str) -> None:
    data, out = tmp_path / "pictures", tmp_path / "out"
    for name in ("north", "south"):
        (data / name).mkdir(parents=True)
    (tmp_path / "linked").symlink_to(data / "south")
    test = tmp_path / "linked" if inside == "linked" else data / inside
    with pytest.raises(ConfigError, match="are among those that hospitals train on"):
        run_demo(data=data, test=test, out=out)
    assert not out.exists()
