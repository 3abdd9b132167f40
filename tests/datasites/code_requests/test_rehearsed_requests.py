"""Requests and their rehearsals on real PySyft and real books: asked for on arrival, shown to both sides, required."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
from support.governed import Governed, small_plan
from support.hospitals import RESEARCHER, STRANGER

from datasites.rehearsal.rehearsals import Rehearsals
from policies.errors import LimitExceeded, NotRehearsed, RequestDenied, RequestUnknown

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from datasites.researchers_port.routes import Researcher, ResearcherRoutes

PLAN = small_plan("rehearsed")


def routes_of(north: Governed) -> ResearcherRoutes:
    parts: dict[str, Any] = dict.fromkeys(
        (
            "name",
            "datasets",
            "terms_of_use",
            "email_of",
            "blobs",
            "queue",
            "supervisor",
            "receipts",
            "polls",
            "canaries",
            "rounds",
            "shown",
        )
    )
    return ResearcherRoutes(books=north.books, book=north.book, **parts)


def test_a_request_that_is_kept_waits_for_its_rehearsal_and_one_that_is_refused_does_not(
    governed_north: Governed,
) -> None:
    north = governed_north
    request = north.submit(PLAN)
    waiting = north.books.rehearsals.next()
    assert waiting is not None and waiting.request_id == request.request_id
    with pytest.raises(LimitExceeded):
        north.submit(replace(PLAN, study="too-long", rounds=10_000))
    assert north.book.card(request.request_id).rehearsal == waiting
    assert [row.id for row in north.book.page().rows if north.books.rehearsals.of(row.id)] == [request.request_id]
    north.books.rehearsals.end(replace(waiting, state="passed"))
    assert north.books.rehearsals.next() is None


def test_a_researcher_sees_the_rehearsal_of_an_own_request_alone(governed_north: Governed) -> None:
    north = governed_north
    request, routes = north.submit(replace(PLAN, study="own")), routes_of(north)
    mine, other = (Researcher(str(north.key(email).verify_key), email) for email in (RESEARCHER, STRANGER))
    assert routes.rehearsal(request.request_id, mine).state == "waiting"
    with pytest.raises(RequestUnknown) as refused:
        routes.rehearsal(request.request_id, other)
    with pytest.raises(RequestUnknown) as unknown:
        routes.rehearsal("0" * 32, other)
    assert refused.value.public == unknown.value.public


def test_a_request_that_was_denied_is_not_rehearsed(governed_north: Governed) -> None:
    north = governed_north
    request = north.submit(replace(PLAN, study="denied"))
    assert north.book.open.read(request.request_id[:8]).request_id == request.request_id
    north.book.deny(request.request_id, reason="not ours", by="wu")
    with pytest.raises(RequestDenied):
        north.book.open.read(request.request_id)


def test_where_the_hospital_asks_for_it_nothing_is_approved_or_reserved_before_the_rehearsal_passed(
    governed_north: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    north = governed_north
    request = north.submit(replace(PLAN, study="required"))
    required = Rehearsals(north.state.rehearsals, required=True)
    monkeypatch.setattr(north.book._deciding, "_books", replace(north.books, rehearsals=required))
    entries = len(north.books.ledger.entries())
    with pytest.raises(NotRehearsed, match="waiting"):
        north.book.approve(request.request_id, by="wu")
    assert len(north.books.ledger.entries()) == entries
    found = required.of(request.request_id)
    assert found is not None
    required.end(replace(found, state="passed"))
    assert north.book.approve(request.request_id, by="wu").state == "approved"
    required.ask(request.request_id)
    assert north.book.approve(request.request_id, by="wu").state == "approved", "it stands, and can be repeated"
    required.close()
