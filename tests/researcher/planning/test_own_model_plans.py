"""A captured file becomes a plan's model; one that fits no dataset, or contradicts other settings, becomes none."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from references import understood
from support.own_models import own_graph

from policies.errors import BudgetTooSmall, ConfigError, GraphError, PlanError
from policies.graphs.own_model import proof_of
from policies.plans.training import RunSpec, TrainingPlan

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.cli.program import make_program
    from researcher.cli.study_options import study_settings_of
    from researcher.hospitals.hospital import DatasetInfo
    from researcher.planning.planning import StudySettings, make_plan

GRAPH = own_graph()
DATASETS = [DatasetInfo("north", "cells", ("a", "b"), (16, 16, 1), "picture", 5000, {})]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.graph.json"
    path.write_text(GRAPH.to_json())
    return path


@pytest.mark.parametrize("command", ["submit", "train"])
def test_the_option_with_a_file_ends_in_the_plan_that_is_submitted(file: Path, command: str) -> None:
    needed = ["--test", "hold_out.npz"] if command == "train" else []
    options = understood(make_program(), [command, "--model_graph", str(file), "--noise_multiplier", "2", *needed])
    plan = make_plan(study_settings_of(options), DATASETS)
    assert plan.model.name == "graph"
    assert proof_of(TrainingPlan.from_json(plan.to_json()).model).graph == GRAPH


def test_findings_are_told_by_own_models_too() -> None:
    findings = [replace(DATASETS[0], label_kind="multi")]
    plan = make_plan(StudySettings(model_graph=GRAPH, noise_multiplier=2.0), findings)
    assert plan.model.label_kind == "multi"


def test_recipe_auto_reckons_with_the_own_models_parameters() -> None:
    plan = make_plan(StudySettings(model_graph=GRAPH, recipe="auto"), DATASETS)
    assert plan.privacy is not None
    with pytest.raises((PlanError, BudgetTooSmall), match="graph"):
        make_plan(StudySettings(model_graph=GRAPH, recipe="few_rounds"), DATASETS)


def test_a_model_for_other_pictures_or_classes_gets_no_plan() -> None:
    for other in ({"image_shape": (28, 28, 3)}, {"class_names": ("a", "b", "c")}):
        with pytest.raises(PlanError, match="Capture the network with these"):
            make_plan(StudySettings(model_graph=GRAPH, noise_multiplier=2.0), [replace(DATASETS[0], **other)])


def test_the_hooks_of_opacus_get_no_plan() -> None:
    settings = StudySettings(model_graph=GRAPH, noise_multiplier=2.0, run=RunSpec(engine="opacus"))
    with pytest.raises(PlanError, match="'book_keeping' alone"):
        make_plan(settings, DATASETS)


def test_a_graph_is_the_model_and_takes_no_other() -> None:
    for given in ({"model": "resnet18"}, {"options": {"width": 8}}):
        with pytest.raises(ConfigError, match="Leave out model and its options"):
            StudySettings(model_graph=GRAPH, **given)


def test_a_file_that_is_no_graph_gets_no_plan(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        make_plan(StudySettings(model_graph=tmp_path / "none.json"), DATASETS)
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(GraphError, match="Missing field"):
        make_plan(StudySettings(model_graph=tmp_path / "other.json"), DATASETS)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        make_plan(StudySettings(model_graph=tmp_path / "bytes.json"), DATASETS)
