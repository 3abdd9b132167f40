"""The audit log is searched through an index that is never believed: what is shown is read from the log and checked."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from datasites.audit_log.index import INDEX, AuditIndex
from datasites.audit_log.log import AuditLog
from policies.errors import AuditBroken, RequestUnknown


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """Ten events of two people; the last names both."""
    made = AuditLog(tmp_path / "audit.log")
    for number in range(9):
        made.write(
            "request denied" if number % 3 else "limits changed", by=("wu", "li")[number % 2], reason=f"why{number}"
        )
    made.write("request approved", by="wu, li", request="abc123")
    return made


def lines(log: AuditLog, text: str = "", **chosen: object) -> list[int]:
    return [row.line for row in log.index.search(text, **chosen).rows]  # type: ignore[arg-type]


def test_pages_follow_one_another_newest_first(log: AuditLog) -> None:
    first = log.index.search(count=6)
    second = log.index.search(count=6, after=first.next)
    assert [row.line for row in (*first.rows, *second.rows)] == list(range(10, 0, -1))
    assert second.next is None
    with pytest.raises(RequestUnknown):
        log.index.search(after=0)


def test_events_people_words_and_days_go_together(log: AuditLog) -> None:
    assert lines(log, event="limits changed") == [7, 4, 1]
    assert lines(log, by="li") == [10, 8, 6, 4, 2] and lines(log, by="w") == []
    assert lines(log, "why7") == [8] and lines(log, "DENIED why") == [9, 8, 6, 5, 3, 2]
    assert lines(log, "why", by="li", event="limits changed") == [4]
    assert lines(log, '" OR events') == [] and lines(log, "abc") == [10]
    today = date.fromisoformat(log.index.search().rows[0].time[:10])
    first = date.fromisoformat(log.index.search().rows[-1].time[:10])
    assert len(lines(log, since=first, until=today)) == 10
    assert lines(log, since=today + timedelta(days=1)) == lines(log, until=first - timedelta(days=1)) == []
    assert len(lines(log, until=date.max)) == 10


def test_a_row_says_who_when_and_all_else(log: AuditLog, tmp_path: Path) -> None:
    row = log.index.search("abc123").rows[0]
    entry = json.loads((tmp_path / "audit.log").read_text().splitlines()[-1])
    assert (row.by, row.details) == ("wu, li", {"request": "abc123"})
    assert (row.time, row.event, row.hash) == (entry["time"], entry["event"], entry["hash"])


def test_what_is_written_meanwhile_is_found_and_by_another_index_too(log: AuditLog, tmp_path: Path) -> None:
    assert lines(log, "later") == []
    log.write("something", by="wu", reason="later 研究")
    assert lines(log, "later") == lines(log, "究") == [11]
    assert len(AuditIndex(tmp_path / "audit.log", None).search().rows) == 11


@pytest.mark.parametrize("damage", ["missing", "no database", "of another log"])
def test_an_index_that_does_not_fit_is_made_anew(log: AuditLog, tmp_path: Path, damage: str) -> None:
    assert len(lines(log)) == 10
    index = tmp_path / INDEX
    if damage == "missing":
        index.unlink()
    elif damage == "no database":
        index.write_bytes(b"nothing" * 900)
    else:
        other = AuditLog(tmp_path / "other" / "audit.log") if (tmp_path / "other").mkdir() is None else log
        for _ in range(3):
            other.write("elsewhere", by="lee")
        other.index.search()
        index.write_bytes((tmp_path / "other" / INDEX).read_bytes())
    assert lines(log) == list(range(10, 0, -1)) and lines(log, by="lee") == []


def test_a_line_that_was_changed_is_not_shown(log: AuditLog, tmp_path: Path) -> None:
    assert lines(log, "why3") == [4]
    file = tmp_path / "audit.log"
    file.write_text(file.read_text().replace("why3", "who3"))
    with pytest.raises(AuditBroken) as error:
        log.index.search("why3")
    assert "line 4 was changed" in error.value.private
    assert lines(log, "why7") == [8]
    with pytest.raises(AuditBroken):
        log.index.search("why7", verify=True)


def test_a_log_that_was_cut_is_refused_where_its_end_is_sealed(tmp_path: Path) -> None:
    from policies.ledger.seal import Seal

    log = AuditLog.begin(tmp_path / "audit.log", Seal(b"k" * 32))
    log.write("one", by="wu")
    log.write("two", by="wu")
    assert lines(log) == [2, 1]
    file = tmp_path / "audit.log"
    file.write_text(file.read_text().splitlines(keepends=True)[0])
    with pytest.raises(AuditBroken):
        log.index.search()


def test_the_index_names_each_kind_of_event_once(log: AuditLog) -> None:
    assert log.index.events() == ()
    log.index.search(count=1)
    assert log.index.events() == ("limits changed", "request approved", "request denied")
