"""How settings become a plan; one that its engine cannot train is refused before a hospital spends time on it."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from references import understood
from torch import nn

from datasites.training.models import MODELS
from policies.errors import FederationError, PlanError
from policies.plans.plan_json import settings
from policies.plans.training import RunSpec, TrainingPlan

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.cli.program import make_program
    from researcher.cli.study_options import study_settings_of
    from researcher.hospitals.hospital import DatasetInfo
    from researcher.planning.planning import StudySettings, make_plan

DATASETS = [DatasetInfo("north", "cells", ("a", "b"), (8, 8, 1), "picture", 500, {})]


@pytest.fixture(autouse=True)
def mixing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that mixes the pictures of a batch."""
    layers = (nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 2))
    monkeypatch.setitem(MODELS, "mixing", lambda spec: nn.Sequential(*layers).to("meta"))


@pytest.mark.parametrize("engine", ["book_keeping", "opacus"])
def test_a_model_that_mixes_pictures_gets_no_private_plan(engine: str) -> None:
    with pytest.raises(PlanError, match=r"'0' \(BatchNorm2d\).*GroupNorm"):
        make_plan(StudySettings(model="mixing", noise_multiplier=2.0, run=RunSpec(engine=engine)), DATASETS)


def test_without_privacy_no_engine_has_to_train_it() -> None:
    assert make_plan(StudySettings(model="mixing", noise_multiplier=None, epsilon=None), DATASETS).privacy is None


@pytest.mark.parametrize("further", [("--noise_multiplier", "2"), ("--recipe", "auto")])
def test_the_option_for_several_pictures_of_a_patient_ends_in_the_plan_that_is_submitted(
    further: tuple[str, str],
) -> None:
    options = understood(make_program(), ["submit", "--pictures_per_patient", "4", *further])
    plan = make_plan(study_settings_of(options), [replace(DATASETS[0], image_shape=(28, 28, 3), unit="patient")])
    assert TrainingPlan.from_json(plan.to_json()).pictures_per_patient == 4
    assert settings(plan)["pictures_per_patient"] == 4


def test_several_pictures_of_a_patient_are_refused_where_a_dataset_protects_pictures() -> None:
    with pytest.raises(PlanError, match="pictures_per_patient is 4, but the plan's privacy is not for each patient"):
        make_plan(StudySettings(model="linear", pictures_per_patient=4, noise_multiplier=2.0), DATASETS)


def test_the_kind_of_labels_is_taken_from_the_schema_and_must_be_the_same_everywhere() -> None:
    findings = replace(DATASETS[0], label_kind="multi")
    settings_of_study = StudySettings(model="linear", noise_multiplier=2.0)
    assert make_plan(settings_of_study, [findings]).model.label_kind == "multi"
    assert make_plan(settings_of_study, DATASETS).model.label_kind == "single"
    with pytest.raises(FederationError, match="differ in label_kind: multi at north, single at south"):
        make_plan(settings_of_study, [findings, replace(DATASETS[0], datasite="south")])
