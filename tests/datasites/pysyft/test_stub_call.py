"""The stub of an approved request, run from PySyft's row of code: what passes, and what that leaves behind."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from support.governed import Governed
from support.hospitals import RESEARCHER, STRANGER

from datasites.runs.entry import serving
from policies.answers.runs import RunAnswer
from policies.contracts.inputs import MAX_TICKET_BYTES, Ticket
from policies.errors import FederationError, InputRefused, NotAllowed, RequestError, WanwuError
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.hospitals import code_requests

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from syft.service.request.request import Request
    from syft.types.errors import SyftException
    from syft.types.uid import UID

    from datasites.pysyft import rows
    from datasites.pysyft.context import admin_context
    from datasites.pysyft.stub_call import run_stub

PLAN = TrainingPlan(
    "stub", "pictures", ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4}), 2, 1, 0.1, 0.5,
    privacy=PrivacySpec(2.0, 1.0, 1e-5),
)  # fmt: skip
TICKET = Ticket(0, "a" * 64).to_text()


@pytest.fixture
def north(governed_north: Governed) -> Governed:
    return governed_north


@pytest.fixture
def approved(north: Governed, request: pytest.FixtureRequest) -> code_requests.CodeRequest:
    plan = TrainingPlan(**{**vars(PLAN), "study": request.node.name.partition("[")[0].replace("_", "-")[:60]})
    made = north.submit(plan)
    north.book.approve(made.request_id, by="wu")
    return made


def run(north: Governed, made: code_requests.CodeRequest, *, email: str = RESEARCHER, **changes: Any) -> list[Any]:
    """What the stub asks for: plan and ticket."""
    asked: list[Any] = []

    def admit(plan: str, ticket: str) -> RunAnswer:
        asked.append((plan, ticket))
        return RunAnswer("0" * 32, 0, "queued", "", "", "", 0, 0)

    called = {"code_id": UID(made.code_id), "asset": UID(north.asset), "ticket": TICKET, **changes}
    with north.server.lock, serving(admit) as answers:
        run_stub(north.server, north.key(email).verify_key, **called)
    assert len(answers) == 1
    return asked


def count(north: Governed) -> list[int]:
    """Rows of PySyft's objects and of its notes of answers."""
    stashes = (north.server.services.action.stash, north.server.services.output.stash)
    return [len(stash.get_all(north.server.verify_key, has_permission=True).unwrap()) for stash in stashes]


def test_the_stub_is_given_the_pinned_plan_and_the_ticket_and_leaves_nothing(
    north: Governed, approved: code_requests.CodeRequest
) -> None:
    before = count(north)
    for _ in range(3):
        ((plan, ticket),) = run(north, approved)
        assert ticket == TICKET and TrainingPlan.from_json(plan).study.startswith("test-the-stub-is-given")
    assert count(north) == before


def test_code_that_pysyft_does_not_hold_for_approved_is_not_run(
    north: Governed, approved: code_requests.CodeRequest
) -> None:
    request: Request = north.book._reader.find(approved.request_id)
    with north.server.lock:
        request.undo(admin_context(north.server))
    with pytest.raises(SyftException, match="waiting for approval"):
        run(north, approved)


@pytest.mark.parametrize("changes", [{"asset": UID()}, {"ticket": "x" * (MAX_TICKET_BYTES + 1)}])
def test_another_asset_and_a_ticket_longer_than_any_are_refused(
    north: Governed, approved: code_requests.CodeRequest, changes: dict[str, Any]
) -> None:
    with pytest.raises(InputRefused):
        run(north, approved, **changes)


def test_another_account_cannot_run_it(north: Governed, approved: code_requests.CodeRequest) -> None:
    with pytest.raises(SyftException):
        run(north, approved, email=STRANGER)


def test_a_call_that_names_no_asset_is_refused(north: Governed, approved: code_requests.CodeRequest) -> None:
    for arguments in ({}, {"asset": None}, {"asset": str(UID())}):
        answer = north.call("code.call", uid=UID(approved.code_id), ticket=TICKET, **arguments)
        assert answer.message.startswith(NotAllowed.code)
    assert north.call("code.call", uid=UID(approved.code_id), ticket=TICKET, asset=UID(north.asset)).value


def test_a_round_by_the_signed_routes_passes_the_same_gate(
    north: Governed, approved: code_requests.CodeRequest
) -> None:
    def ask(email: str, at: str) -> str:
        with north.door(at):
            return str(north.server.serve_round(str(north.key(email).verify_key), approved.code_id, TICKET))

    asked = len(north.rounds)
    assert '"queued"' in ask(RESEARCHER, RESEARCHER)
    assert north.rounds[asked:] == [(north.book.approved_now(approved.request_id).plan.to_json(), TICKET)]
    for email, at in ((STRANGER, STRANGER), (RESEARCHER, STRANGER), (STRANGER, RESEARCHER)):
        with pytest.raises(WanwuError):
            ask(email, at)
    with north.door(), pytest.raises(NotAllowed):
        north.server.serve_round(str(north.server.verify_key), approved.code_id, TICKET)
    with north.server.lock:
        north.book._reader.find(approved.request_id).undo(admin_context(north.server))
    with pytest.raises(RequestError, match="waiting for approval"):
        ask(RESEARCHER, RESEARCHER)
    assert len(north.rounds) == asked + 1


def test_a_row_is_parsed_once_as_long_as_it_stays_and_each_reader_has_a_copy_of_its_own(
    north: Governed, approved: code_requests.CodeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    stash, key, uid = north.server.services.user_code.stash, north.server.verify_key, UID(approved.code_id)
    parsed: list[Any] = []
    known: rows._Parsed = stash.row_as_obj
    parse = known._parse

    def noted(row: Any) -> Any:
        if row.fields["__canonical_name__"] == "UserCode":
            parsed.append(row)
        return parse(row)

    monkeypatch.setattr(known, "_parse", noted)
    known._known.clear()
    first = stash.get_by_uid(key, uid).unwrap()
    first.raw_code += "changed by one reader"
    again = stash.get_by_uid(key, uid).unwrap()
    assert len(parsed) == 1 and "changed by one reader" not in again.raw_code
    assert again == parse(parsed[0])
    before = again.raw_code
    again.raw_code += "#"
    stash.update(key, again).unwrap()
    try:
        assert stash.get_by_uid(key, uid).unwrap().raw_code == before + "#"
    finally:
        again.raw_code = before
        stash.update(key, again).unwrap()


def test_no_more_rows_are_remembered_than_there_is_room_for() -> None:
    known = rows._Parsed(lambda row: row.fields["n"], "UserCode")

    def read(number: int, kind: str = "UserCode", **more: str) -> int:
        return int(known(SimpleNamespace(fields={"__canonical_name__": kind, "n": number, **more})))

    assert read(1, "User") == 1 and not known._known
    assert read(1, long="x" * rows._MOST_CHARACTERS) == 1 and not known._known
    assert [read(number) for number in range(200)] == list(range(200))
    assert len(known._known) == rows._MOST_ROWS


@pytest.mark.parametrize("odd", [None, "made", SimpleNamespace(changes=[]), SimpleNamespace(changes=[None])])
def test_an_answer_to_a_submission_that_is_no_code_request_is_told_as_that(
    north: Governed, monkeypatch: pytest.MonkeyPatch, odd: Any
) -> None:
    calls = north.calls()
    monkeypatch.setattr(calls, "make", lambda path, **arguments: odd)
    with pytest.raises(FederationError, match="something else than a code request"):
        code_requests.submit(calls, north.asset, PLAN)
