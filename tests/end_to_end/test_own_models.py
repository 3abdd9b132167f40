"""A study of an own model over real sockets: captured, rehearsed, approved, trained at two hospitals, and refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.hospitals import Hospital, changed_decision, make_hospital, running
from support.own_models import REFUSED, altered, own_graph, spec_of_text
from torch import nn

from datasites.training.models import initial_weights
from policies.errors import GraphError, LimitExceeded, WanwuError
from policies.graphs.graph import Graph
from policies.graphs.reading import read_graph
from policies.plans.releases import EvaluationPlan, ReleaseSpec
from policies.plans.training import TrainingPlan
from researcher.captures.capture import CapturedModel, capture
from researcher.counts.releases import CountRequest
from researcher.hospitals.federation import Federation
from researcher.planning.planning import StudySettings, make_plan
from researcher.strategies.fed_avg import FedAvg
from researcher.strategies.state import ClientUpdate, ServerState
from researcher.studies.kept_plan import GRAPH_FILE
from researcher.studies.retry_policy import RetryPolicy
from researcher.studies.study import Study


class OwnNetwork(nn.Module):
    """A small convolutional network with a branch and a factor of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.branch = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.gain = nn.Parameter(torch.ones(1, 8, 1, 1))
        self.head = nn.Linear(8, 2)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        maps = torch.relu(self.norm(self.stem(pictures)))
        maps = maps + self.gain * torch.tanh(self.branch(maps))
        return self.head(maps.mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def captured() -> CapturedModel:
    torch.manual_seed(0)
    return capture(OwnNetwork(), image_shape=(16, 16, 1), num_classes=2)


@pytest.fixture(scope="module")
def open_pair(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[dict[str, Hospital]]:
    """Two hospitals that take own models; north rehearses."""
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


def planned(federation: Federation, graph: Graph | Path, study: str) -> TrainingPlan:
    settings = StudySettings(
        study=study,
        model_graph=graph,
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


def test_an_own_network_trains_at_two_hospitals_and_its_updates_are_averaged(
    open_pair: dict[str, Hospital],
    both: Federation,
    captured: CapturedModel,
    hold_out: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[ServerState, list[ClientUpdate], ServerState]] = []
    apply = FedAvg.apply

    def watched(self: FedAvg, state: ServerState, updates: Iterable[ClientUpdate]) -> ServerState:
        came = list(updates)
        after = apply(self, state, iter(came))
        seen.append((state, came, after))
        return after

    monkeypatch.setattr(FedAvg, "apply", watched)
    file = captured.save(tmp_path / "own.graph.json")
    plan = planned(both, file, "own")
    study = Study.submit(both, plan, tmp_path / "study")
    assert not study.refused
    assert read_graph((tmp_path / "study" / GRAPH_FILE).read_text()) == captured.graph
    approve(study, open_pair)
    state, history = study.run(hold_out=hold_out, initial_weights=captured.weights, rounds=1)
    again = Study.load(both, tmp_path / "study")
    assert again.plan == plan
    state, history = again.run(hold_out=hold_out, initial_weights=captured.weights)

    assert [record.datasites for record in history.records] == [("north", "south")] * 2
    assert set(state.weights) == set(captured.graph.parameters)
    for before, came, after in seen:
        assert {one.datasite for one in came} == {"north", "south"}
        for name, array in after.weights.items():
            mean = np.mean([one.update[name].astype(np.float64) for one in came], axis=0)
            np.testing.assert_allclose(array, before.weights[name] + mean, rtol=1e-6, atol=1e-6)
            assert np.any(mean != 0), name
    assert len(seen) == 2
    rehearsal = study.rehearsals()["north"]
    assert rehearsal.state == "passed", rehearsal.told()

    evaluation = EvaluationPlan("own", "pictures", plan.model, 1, ReleaseSpec(40.0, 1e-5))
    counts = CountRequest.submit(both, evaluation, tmp_path / "evaluation")
    for name, sent in counts.requests.items():
        open_pair[name].admin("approve", sent.request_id)
    assert sorted(counts.collect(state.weights).arrays) == ["north", "south"]


def test_a_receipt_names_the_graph_that_ran(open_pair: dict[str, Hospital], both: Federation, tmp_path: Path) -> None:
    plan = planned(both, own_graph(), "receipted")
    study = Study.submit(both, plan, tmp_path)
    approve(study, open_pair)
    study.end()
    for file in study.receipts(tmp_path / "receipts"):
        assert plan.model.graph in file.read_text()


@pytest.mark.parametrize("what", REFUSED)
def test_a_graph_that_cannot_be_proved_is_refused_and_nothing_is_kept(
    open_pair: dict[str, Hospital], both: Federation, tmp_path: Path, what: str
) -> None:
    change, reason = REFUSED[what]
    honest = planned(both, own_graph(), "refused")
    plan = replace(honest, model=spec_of_text(altered(own_graph(), change)))
    before = [(hospital.ledger_entries(), hospital.admin_json("requests")) for hospital in open_pair.values()]
    with pytest.raises(GraphError, match=reason):
        Study.submit(both, plan, tmp_path / "study")
    assert [(hospital.ledger_entries(), hospital.admin_json("requests")) for hospital in open_pair.values()] == before


def test_a_graph_that_another_took_the_place_of_is_not_run_and_not_charged(
    open_pair: dict[str, Hospital], both: Federation, hold_out: Any, tmp_path: Path
) -> None:
    plan = planned(both, own_graph(), "swapped")
    study = Study.submit(both, plan, tmp_path)
    approve(study, open_pair)
    grown = altered(own_graph(), lambda values: values["nodes"][1]["attributes"].update(eps=2e-5))
    other = replace(plan, model=spec_of_text(grown))
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


def test_hospitals_that_did_not_choose_own_models_take_none(federation: Federation, tmp_path: Path) -> None:
    plan = planned(federation, own_graph(), "closed")
    with pytest.raises(LimitExceeded, match="takes no own models"):
        Study.submit(federation, plan, tmp_path)
