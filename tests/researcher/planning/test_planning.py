"""How settings become a plan; one that its engine cannot train is refused before a hospital spends time on it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from references import understood
from torch import nn

from datasites.training.models import MODELS
from policies.answers.hospital import DatasetSchema
from policies.errors import FederationError, PlanError
from policies.plans.picture_form import PictureForm
from policies.plans.plan_json import settings
from policies.plans.training import RunSpec, TrainingPlan

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.cli.program import make_program
    from researcher.cli.study_options import study_settings_of
    from researcher.hospitals.comparison import compare
    from researcher.hospitals.hospital import DatasetInfo
    from researcher.planning.counted_dataset import check_seen
    from researcher.planning.planning import StudySettings, make_plan, study_epsilon

if TYPE_CHECKING:
    from researcher.hospitals.federation import Federation

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


@pytest.mark.parametrize("further", [{"noise_multiplier": 2.0}, {"recipe": "auto"}])
def test_a_delta_at_which_a_whole_record_may_be_given_away_is_refused(further: dict[str, Any]) -> None:
    large = [DATASETS[0], replace(DATASETS[0], datasite="south", public_size=100_000)]
    with pytest.raises(PlanError, match=r"delta 1e-5 promises nothing to the 100000 units at south: .*--delta to 1e-6"):
        make_plan(StudySettings(model="linear", **further), large)
    plan = make_plan(StudySettings(model="linear", delta=9e-6, noise_multiplier=2.0), large)
    assert plan.privacy is not None and plan.privacy.delta == 9e-6
    make_plan(StudySettings(model="linear", noise_multiplier=None, epsilon=None), large)


def test_several_pictures_of_a_patient_are_refused_where_a_dataset_protects_pictures() -> None:
    with pytest.raises(PlanError, match="pictures_per_patient is 4, but the plan's privacy is not for each patient"):
        make_plan(StudySettings(model="linear", pictures_per_patient=4, noise_multiplier=2.0), DATASETS)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"label_kind": "multi"}, "label_kind: single at north, multi at south"),
        ({"class_names": ("b", "a")}, r"class_names: \('a', 'b'\) at north, \('b', 'a'\) at south"),
        ({"form": PictureForm((8, 8), 1, window="full")}, "form.window: file at north, full at south"),
        ({"form": PictureForm((8, 8), 1, store_bits=16)}, "form.store_bits: 8 at north, 16 at south"),
        ({"form": None}, "form: 8x8, stretch, window file, 8 bits at north, none at south"),
    ],
)
def test_hospitals_that_show_a_model_other_things_get_no_plan_and_the_difference_is_named(
    changes: dict[str, Any], told: str
) -> None:
    north = replace(DATASETS[0], form=PictureForm((8, 8), 1))
    study = StudySettings(model="linear", noise_multiplier=2.0)
    assert make_plan(study, [north, replace(north, datasite="south", modality="ct")]).dataset == "cells"
    with pytest.raises(FederationError, match=f"differ in {told}"):
        make_plan(study, [north, replace(north, datasite="south", **changes)])


def test_a_class_in_another_form_of_unicode_is_the_same_class() -> None:
    composed, taken_apart = ("café", "b"), ("cafe\u0301", "b")
    schemas = [DatasetSchema("cells", names, (8, 8, 1), "picture", 500, 1) for names in (composed, taken_apart)]
    published = [DatasetInfo.of(name, one, {}) for name, one in zip(("north", "south"), schemas, strict=True)]
    assert compare(published) == () and {one.class_names for one in published} == {composed}
    assert make_plan(StudySettings(model="linear", noise_multiplier=2.0), published).model.num_classes == 2
    federation = cast("Federation", SimpleNamespace(datasets=lambda: published))
    for of_the_model in (composed, taken_apart):
        check_seen(federation, "cells", of_the_model, None)
    with pytest.raises(FederationError, match="The model's classes are cafe, b, the dataset's café, b at north"):
        check_seen(federation, "cells", ("cafe", "b"), None)
    both = DatasetInfo.of("east", replace(schemas[0], class_names=("café", "cafe\u0301")), {})
    assert both.class_names == ("café", "cafe\u0301"), "two that would become one stay as the hospital has them"
    with pytest.raises(FederationError, match=r"differ in class_names.*Ask"):
        make_plan(StudySettings(model="linear", noise_multiplier=2.0), [published[0], both])


def test_the_kind_of_labels_is_taken_from_the_schema() -> None:
    study = StudySettings(model="linear", noise_multiplier=2.0)
    assert make_plan(study, [replace(DATASETS[0], label_kind="multi")]).model.label_kind == "multi"
    assert make_plan(study, DATASETS).model.label_kind == "single"


def test_the_option_for_random_allocation_ends_in_the_plan_and_takes_less_noise() -> None:
    given = ["submit", "--model", "linear", "--sample_rate", "0.2", "--local_epochs", "2"]
    poisson = make_plan(study_settings_of(understood(make_program(), given)), DATASETS)
    options = understood(make_program(), [*given, "--sampling", "random_allocation"])
    plan = make_plan(study_settings_of(options), DATASETS)
    assert TrainingPlan.from_json(plan.to_json()).sampling == "random_allocation"
    assert (plan.steps_per_round, plan.allocated_over) == (10, 5) == (poisson.steps_per_round, 5)
    assert plan.privacy is not None and poisson.privacy is not None
    assert plan.privacy.noise_multiplier < 0.99 * poisson.privacy.noise_multiplier
    assert 0.98 * 3.0 < (study_epsilon(plan) or 0) <= 3.0


@pytest.mark.parametrize("further", [{"local_epochs": 0.5}, {"sample_rate": 0.15}], ids=str)
def test_random_allocation_of_a_part_of_an_epoch_gets_no_plan(further: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="random_allocation"):
        make_plan(StudySettings(model="linear", sampling="random_allocation", **further), DATASETS)
