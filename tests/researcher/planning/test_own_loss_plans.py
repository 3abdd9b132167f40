"""A captured loss becomes a plan's objective; one that fits no dataset, or contradicts other settings, becomes none."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from support.own_losses import cross_entropy, findings, loss_graph
from support.own_models import own_graph

from policies.errors import ConfigError, GraphError
from policies.graphs.losses.own_loss import loss_proof_of
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.training import TrainingPlan

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from references import understood

    from researcher.cli.program import make_program
    from researcher.cli.study_options import study_settings_of
    from researcher.hospitals.hospital import DatasetInfo
    from researcher.notebook.settings import settings_of
    from researcher.planning.planning import StudySettings, make_plan

LOSS = loss_graph(cross_entropy, num_classes=2)
DATASETS = [DatasetInfo("north", "cells", ("a", "b"), (16, 16, 1), "picture", 5000, {})]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "loss.graph.json"
    path.write_text(LOSS.to_json())
    return path


@pytest.mark.parametrize("command", ["submit", "train"])
def test_the_option_with_a_file_ends_in_the_plan_that_is_submitted(file: Path, command: str) -> None:
    needed = ["--test", "hold_out.npz"] if command == "train" else []
    options = understood(make_program(), [command, "--loss_graph", str(file), "--noise_multiplier", "2", *needed])
    plan = make_plan(study_settings_of(options), DATASETS)
    assert plan.objective.loss == "graph"
    assert loss_proof_of(TrainingPlan.from_json(plan.to_json()).objective).loss == LOSS


@pytest.mark.parametrize("kind", ["file", "loss"])
def test_a_notebook_gives_it_by_name(file: Path, kind: str) -> None:
    given = {"loss_graph": file if kind == "file" else LOSS, "model_graph": own_graph(), "noise_multiplier": 2.0}
    plan = make_plan(settings_of(given), DATASETS)
    assert (plan.model.name, plan.objective.loss) == ("graph", "graph")


def test_recipe_auto_takes_it() -> None:
    assert make_plan(StudySettings(loss_graph=LOSS, recipe="auto"), DATASETS).objective.is_own


def test_a_loss_for_other_labels_gets_no_plan() -> None:
    for other in ({"class_names": ("a", "b", "c")}, {"label_kind": "multi"}):
        with pytest.raises(GraphError, match="Capture the loss for the dataset's schema"):
            make_plan(StudySettings(loss_graph=LOSS, noise_multiplier=2.0), [replace(DATASETS[0], **other)])
    of_findings = loss_graph(findings, label_kind="multi", num_classes=2)
    told = [replace(DATASETS[0], label_kind="multi")]
    assert make_plan(StudySettings(loss_graph=of_findings, noise_multiplier=2.0), told).objective.is_own


def test_a_graph_is_the_loss_and_takes_no_other() -> None:
    for given in (ObjectiveSpec("ordinal"), ObjectiveSpec(label_smoothing=0.1)):
        with pytest.raises(ConfigError, match="Leave out loss, label_smoothing and weights"):
            StudySettings(loss_graph=LOSS, objective=given)


def test_a_file_that_is_no_loss_gets_no_plan(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="graph of an own loss"):
        make_plan(StudySettings(loss_graph=tmp_path / "none.json"), DATASETS)
    (tmp_path / "other.json").write_text(own_graph().to_json())
    with pytest.raises(GraphError, match="Unknown field 'graph' in loss"):
        make_plan(StudySettings(loss_graph=tmp_path / "other.json"), DATASETS)
