"""An account learns of its own code requests alone, and so many of them may wait."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasites.approvals.approvals import Approvals
from datasites.code_requests.own_requests import OwnRequests
from datasites.code_requests.request_index import RequestIndex, RequestRow
from policies.errors import RequestUnknown, TooManyPending

ANNA, BERT = "a" * 64, "b" * 64


class Kept:
    """An index of requests by account, and decisions on some of them; it notes what was asked of the table."""

    def __init__(self, folder: Path) -> None:
        self.approvals = Approvals(folder / "approvals.sqlite")
        self.index = RequestIndex(self.approvals)
        self.own = OwnRequests(self.index, max_pending=2)
        self.statements: list[str] = []

    def add(self, request_id: str, account: str) -> None:
        row = RequestRow(request_id, "2026-11-20", "r@university.org")
        self.index.add(row, account=account, code_id=f"code-{request_id}")

    def decide(self, request_id: str) -> None:
        self.approvals.connection.execute(
            "INSERT INTO decisions VALUES (?,'denied','','','','','','','','','','','')", (request_id,)
        )

    def refused(self, request_id: str) -> list[tuple[str, int]]:
        """How Bert is refused, and how many statements were run for it."""
        found = []
        for check, uid in ((self.own.check, request_id), (self.own.check_code, f"code-{request_id}")):
            self.statements.clear()
            self.approvals.connection.set_trace_callback(self.statements.append)
            with pytest.raises(RequestUnknown) as error:
                check(uid, BERT)
            self.approvals.connection.set_trace_callback(None)
            found.append((error.value.public, len(self.statements)))
        return found


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    with contextlib.closing(made.approvals):
        yield made


def test_anothers_request_and_none_and_a_beginning_are_refused_alike_after_the_same_work(kept: Kept) -> None:
    for request_id, account in (("pending1", ANNA), ("decided1", ANNA), ("mine1", BERT)):
        kept.add(request_id, account)
    kept.decide("decided1")
    answers = [kept.refused(uid) for uid in ("pending1", "decided1", "nothing1", "mine", "m", "", "9" * 5000)]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0][1] == 1


@pytest.mark.parametrize("decided", [False, True])
def test_the_own_request_is_found_by_its_whole_identifier(kept: Kept, decided: bool) -> None:
    kept.add("mine1", BERT)
    if decided:
        kept.decide("mine1")
    kept.own.check("mine1", BERT)
    kept.own.check_code("code-mine1", BERT)


def test_so_many_requests_of_an_account_wait_and_others_are_not_counted(kept: Kept) -> None:
    for request_id, account in (("one", BERT), ("two", BERT), ("three", ANNA)):
        kept.add(request_id, account)
    with pytest.raises(TooManyPending, match="2 of your requests"):
        kept.own.check_pending(BERT)
    kept.own.check_pending(ANNA)
    kept.decide("one")
    kept.own.check_pending(BERT)
