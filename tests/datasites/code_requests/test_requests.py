"""Code requests from submission to decision and to a round, on real PySyft and real books, without a port."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from support.governed import SHAPES, Governed, small_plan
from support.hospitals import RESEARCHER, STRANGER
from support.pysyft_rounds import call

from datasites.code_requests.calculator import DeclaredShapes
from datasites.code_requests.receipts import Receipts
from datasites.code_requests.request_index import RequestRow
from policies.answers.plain_values import to_plain
from policies.answers.runs import RunAnswer
from policies.budget.limits import DatasetLimits
from policies.contracts.inputs import Ticket
from policies.errors import (
    BudgetExceeded,
    LimitExceeded,
    PlanError,
    RequestAltered,
    RequestDenied,
    RequestError,
    RequestNotCanonical,
    RequestPending,
    RequestUnknown,
    TooManyPending,
)
from policies.ledger.receipt import verify
from policies.papers.bill_of_materials import bill_digest
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.hospitals import code_requests

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    import syft as sy
    from syft.service.code.user_code import SubmitUserCode
    from syft.service.policy.policy import ExactMatch, MixedInputPolicy, OutputPolicyExecuteCount
    from syft.types.uid import UID

PLAN = small_plan("cells")
TICKET = Ticket(0, "a" * 64)


def plan_of(request: pytest.FixtureRequest, **changes: Any) -> TrainingPlan:
    """A plan whose study is named after its test."""
    study = "".join(one if one.isalnum() else "-" for one in request.node.name.lower())[:60].strip("-")
    return replace(PLAN, study=study, **changes)


@pytest.fixture
def plan(request: pytest.FixtureRequest) -> TrainingPlan:
    return plan_of(request)


def ask(north: Governed, request: code_requests.CodeRequest, email: str = RESEARCHER) -> RunAnswer:
    """Asks for the first round."""
    with north.door(email):
        return call(north.calls(email), north.asset, request, TICKET)


# --- cards -------------------------------------------------------------------------------------------------------


def test_a_card_says_what_would_run_and_what_it_would_cost(north: Governed, plan: TrainingPlan) -> None:
    request = north.submit(plan)
    card = north.book.card(request.request_id)
    assert (card.state, card.researcher, card.finding) == ("pending", RESEARCHER, "")
    assert card.plan["study"] == plan.study and card.numbers == 2
    assert card.epsilon == pytest.approx(0.1 * plan.total_steps)  # a tenth for each step
    assert 0 < card.epsilon_left <= north.books.limits.current.total.epsilon
    assert north.book.card(request.request_id[:12]).id == request.request_id
    assert json.loads(json.dumps(to_plain(card)))["id"] == request.request_id
    submitted = north.events("request submitted")[-1]
    assert (submitted["plan"], submitted["study"], submitted["dataset"]) == (plan.digest(), plan.study, "pictures")


def test_a_card_that_could_not_be_approved_says_why(
    north: Governed, plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = north.submit(plan)
    stricter = replace(north.books.limits._config, limits=DatasetLimits(max_rounds=1))
    monkeypatch.setattr(north.books.limits, "_config", stricter)
    assert north.book.card(request.request_id).finding.startswith(LimitExceeded.code)
    with pytest.raises(LimitExceeded, match="at most 1 rounds"):
        north.book.approve(request.request_id, by="wu")


@pytest.mark.parametrize("identifier", ["", "0" * 32, "zz", "9" * 500])
def test_a_request_that_does_not_exist_is_not_found(north: Governed, identifier: str) -> None:
    with pytest.raises(RequestUnknown):
        north.book.card(identifier)


def test_the_index_is_made_again_from_what_pysyft_keeps(north: Governed, plan: TrainingPlan) -> None:
    request = north.submit(plan)
    before = north.book.page(query=plan.study)
    assert [(row.id, row.epsilon, row.model) for row in before.rows] == [
        (request.request_id, pytest.approx(0.1 * plan.total_steps), "small_cnn")
    ]
    assert set(before.epsilon_left) == {"pictures"}
    north.book.index.forget([request.request_id])
    north.book.index.add(RequestRow("lost", "2026-11-20", RESEARCHER), account="ab", code_id="c")
    north.book.catch_up()
    assert north.book.index.ids() == {row.id for row in north.book.page(count=500).rows}
    assert north.book.page(query=plan.study).rows == before.rows and not north.book.page(query="lost").rows


def test_a_returned_request_reserves_nothing_and_is_asked_anew(north: Governed, plan: TrainingPlan) -> None:
    request = north.submit(plan)
    card = north.book.ask_for_a_change(request.request_id, reason="fewer rounds", by="wu")
    assert (card.state, card.reason, [vote.person for vote in card.votes]) == ("returned", "fewer rounds", ["wu"])
    assert request.request_id not in north.books.ledger.reservations()
    with pytest.raises(RequestDenied, match=r"returned this request for a change.*fewer rounds"):
        ask(north, request)
    again = north.submit(replace(plan, rounds=1))
    assert north.book.approve(again.request_id, by="wu").state == "approved"


def test_a_card_tells_how_many_have_voted_and_each_only_the_own_vote(
    north: Governed, plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = north.submit(plan)
    limits = replace(north.books.limits._config.limits, approvals_needed=2)
    monkeypatch.setattr(north.books.limits, "_config", replace(north.books.limits._config, limits=limits))
    north.book.deny(request.request_id, reason="a secret reason", by="wu")
    for viewer, own in (("wu", "deny"), ("chan", "")):
        card = north.book.card(request.request_id, viewer=viewer)
        assert (card.votes_given, card.own_vote, card.votes, card.days_waiting) == (1, own, (), 0)
        assert "wu" not in str(card) and "secret" not in str(card)
    shown = north.book.approve(request.request_id, by="chan", named=True)
    assert [(vote.person, vote.vote) for vote in shown.votes] == [("wu", "deny"), ("chan", "approve")]


# --- decisions ---------------------------------------------------------------------------------------------------


def test_an_approval_reserves_the_studys_whole_cost_and_lets_its_rounds_in(north: Governed, plan: TrainingPlan) -> None:
    request = north.submit(plan)
    with pytest.raises(RequestPending):
        ask(north, request)
    for nothing_decided in (request.request_id, "none"):
        with pytest.raises(RequestPending):
            north.book.approved_now(nothing_decided)
    assert north.book.approve(request.request_id, by="wu").state == "approved"
    held = north.books.ledger.reservations()[request.request_id]
    assert (held.rounds, held.released) == (plan.rounds, None)
    assert north.events("request approved")[-1]["by"] == "wu"
    assert ask(north, request).state == "queued"
    assert north.rounds[-1] == (plan.to_json(), TICKET.to_text())


def test_a_denial_tells_its_reason_and_reserves_nothing(north: Governed, plan: TrainingPlan) -> None:
    request = north.submit(plan)
    north.book.deny(request.request_id, reason="our board meets on Friday", by="wu")
    assert north.book.state_of(request.request_id) == ("denied", "our board meets on Friday")
    assert request.request_id not in north.books.ledger.reservations()
    for refused in (lambda: ask(north, request), lambda: north.book.approve(request.request_id, by="chan")):
        with pytest.raises(RequestDenied):
            refused()
    with pytest.raises(RequestError):
        north.book.end(request.request_id, by="wu", reason="over")


def test_an_ended_request_runs_no_further_round_and_gives_back_what_it_did_not_use(
    north: Governed, plan: TrainingPlan
) -> None:
    request = north.submit(plan)
    north.book.approve(request.request_id, by="wu")
    with pytest.raises(RequestError, match="End it instead"):
        north.book.deny(request.request_id, reason="no", by="wu")
    north.book.end(request.request_id, by="wu", reason="enough")
    assert north.books.ledger.reservations()[request.request_id].released is not None
    with pytest.raises(RequestDenied, match="enough"):
        ask(north, request)
    with pytest.raises(RequestDenied, match="ended"):
        north.book.approved_now(request.request_id)


def test_a_study_beyond_the_budget_is_not_approved_and_stays_as_it_was(
    north: Governed, request: pytest.FixtureRequest
) -> None:
    costly = north.submit(plan_of(request, steps_per_round=100, rounds=3))  # 30, and there are 8
    with pytest.raises(BudgetExceeded):
        north.book.approve(costly.request_id, by="wu")
    assert north.book.state_of(costly.request_id) == ("pending", "")


def test_a_plan_outside_the_limits_or_for_other_pictures_is_refused_at_submission(
    north: Governed, request: pytest.FixtureRequest
) -> None:
    for changes, error in (
        ({"privacy": None}, LimitExceeded),
        ({"privacy": PrivacySpec(0.1, 1.0, 1e-5)}, LimitExceeded),
        ({"model": ModelSpec("small_cnn", (32, 32, 3), 2)}, RequestError),
        ({"model": ModelSpec("small_cnn", (16, 16, 1), 2, {"depth": 3})}, PlanError),
    ):
        with pytest.raises(error):
            north.submit(plan_of(request, **changes))
    assert RequestError.code in north.refused and LimitExceeded.code in north.refused


def test_an_account_of_which_enough_requests_wait_submits_no_more(
    north: Governed, plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(north.book.own, "_max_pending", 0)
    known = north.book.index.ids()
    with pytest.raises(TooManyPending):
        north.submit(plan)
    assert north.book.index.ids() == known and TooManyPending.code in north.refused


# --- what is canonical -------------------------------------------------------------------------------------------


def send(north: Governed, plan: TrainingPlan, *, asset: Any = None, function: Any = None, **more: Any) -> None:
    """Submits code by PySyft's own means, with something else than the platform's client would send."""
    with north.door():
        client = north.client()
        asset = client.datasets["pictures"].assets[0] if asset is None else asset
        policy = MixedInputPolicy(asset=asset, plan=sy.Constant(val=plan.to_json()), ticket=str, client=client, **more)
        if function is None:
            code_requests.submit(north.calls(), str(asset), plan)
        else:
            client.code.request_code_execution(sy.syft_function(input_policy=policy)(function))


def test_code_that_is_not_the_stub_is_refused(north: Governed, plan: TrainingPlan) -> None:
    def wanwu_own(asset: Any, plan: Any, ticket: Any) -> Any:
        return ticket

    with pytest.raises(sy.SyftException, match=RequestNotCanonical.code):
        send(north, plan, function=wanwu_own)


Change = Callable[[SubmitUserCode], dict[str, Any]]


def ruled(**changed: Callable[[dict[str, Any]], Any]) -> Change:
    """Other rules for some arguments of a submission, each made of what the rules were."""

    def rules_of(code: SubmitUserCode) -> dict[str, Any]:
        ((server, rules),) = code.input_policy_init_kwargs.items()
        return {"input_policy_init_kwargs": {server: {**rules, **{name: of(rules) for name, of in changed.items()}}}}

    return rules_of


def of_server(code: SubmitUserCode, *, beside: bool) -> dict[str, Any]:
    """The rules of another server, in the place of this one's or after them."""
    ((server, rules),) = code.input_policy_init_kwargs.items()
    others = {server.model_copy(update={"server_id": UID()}): rules}
    return {"input_policy_init_kwargs": {**code.input_policy_init_kwargs, **others} if beside else others}


DIFFERENT: dict[str, Change] = {
    "another input policy": lambda code: {"input_policy_type": ExactMatch},
    "another output policy": lambda code: {"output_policy_type": OutputPolicyExecuteCount},
    "an output policy with a setting": lambda code: {"output_policy_init_kwargs": {"limit": 5}},
    "a pool of workers": lambda code: {"worker_pool_name": "another"},
    "an argument more": lambda code: {"input_kwargs": [*code.input_kwargs, "more"]},
    "an argument fewer": lambda code: {"input_kwargs": code.input_kwargs[:2]},
    "another name": lambda code: {"func_name": f"{code.func_name}0"},
    "another text": lambda code: {"code": f"{code.code}\n"},
    "a rule more": ruled(more=lambda rules: rules["ticket"]),
    "an asset that is named by a text": ruled(
        asset=lambda rules: rules["asset"].model_copy(update={"val": str(rules["asset"].val)})
    ),
    "an asset of the researcher's": ruled(asset=lambda rules: rules["ticket"]),
    "a plan that comes with the call": ruled(plan=lambda rules: rules["ticket"]),
    "a plan that may come with the call": ruled(
        plan=lambda rules: rules["plan"].model_copy(update={"requires_input": True})
    ),
    "a plan with a blank more": ruled(plan=lambda rules: sy.Constant(val=f"{rules['plan'].val} ")),
    "a ticket that is a number": ruled(ticket=lambda rules: rules["ticket"].model_copy(update={"type": int})),
    "a ticket that is pinned": ruled(ticket=lambda rules: sy.Constant(val="a ticket")),
    "the rules of another server": lambda code: of_server(code, beside=False),
    "another server's rules beside": lambda code: of_server(code, beside=True),
}


def test_a_submission_that_differs_in_anything_from_the_platforms_own_is_refused(
    north: Governed, plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[SubmitUserCode] = []
    read = north.book._reader.read_submission

    def noted(code: SubmitUserCode) -> Any:
        sent.append(code)
        return read(code)

    monkeypatch.setattr(north.book._reader, "read_submission", noted)
    north.submit(plan)
    (code,) = sent
    assert read(code)[0] == plan
    for what, changed in DIFFERENT.items():
        with pytest.raises(RequestNotCanonical):
            read(code.model_copy(update=changed(code)))
            pytest.fail(f"{what} is let in")


def test_an_asset_that_is_not_the_plans_dataset_is_refused(north: Governed, plan: TrainingPlan) -> None:
    with pytest.raises(RequestNotCanonical):
        send(north, plan, asset=UID())


def test_a_dataset_that_the_hospital_does_not_have_is_refused(north: Governed, request: pytest.FixtureRequest) -> None:
    with pytest.raises(RequestNotCanonical):
        north.submit(plan_of(request, dataset="others"))


@contextlib.contextmanager
def kept_code(north: Governed, request: code_requests.CodeRequest, part: str, value: Any) -> Iterator[None]:
    """Inside, PySyft keeps another value in one field of a request's code."""
    stash, key = north.server.services.user_code.stash, north.server.verify_key
    code = stash.get_by_uid(key, UID(request.code_id)).unwrap()
    before = getattr(code, part)
    setattr(code, part, value(before))
    stash.update(key, code).unwrap()
    try:
        yield
    finally:
        setattr(code, part, before)
        stash.update(key, code).unwrap()


@pytest.mark.parametrize("part", ["parsed_code", "raw_code", "service_func_name", "unique_func_name"])
def test_code_that_changed_after_its_approval_is_not_what_was_approved(
    north: Governed, plan: TrainingPlan, part: str
) -> None:
    request = north.submit(plan)
    north.book.approve(request.request_id, by="wu")
    entries, rounds = len(north.books.ledger.entries()), len(north.rounds)
    with kept_code(north, request, part, lambda text: text + "x"), pytest.raises(RequestAltered):
        north.book.approved_now(request.request_id)
    assert (len(north.books.ledger.entries()), len(north.rounds)) == (entries, rounds)
    assert north.events("request altered after approval")
    assert north.book.approved_now(request.request_id)


def test_code_that_changed_before_its_approval_is_not_approved_and_can_be_denied(
    north: Governed, plan: TrainingPlan
) -> None:
    request = north.submit(plan)
    with kept_code(north, request, "raw_code", lambda text: text + "\n"):
        assert north.book.card(request.request_id).finding.startswith(RequestNotCanonical.code)
        with pytest.raises(RequestNotCanonical):
            north.book.approve(request.request_id, by="wu")
        assert north.book.deny(request.request_id, reason="not ours", by="wu").state == "denied"


def test_an_approval_covers_the_shapes_that_were_shown(north: Governed, plan: TrainingPlan) -> None:
    request = north.submit(plan)
    before = north.book.card(request.request_id).digest
    north.books.calculator.shown = DeclaredShapes({"w": (3,)}, {"w": (3,)})  # type: ignore[attr-defined]
    try:
        assert north.book.card(request.request_id).digest != before
    finally:
        north.books.calculator.shown = SHAPES  # type: ignore[attr-defined]


# --- whose it is -------------------------------------------------------------------------------------------------


def test_anothers_code_cannot_be_called_and_is_as_unknown_as_none(north: Governed, plan: TrainingPlan) -> None:
    request = north.submit(plan)
    north.book.approve(request.request_id, by="wu")
    told = {north.call("code.call", email=STRANGER, uid=uid).message for uid in (UID(request.code_id), UID())}
    assert len(told) == 1 and told.pop().startswith(RequestUnknown.code)
    north.book.own.check(request.request_id, str(north.key().verify_key))
    with pytest.raises(RequestUnknown):
        north.book.own.check(request.request_id, str(north.key(STRANGER).verify_key))


# --- receipts ----------------------------------------------------------------------------------------------------


def test_a_receipt_states_the_rounds_that_were_charged_and_verifies(north: Governed, plan: TrainingPlan) -> None:
    receipts = Receipts("north", bytes(32), north.books)
    request = north.submit(plan)
    with pytest.raises(RequestUnknown, match="approved requests only"):
        receipts.issue(request.request_id)
    north.book.approve(request.request_id, by="wu")
    receipt = json.loads(receipts.issue(request.request_id))["receipt"]
    assert (receipt["study"], receipt["approver"], receipt["rounds"]) == (plan.study, "wu", [])
    assert receipt["versions"]["sbom"] == bill_digest()
    verify(receipts.issue(request.request_id), receipts.public_key)
    assert north.events("receipt issued")[-1]["request"] == request.request_id
