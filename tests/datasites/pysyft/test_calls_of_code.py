"""The gate in front of PySyft, over a fake of PySyft's server that runs the stub: closed at first, one check a call."""

from __future__ import annotations

import json
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from datasites.runs import entry
from policies.errors import NotAllowed, RequestDenied

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from syft.service.response import SyftError
    from syft.service.user.user_roles import ServiceRole
    from syft.types.uid import UID

    from datasites.pysyft import guard
    from datasites.pysyft.guard import Call, GuardedDatasite, Rules


class Server(GuardedDatasite):
    """The gate, with calls that are signed well by a researcher."""

    def get_role_for_credentials(self, credentials: Any) -> Any:
        return ServiceRole.DATA_SCIENTIST

    def _signed_message(self, api_call: Any) -> Any:
        return api_call.message


def serve(self: Any, api_call: Any, *_: Any) -> Any:
    """Runs the stub with the private asset, and with its mock as PySyft does."""
    ticket = api_call.message.kwargs.get("ticket")
    for kind in ("private", "mock"):
        entry.enter({"kind": kind}, "the plan", ticket)
    return "served"


def run(self: Any, account: Any, code_id: Any, ticket: str, *, asset: Any) -> None:
    """Runs the stub from its row."""
    entry.enter({"kind": "private"}, "the plan", ticket)


def fail(*_: Any, **__: Any) -> None:
    """Fails with a text that is nobody's business."""
    raise ZeroDivisionError("a patient's name")


def answer_nothing(*_: Any, **__: Any) -> None:
    """Runs no stub."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(guard.deserialiser, "install", lambda: None)
    monkeypatch.setattr(guard.roles, "install", lambda server: None)
    monkeypatch.setattr(guard.rows, "install", lambda server: None)
    monkeypatch.setattr(guard.Datasite, "__init__", lambda self: None)
    monkeypatch.setattr(guard.Datasite, "handle_api_call_with_unsigned_result", serve)
    monkeypatch.setattr(guard, "run_stub", run)
    made = Server()
    made.id = "north"
    return made


def call_of_code(**kwargs: Any) -> Any:
    kwargs = {"asset": UID(), **kwargs}
    message = SimpleNamespace(server_uid="north", path="code.call", blocking=True, args=(), kwargs=kwargs)
    return SimpleNamespace(credentials="ab", serialized_message=repr(kwargs).encode(), message=message)


class Hospital:
    """Rules that note what they were asked."""

    def __init__(self) -> None:
        self.checked: list[Call] = []
        self.admitted: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.ended = False
        self.rules = Rules(
            check_account=lambda account: None,
            check_submission=lambda code, account: None,
            arrived=lambda request_id: None,
            admission=self._admission,
            refused=lambda error, account: self.refused.append(f"{error.code} of {account}"),
        )

    def _admission(self, call: Call) -> Any:
        self.checked.append(call)
        if self.ended:
            raise RequestDenied("The hospital ended this request.")

        def admit(plan: str, ticket: str) -> dict[str, Any]:
            self.admitted.append((plan, ticket))
            return {"state": "queued"}

        return admit


def test_before_its_gate_is_opened_a_datasite_serves_no_call(server: Server) -> None:
    answer = server.handle_api_call_with_unsigned_result(call_of_code(uid="c1", ticket="t"))
    assert isinstance(answer, SyftError) and "not open yet" in answer.message
    with guard.by_the_hospital():
        assert server.handle_api_call_with_unsigned_result(call_of_code(uid="c1", ticket="t")) == "served"


def test_the_approval_of_a_call_is_checked_once_and_what_it_allows_is_carried_to_the_stub(server: Server) -> None:
    hospital = Hospital()
    server.open_gate(hospital.rules)
    answer = server.handle_api_call_with_unsigned_result(call_of_code(uid="c1", ticket="t"))
    assert json.loads(answer.value) == {"state": "queued"}
    assert hospital.checked == [Call("ab", "c1")]
    assert hospital.admitted == [("the plan", "t")]


@pytest.mark.parametrize("stub", [fail, answer_nothing])
def test_a_stub_that_fails_or_answers_nothing_is_refused_without_its_words(
    server: Server, monkeypatch: pytest.MonkeyPatch, stub: Any
) -> None:
    monkeypatch.setattr(guard, "run_stub", stub)
    server.open_gate(Hospital().rules)
    answer = server.handle_api_call_with_unsigned_result(call_of_code(uid="c1", ticket="t"))
    assert isinstance(answer, SyftError)
    assert answer.message == f"{NotAllowed.code}: The call could not be served and is refused."


def test_a_call_of_code_that_is_not_approved_any_more_reaches_no_stub(server: Server) -> None:
    hospital = Hospital()
    hospital.ended = True
    server.open_gate(hospital.rules)
    answer = server.handle_api_call_with_unsigned_result(call_of_code(uid="c1", ticket="t"))
    assert isinstance(answer, SyftError) and RequestDenied.code in answer.message
    assert hospital.admitted == []
    assert hospital.refused == [f"{RequestDenied.code} of ab"]
