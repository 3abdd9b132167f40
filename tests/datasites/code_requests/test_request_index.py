"""Code requests are listed by pages, by state, by researcher and by words, from tables that follow the decisions."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasites.approvals.approvals import Approvals, know_returned
from datasites.code_requests.request_index import RequestIndex, RequestRow
from policies.errors import RequestUnknown

OLDER = """
CREATE TABLE decisions (
    request_id TEXT PRIMARY KEY,
    decision TEXT NOT NULL CHECK (decision IN ('approved', 'denied', 'ended')),
    digest TEXT NOT NULL, code_id TEXT NOT NULL, account TEXT NOT NULL, researcher TEXT NOT NULL,
    dataset TEXT NOT NULL, fingerprint TEXT NOT NULL, plan TEXT NOT NULL, shapes TEXT NOT NULL,
    decided_by TEXT NOT NULL, decided_at TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE consents (request_id TEXT, person TEXT, digest TEXT, given_at TEXT, PRIMARY KEY (request_id, person));
INSERT INTO decisions VALUES ('r1', 'ended', 'd', 'c', 'a', 'x@y.org', 'cells', 'f', '{}', '{}', 'wu', 'then', 'over');
INSERT INTO consents VALUES ('r2', 'wu', 'd', 'then');
"""


@pytest.fixture
def approvals(tmp_path: Path) -> Iterator[Approvals]:
    made = Approvals(tmp_path / "approvals.sqlite")
    with contextlib.closing(made):
        yield made


@pytest.fixture
def index(approvals: Approvals) -> RequestIndex:
    """Twelve requests of two people, 000 the oldest; study names tell them apart."""
    made = RequestIndex(approvals)
    for number in range(12):
        who = "wu@uni.edu" if number % 2 else "li.na@clinic.org"
        row = RequestRow(
            f"{number:03}", f"2026-11-{number + 1:02}", who, f"cells-{number}", "training", "lungs", "cnn", 5
        )
        made.add(row, account=who[:2], code_id=f"c{number}")
    return made


def decide(approvals: Approvals, request_id: str, decision: str) -> None:
    approvals.connection.execute(
        "INSERT OR REPLACE INTO decisions VALUES (?,?,'','','','','','','','','','','')", (request_id, decision)
    )


def ids(index: RequestIndex, **chosen: object) -> list[str]:
    return [row.id for row in index.page(**chosen).rows]  # type: ignore[arg-type]


def test_pages_follow_one_another_newest_first_and_end(index: RequestIndex) -> None:
    found, after = [], None
    while True:
        page = index.page(after=after, count=5)
        found.append([row.id for row in page.rows])
        after = page.next
        if after is None:
            break
    assert [len(one) for one in found] == [5, 5, 2]
    assert [one for rows in found for one in rows] == [f"{number:03}" for number in range(11, -1, -1)]
    with pytest.raises(RequestUnknown):
        index.page(after="nothing")


def test_what_arrives_meanwhile_moves_no_page(index: RequestIndex) -> None:
    first = index.page(count=5)
    index.add(RequestRow("new", "2026-12-01", "wu@uni.edu"), account="wu", code_id="n")
    assert ids(index, after=first.next, count=2) == ["006", "005"]


def test_states_and_counts_follow_the_decisions_whoever_writes_them(index: RequestIndex, approvals: Approvals) -> None:
    decide(approvals, "003", "approved")
    decide(approvals, "004", "denied")
    approvals.connection.execute("UPDATE decisions SET decision='ended' WHERE request_id='003'")
    assert (ids(index, state="ended"), ids(index, state="denied"), ids(index, state="approved")) == (
        ["003"],
        ["004"],
        [],
    )
    expected = {"pending": 10, "approved": 0, "denied": 1, "returned": 0, "ended": 1}
    assert index.page().counts == expected
    index.forget(["003"])
    assert index.page().counts == {**expected, "ended": 0} and ids(index, query="cells-3") == []


def test_a_request_that_comes_after_its_decision_has_its_state(index: RequestIndex, approvals: Approvals) -> None:
    decide(approvals, "late", "returned")
    index.add(RequestRow("late", "2026-12-01", "wu@uni.edu"), account="wu", code_id="n")
    index.add(RequestRow("late", "2026-12-02", "another"), account="an", code_id="n2")
    assert ids(index, state="returned") == ["late"] and index.is_of("wu", code_id="n")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("cells-7", ["007"]),
        ("WU cells-1", ["011", "001"]),
        ("li.na", ["010", "008", "006", "004", "002", "000"]),
        ("ells", []),
        ("009", ["009"]),
        ('" NOT 1', []),
        ("cells-7 AND", []),
        ("  ", [f"{number:03}" for number in range(11, -1, -1)]),
    ],
)
def test_every_word_begins_a_word_and_none_is_obeyed(index: RequestIndex, query: str, found: list[str]) -> None:
    assert ids(index, query=query) == found


def test_words_states_and_researchers_go_together(index: RequestIndex, approvals: Approvals) -> None:
    decide(approvals, "007", "approved")
    assert ids(index, query="cells", state="approved", researcher="wu@uni.edu") == ["007"]
    assert ids(index, query="cells", state="approved", researcher="li.na@clinic.org") == []
    assert ids(index, query="cells", after="002", count=1) == ["001"]


def test_letters_without_spaces_are_found_in_the_middle(index: RequestIndex) -> None:
    index.add(RequestRow("zh", "2026-12-01", "wu@uni.edu", "\u80ba\u7ed3\u8282\u7814\u7a76"), account="wu", code_id="n")
    assert ids(index, query="\u7ed3\u8282") == ["zh"]


def test_a_beginning_names_one_request(index: RequestIndex) -> None:
    assert (index.named("003"), index.named("01" + "1")) == ("003", "011")
    for beginning in ("", "0", "zz", "%", "9" * 500):
        with pytest.raises(RequestUnknown):
            index.named(beginning)


def test_a_cost_belongs_to_the_delta_that_it_was_computed_at(index: RequestIndex) -> None:
    rows = index.page(count=2).rows
    index.price("011", 1.5, 1e-5)
    assert index.without_price(rows, 1e-5) == ("010",) and set(index.without_price(rows, 1e-6)) == {"010", "011"}
    assert index.page(count=1).rows[0].epsilon == 1.5


def test_no_list_reads_more_than_it_shows(index: RequestIndex, approvals: Approvals) -> None:
    statements: list[str] = []
    approvals.connection.set_trace_callback(statements.append)
    for chosen in ({}, {"state": "pending"}, {"researcher": "wu@uni.edu"}, {"query": "cells", "state": "pending"}):
        index.page(after="005", **chosen)  # type: ignore[arg-type]
    approvals.connection.set_trace_callback(None)
    for statement in (one for one in statements if one.startswith("SELECT")):
        plan = [row[3] for row in approvals.connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        told = " ".join(plan)
        assert "TEMP B-TREE" not in told, (statement, plan)
        assert "SCAN requests" not in told or "request_words" in told or "request_counts" in told, (statement, plan)


def test_an_older_table_learns_of_returns_and_keeps_its_decisions(tmp_path: Path) -> None:
    file = tmp_path / "approvals.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as older:
        older.executescript(OLDER)
    for _ in range(2):
        know_returned(file)
    with contextlib.closing(Approvals(file)) as approvals:
        known = approvals.of_request("r1")
        assert known is not None and (known.decision, known.reason) == ("ended", "over")
        decide(approvals, "r2", "returned")
        tables = {row[0] for row in approvals.connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    assert "consents" not in tables and "older" not in tables
