"""A datasite that is stopped within a decision tells of it at its next start, on real PySyft and real books."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from support.governed import Governed
from support.hospitals import RESEARCHER
from support.pysyft_rounds import call

from policies.contracts.inputs import Ticket
from policies.errors import RequestDenied
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.hospitals.code_request import CodeRequest

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from syft.service.request.request import RequestStatus

    from datasites.pysyft.context import admin_context

PRIVACY = PrivacySpec(2.0, 1.0, 1e-5)
PLAN = TrainingPlan(
    "cells", "pictures", ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4}), 2, 1, 0.1, 0.5, privacy=PRIVACY
)


class Killed(BaseException):
    """What a kill looks like to those who would clean up after an error."""


@contextmanager
def killed_at(owner: Any, name: str) -> Iterator[None]:
    """Within, the datasite ends where this is called."""

    def end(*_: Any, **__: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, name, end)
        yield


def status(north: Governed, request_id: str) -> Any:
    """PySyft's own, on which a researcher's call depends."""
    request = north.book._reader.find(request_id)
    with north.server.lock:
        return request.get_status(admin_context(north.server))


def completed(north: Governed) -> list[tuple[str, str]]:
    return [(one["request"], one["decision"]) for one in north.events("decision completed")]


def ask(north: Governed, request: CodeRequest) -> None:
    with north.door(RESEARCHER):
        call(north.calls(RESEARCHER), north.asset, request, Ticket(0, "a" * 64))


@pytest.fixture
def study(governed_north: Governed, request: pytest.FixtureRequest) -> CodeRequest:
    return governed_north.submit(replace(PLAN, study=request.node.name.replace("_", "-")[:60]))


def test_an_approval_that_pysyft_was_not_told_of_holds_after_the_next_start(
    governed_north: Governed, study: CodeRequest
) -> None:
    north, own = governed_north, study.request_id
    with killed_at(north.server.services.request, "apply"):
        north.book.approve(own, by="wu")
    assert (north.book.state_of(own)[0], status(north, own)) == ("approved", RequestStatus.PENDING)
    entries = len(north.books.ledger.entries())
    for _ in range(2):
        north.book.catch_up()
        assert status(north, own) == RequestStatus.APPROVED
    ask(north, study)
    assert completed(north) == [(own, "approved")] and len(north.books.ledger.entries()) == entries
    north.book.end(own, by="wu", reason="over")


def test_an_error_of_pysyfts_at_one_decision_does_not_stop_the_start(
    governed_north: Governed, study: CodeRequest
) -> None:
    north, own = governed_north, study.request_id
    with killed_at(north.server.services.request, "apply"):
        north.book.approve(own, by="wu")

    def fails(*_: Any, **__: Any) -> None:
        raise LookupError("of PySyft's own")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(north.server.services.request, "apply", fails)
        north.book.catch_up()
    assert status(north, own) == RequestStatus.PENDING and (own, "approved") not in completed(north)
    north.book.catch_up()
    assert status(north, own) == RequestStatus.APPROVED and (own, "approved") in completed(north)
    north.book.end(own, by="wu", reason="over")


def test_an_approval_of_what_has_changed_since_is_told_to_nobody(
    governed_north: Governed, study: CodeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    north, own = governed_north, study.request_id
    with killed_at(north.server.services.request, "apply"):
        north.book.approve(own, by="wu")
    kept, reader = north.books.approvals.of_request(own), north.book._reader
    assert kept is not None
    read = reader.read
    with monkeypatch.context() as patch:
        patch.setattr(reader, "read", lambda request, **at: replace(read(request, **at), digest="another"))
        north.book.catch_up()
        assert status(north, own) == RequestStatus.PENDING
    north.book.catch_up()
    assert status(north, own) == RequestStatus.APPROVED
    north.book.end(own, by="wu", reason="over")


REFUSALS = pytest.mark.parametrize(
    "decide",
    [
        lambda book, own: book.deny(own, by="wu", reason="no"),
        lambda book, own: book.ask_for_a_change(own, by="wu", reason="no"),
        lambda book, own: book.withdraw(own, by=RESEARCHER),
    ],
    ids=["denied", "returned", "withdrawn"],
)


@REFUSALS
def test_a_refusal_that_pysyft_was_not_told_of_is_told_at_the_next_start(
    governed_north: Governed, study: CodeRequest, decide: Callable[[Any, str], object]
) -> None:
    north, own = governed_north, study.request_id
    with killed_at(north.server.services.request, "undo"):
        decide(north.book, own)
    state = north.book.state_of(own)[0]
    assert not [one for one in north.events(f"request {state}") if one["request"] == own]
    for _ in range(2):
        north.book.catch_up()
    assert status(north, own) == RequestStatus.REJECTED
    assert len([one for one in north.events(f"request {state}") if one["request"] == own]) == 1
    assert completed(north)[-1] == (own, state)
    with pytest.raises(RequestDenied):
        ask(north, study)


@REFUSALS
def test_a_refusal_that_people_or_the_researcher_say_again_changes_nothing_and_is_logged_once(
    governed_north: Governed, study: CodeRequest, decide: Callable[[Any, str], object]
) -> None:
    north, own = governed_north, study.request_id
    for _ in range(3):
        decide(north.book, own)
    state = north.book.state_of(own)[0]
    assert len([one for one in north.events(f"request {state}") if one["request"] == own]) == 1


def test_an_end_that_the_ledger_was_not_told_of_frees_the_rest_at_the_next_start(
    governed_north: Governed, study: CodeRequest
) -> None:
    north, own = governed_north, study.request_id
    north.book.approve(own, by="wu")
    with killed_at(north.books.ledger, "release"):
        north.book.end(own, by="wu", reason="over")
    held = north.books.ledger.held(own)
    assert held is not None and held.released is None
    for _ in range(2):
        north.book.catch_up()
    held = north.books.ledger.held(own)
    assert held is not None and (held.released, held.charged) == ("over", ())
    assert completed(north)[-1] == (own, "ended")


def test_a_decision_that_was_begun_and_not_written_is_none(governed_north: Governed, study: CodeRequest) -> None:
    north, own = governed_north, study.request_id
    north.books.approvals.connection.execute("INSERT INTO unfinished VALUES (?)", (own,))
    north.book.catch_up()
    assert (north.book.state_of(own)[0], north.books.approvals.unfinished()) == ("pending", ())
    north.book.deny(own, by="wu", reason="no")
