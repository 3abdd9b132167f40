"""Own losses at a hospital's gate: proved at arrival, covered by the approval, refused without a cost."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from support.governed import Governed
from support.hospitals import RESEARCHER
from support.own_losses import REFUSED, altered_loss, cross_entropy, loss_graph, objective_of_text, own_objective
from support.pysyft_rounds import call

from policies.contracts.inputs import Ticket
from policies.errors import GraphError, LimitExceeded, RequestAltered
from policies.graphs.losses.own_loss import loss_proof_of
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    import syft as sy
    from syft.types.uid import UID

LOSS = loss_graph(cross_entropy, num_classes=2)
PLAN = TrainingPlan(
    "own",
    "pictures",
    ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4}),
    2,
    1,
    0.1,
    0.5,
    privacy=PrivacySpec(2.0, 1.0, 1e-5),
    objective=own_objective(LOSS),
)


@pytest.fixture
def north(north: Governed, graphs_taken: None) -> Governed:
    """A hospital that takes own losses."""
    return north


def test_an_own_loss_is_submitted_shown_and_approved(north: Governed) -> None:
    request = north.submit(PLAN)
    card = north.book.card(request.request_id)
    assert not card.finding
    assert card.plan["objective"]["loss_graph"] == LOSS.digest()
    assert PLAN.objective.loss_graph not in str(card)
    north.book.approve(request.request_id, by="wu")
    assert north.book.approved_now(request.request_id).plan == PLAN


@pytest.mark.parametrize("what", REFUSED)
def test_a_loss_that_cannot_be_proved_is_refused_at_arrival(north: Governed, what: str) -> None:
    change, reason = REFUSED[what]
    before = north.kept()
    with pytest.raises(GraphError, match=reason):
        north.submit(replace(PLAN, study="refused", objective=objective_of_text(altered_loss(LOSS, change))))
    assert north.kept() == before


def test_a_loss_for_other_labels_is_refused_at_arrival(north: Governed) -> None:
    before = north.kept()
    with pytest.raises(GraphError, match="Capture the loss for the dataset's schema"):
        north.submit(replace(PLAN, study="refused", objective=own_objective(loss_graph(cross_entropy))))
    assert north.kept() == before


def test_a_hospital_that_did_not_choose_graphs_refuses_own_losses(governed_north: Governed) -> None:
    before = governed_north.kept()
    with pytest.raises(LimitExceeded, match="takes no own losses"):
        governed_north.submit(replace(PLAN, study="not-here"))
    assert governed_north.kept() == before


@pytest.mark.parametrize("how", ["another number", "grown by a node"])
def test_a_loss_that_was_altered_after_its_approval_does_not_run(north: Governed, how: str) -> None:
    def change(values: dict[str, object]) -> None:
        nodes = values["nodes"]
        assert isinstance(nodes, list)
        if how == "another number":
            nodes[-1]["attributes"]["factor"] = -2.0
            return
        last = f"node:{len(nodes) - 1}"
        nodes.append({"attributes": {}, "inputs": [last], "operator": "softplus", "source": ""})

    other = replace(PLAN, study="altered", objective=objective_of_text(altered_loss(LOSS, change)))
    assert loss_proof_of(other.objective)  # it could be approved itself, but it was not
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
        with pytest.raises(RequestAltered), north.door(RESEARCHER):
            call(north.calls(), north.asset, request, Ticket(0, "a" * 64))
    finally:
        rules["plan"] = approved
        stash.update(key, code).unwrap()
    assert north.kept() == before
