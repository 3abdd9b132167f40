"""A study of an own loss over real sockets: captured, rehearsed, approved, trained at two hospitals, and refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.hospitals import Hospital, changed_decision, make_hospital, running
from support.own_losses import REFUSED, altered_loss, objective_of_text

from datasites.training.models import initial_weights
from policies.errors import GraphError, LimitExceeded, WanwuError
from policies.graphs.losses.loss_graph import LossGraph, read_loss
from policies.plans.training import TrainingPlan
from researcher.captures.loss_capture import CapturedLoss, capture_loss
from researcher.hospitals.federation import Federation
from researcher.planning.planning import StudySettings, make_plan
from researcher.studies.kept_plan import LOSS_FILE
from researcher.studies.retry_policy import RetryPolicy
from researcher.studies.study import Study


def focal(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, less where a picture is right already; a mean over the pictures, as people write it."""
    log = (output.log_softmax(dim=1) * label).sum(dim=1)
    return -((1 - log.exp()) ** 2 * log).mean()


@pytest.fixture(scope="module")
def captured() -> CapturedLoss:
    return capture_loss(focal, num_classes=2)


@pytest.fixture(scope="module")
def open_pair(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[dict[str, Hospital]]:
    """Two hospitals that take graphs; north rehearses."""
    folder = tmp_path_factory.mktemp("open")
    made = [make_hospital(folder, name, pictures, rehearses=name == "north") for name in ("north", "south")]
    for hospital in made:
        hospital.configure(model_sources=["built_in", "graph"])
    with running(*made) as started:
        yield started


@pytest.fixture(scope="module")
def both(open_pair: dict[str, Hospital]) -> Iterator[Federation]:
    with Federation.connect([hospital.credentials() for hospital in open_pair.values()]) as connected:
        yield connected


def planned(federation: Federation, loss: LossGraph | Path, study: str) -> TrainingPlan:
    settings = StudySettings(
        study=study,
        options={"width": 4},
        loss_graph=loss,
        num_rounds=2,
        local_epochs=1.0,
        sample_rate=0.2,
        noise_multiplier=8.0,
        learning_rate=1.0,
    )
    return make_plan(settings, federation.datasets())


def approve(study: Study, hospitals: dict[str, Hospital]) -> None:
    for name, request in study.requests.items():
        hospitals[name].admin("approve", request.request_id)


def test_an_own_loss_trains_at_two_hospitals_under_differential_privacy(
    open_pair: dict[str, Hospital], both: Federation, captured: CapturedLoss, hold_out: Any, tmp_path: Path
) -> None:
    plan = planned(both, captured.save(tmp_path / "focal.graph.json"), "own-loss")
    assert plan.privacy is not None and plan.objective.is_own
    study = Study.submit(both, plan, tmp_path / "study")
    assert not study.refused
    assert read_loss((tmp_path / "study" / LOSS_FILE).read_text()) == captured.graph
    approve(study, open_pair)
    begin = initial_weights(plan.model, 0)
    state, history = study.run(hold_out=hold_out, initial_weights=begin)
    assert Study.load(both, tmp_path / "study").plan == plan
    assert [record.datasites for record in history.records] == [("north", "south")] * 2
    assert all(np.isfinite(array).all() for array in state.weights.values())
    assert any(np.any(array != begin[name]) for name, array in state.weights.items())
    rehearsal = study.rehearsals()["north"]
    assert rehearsal.state == "passed", rehearsal.told()
    study.end()
    for file in study.receipts(tmp_path / "receipts"):
        assert plan.objective.loss_graph in file.read_text()


@pytest.mark.parametrize("what", REFUSED)
def test_a_loss_that_cannot_be_proved_is_refused_and_nothing_is_kept(
    open_pair: dict[str, Hospital], both: Federation, captured: CapturedLoss, tmp_path: Path, what: str
) -> None:
    change, reason = REFUSED[what]
    honest = planned(both, captured.graph, "refused")
    plan = replace(honest, objective=objective_of_text(altered_loss(captured.graph, change)))
    before = [(hospital.ledger_entries(), hospital.admin_json("requests")) for hospital in open_pair.values()]
    with pytest.raises(GraphError, match=reason):
        Study.submit(both, plan, tmp_path / "study")
    assert [(hospital.ledger_entries(), hospital.admin_json("requests")) for hospital in open_pair.values()] == before


def test_a_loss_that_another_took_the_place_of_is_not_run_and_not_charged(
    open_pair: dict[str, Hospital], both: Federation, captured: CapturedLoss, hold_out: Any, tmp_path: Path
) -> None:
    plan = planned(both, captured.graph, "swapped")
    study = Study.submit(both, plan, tmp_path)
    approve(study, open_pair)
    grown = altered_loss(captured.graph, lambda values: values["nodes"][0].update(source="elsewhere"))
    other = replace(plan, objective=objective_of_text(grown))
    charged = {name: hospital.ledger_entries() for name, hospital in open_pair.items()}
    north = open_pair["north"]
    with (
        changed_decision(north, study.requests["north"].request_id, "plan", other.to_json()),
        pytest.raises(WanwuError, match="north"),
    ):
        study.run(
            hold_out=hold_out, initial_weights=initial_weights(plan.model, 0), retry_policy=RetryPolicy(attempts=1)
        )
    assert north.ledger_entries() == charged["north"]


def test_hospitals_that_did_not_choose_graphs_take_no_own_loss(
    federation: Federation, captured: CapturedLoss, tmp_path: Path
) -> None:
    with pytest.raises(LimitExceeded, match="takes no own losses"):
        Study.submit(federation, planned(federation, captured.graph, "closed"), tmp_path)
