"""Own models at a hospital's gate: proved at arrival, covered by the approval, refused without a cost."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
from support.governed import Governed, Straight
from support.hospitals import RESEARCHER
from support.own_models import REFUSED, altered, own_graph, own_spec, spec_of_text
from support.pysyft_rounds import call

from datasites.code_requests.limits.graph_room import check_room
from datasites.config import DatasiteConfig
from datasites.researchers_port.port import MAX_CALL_BYTES
from policies.contracts.inputs import Ticket
from policies.errors import GraphError, LimitExceeded, PlanError, RequestAltered
from policies.graphs.own_model import proof_of
from policies.plans.graph.packed_graph import MAX_PACKED_CHARACTERS
from policies.plans.kinds import parse
from policies.plans.training import PrivacySpec, TrainingPlan
from researcher.hospitals.code_request import CodeRequest

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    import syft as sy
    from syft.types.uid import UID

GRAPH = own_graph()
PLAN = TrainingPlan("own", "pictures", own_spec(GRAPH), 2, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5))


@pytest.fixture
def north(north: Governed, graphs_taken: None) -> Governed:
    """A hospital that takes own models."""
    return north


def test_an_own_model_is_submitted_shown_and_approved(north: Governed) -> None:
    request = north.submit(PLAN)
    card = north.book.card(request.request_id)
    assert not card.finding
    assert card.plan["model"]["graph"] == GRAPH.digest()
    assert PLAN.model.graph not in str(card)
    assert north.book.index.page(state="pending").rows[0].model == "graph"
    north.book.approve(request.request_id, by="wu")
    assert north.book.approved_now(request.request_id).plan == PLAN


@pytest.mark.parametrize("what", REFUSED)
def test_a_graph_that_cannot_be_proved_is_refused_at_arrival(north: Governed, what: str) -> None:
    change, reason = REFUSED[what]
    before = north.kept()
    with pytest.raises(GraphError, match=reason):
        north.submit(replace(PLAN, study="refused", model=spec_of_text(altered(GRAPH, change))))
    assert north.kept() == before


def test_a_plan_for_the_hooks_of_opacus_does_not_read() -> None:
    text = replace(PLAN, study="hooks").to_json().replace('"book_keeping"', '"opacus"')
    with pytest.raises(PlanError, match="'book_keeping' alone"):
        parse(text)


def test_a_hospital_that_did_not_choose_own_models_refuses_them(governed_north: Governed) -> None:
    before = governed_north.kept()
    with pytest.raises(LimitExceeded, match="model_sources lacks 'graph'"):
        governed_north.submit(replace(PLAN, study="not-here"))
    assert governed_north.kept() == before


@pytest.mark.parametrize("how", ["another number", "grown by a node"])
def test_a_graph_that_was_altered_after_its_approval_does_not_run(north: Governed, how: str) -> None:
    def change(values: dict[str, object]) -> None:
        nodes = values["nodes"]
        assert isinstance(nodes, list)
        if how == "another number":
            nodes[1]["attributes"]["eps"] = 2e-5
            return
        last = f"node:{len(nodes) - 1}"
        nodes.append({"attributes": {}, "inputs": [last], "operator": "relu", "source": ""})

    other = replace(PLAN, study="altered", model=spec_of_text(altered(GRAPH, change)))
    assert proof_of(other.model)  # it could be approved itself, but it was not
    request = north.submit(replace(PLAN, study="altered"))
    north.book.approve(request.request_id, by="wu")
    before = north.kept()
    stash, key = north.server.services.user_code.stash, north.server.verify_key
    code = stash.get_by_uid(key, UID(request.code_id)).unwrap()
    rules = next(iter(code.input_policy_init_kwargs.values()))
    approved, rules["plan"] = rules["plan"], sy.Constant(val=other.to_json()).to_policy_rule("plan")
    stash.update(key, code).unwrap()
    try:
        with pytest.raises(RequestAltered):
            north.book.approved_now(request.request_id)
        with pytest.raises(RequestAltered):
            _ask(north, request)
    finally:
        rules["plan"] = approved
        stash.update(key, code).unwrap()
    assert north.kept() == before


def _ask(north: Governed, request: CodeRequest) -> None:
    with north.door(RESEARCHER):
        call(north.calls(), north.asset, request, Ticket(0, "a" * 64))


def test_an_own_model_needs_room_in_a_run() -> None:
    proof = proof_of(PLAN.model)
    check_room(proof, DatasiteConfig("north"))
    with pytest.raises(LimitExceeded, match="max_update_bytes"):
        check_room(replace(proof, parameter_numbers=1 << 29), DatasiteConfig("north"))
    with pytest.raises(LimitExceeded, match="memory_bytes_per_run"):
        check_room(replace(proof, activation_numbers=1 << 31), DatasiteConfig("north"))


def test_the_longest_graph_of_a_plan_fits_into_a_call(north: Governed, monkeypatch: pytest.MonkeyPatch) -> None:
    long = MAX_PACKED_CHARACTERS - len(PLAN.model.graph)
    sent: list[int] = []
    straight = Straight.make_call

    def measured(self: Straight, signed_call: Any) -> Any:
        sent.append(len(sy.serialize(signed_call, to_bytes=True)))
        return straight(self, signed_call)

    monkeypatch.setattr(Straight, "make_call", measured)
    north.submit(replace(PLAN, study="short"))
    assert max(sent) + long < 0.9 * MAX_CALL_BYTES
    # the plan is sent once: a longer one is longer in the call by as much
    short, text = max(sent), altered(GRAPH, lambda values: values["nodes"][0].update(source="z" * 150))
    sent.clear()
    longer = replace(PLAN, study="longr", model=spec_of_text(text))
    north.submit(longer)
    assert abs(max(sent) - short - (len(longer.to_json()) - len(PLAN.to_json()))) < 64
