"""Searches the audit log by words, event, person and day, through an index beside it. It stays in the hospital.

The index is never believed: it says where in the log an event stands, and the event is read there and checked.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from datasites.audit_log.audit_page import AuditPage, AuditRow
from datasites.audit_log.chain import AuditHead, Event, broken, check_end, entry_hash, follow, locked
from datasites.files.sqlite_file import open_private
from datasites.files.word_search import matching, searchable
from policies.errors import RequestUnknown
from policies.ledger.seal import Seal

INDEX = "audit-index.sqlite"
MOST_ON_A_PAGE = 500
_SCHEMA = (Path(__file__).parent / "index.sql").read_text()
_ACTORS = ("by", "account", "researcher")
_OF_THE_CHAIN = ("time", "event", "previous", "hash")


class AuditIndex:
    """The index of one audit log.

    Args:
        log: The log; the index lies beside it.
        seal: The datasite's, with which a log that was cut is refused.
    """

    def __init__(self, log: Path, seal: Seal | None) -> None:
        self._log, self._file, self._seal = log, log.with_name(INDEX), seal
        self._lock = threading.Lock()

    def search(
        self,
        text: str = "",
        *,
        event: str | None = None,
        by: str | None = None,
        since: date | None = None,
        until: date | None = None,
        after: int | None = None,
        count: int = 50,
        verify: bool = False,
    ) -> AuditPage:
        """Some events, the newest first.

        Guarantees:
            Every event is shown as it stands in the log, and its hash fits it.

        Args:
            text: Only those in which every word of it begins a word.
            event: Only those of this name.
            by: Only those that name this person, account or researcher as who did it.
            since: First day, UTC.
            until: Last day, included.
            after: `next` of the page before.
            count: How many at most.
            verify: Whether to check the log's whole chain first, and make the index anew from it.

        Raises:
            AuditBroken: The log does not hold, as far as it was read.
            RequestUnknown: `after` is no line of the log.
        """
        if after is not None and after < 1:
            raise RequestUnknown("There is no such page of events. Begin with the first.")
        count = max(1, min(count, MOST_ON_A_PAGE))
        with self._lock, closing(self._opened(anew=verify)) as table:
            self._catch_up(table)
            found = _find(table, text, event, by, _days(since, until), after, count + 1)
        with locked(self._log, shared=True), self._log.open("rb") as log:
            rows = tuple(_read(log, *where) for where in found[:count])
        return AuditPage(rows, rows[-1].line if len(found) > count else None)

    def events(self) -> tuple[str, ...]:
        """The name of every event that the index knows, in order: one look a name, however many events there are."""
        with self._lock, closing(self._opened(anew=False)) as table:
            rows = table.execute(
                "WITH RECURSIVE kinds(name) AS (SELECT min(event) FROM events UNION ALL "
                "SELECT (SELECT min(event) FROM events WHERE event>name) FROM kinds WHERE name IS NOT NULL) "
                "SELECT name FROM kinds WHERE name IS NOT NULL"
            ).fetchall()
        return tuple(row[0] for row in rows)

    def _opened(self, *, anew: bool) -> sqlite3.Connection:
        """The index's file; one that cannot be used, or shall not, is thrown away."""
        if not anew:
            try:
                return open_private(self._file, _SCHEMA)
            except sqlite3.DatabaseError:
                pass
        for file in (self._file, *(self._file.with_name(f"{self._file.name}-{end}") for end in ("wal", "shm"))):
            file.unlink(missing_ok=True)
        return open_private(self._file, _SCHEMA)

    def _catch_up(self, table: sqlite3.Connection) -> None:
        """Takes in what was written since, after checking that it follows what was taken in before."""
        with locked(self._log, shared=True):
            if not self._log.exists():
                return check_end(self._log, AuditHead(), self._seal)
            with self._log.open("rb") as log:
                known = _known(table, log)
                log.seek(known.size)
                lines = follow(log, known)
            check_end(self._log, lines.head, self._seal)
        if lines.entries:
            _take_in(table, lines.entries, known)


def _known(table: sqlite3.Connection, log: Any) -> AuditHead:
    """Where the index ends, if the log says the same there; else the beginning, and the index is emptied."""
    rows = table.execute("SELECT line, start, size, hash FROM events ORDER BY line DESC LIMIT 2").fetchall()
    if rows:
        line, start, size, digest = rows[0]
        with contextlib.suppress(ValueError, LookupError, TypeError):
            log.seek(start)
            if json.loads(log.read(size))["hash"] == digest:
                before = rows[1][3] if len(rows) > 1 else AuditHead().hash
                return AuditHead(line, digest, start + size, before)
        for name in ("events", "people"):
            table.execute(f"DELETE FROM {name}")  # noqa: S608 - constant names
        table.execute("INSERT INTO event_words (event_words) VALUES ('delete-all')")
    return AuditHead()


def _take_in(table: sqlite3.Connection, entries: Iterable[Event], known: AuditHead) -> None:
    line, start = known.entries, known.size
    table.execute("BEGIN IMMEDIATE")
    for entry in entries:
        line, size = line + 1, len(json.dumps(entry)) + 1
        table.execute(
            "INSERT INTO events VALUES (?,?,?,?,?,?)",
            (line, entry["time"], entry["event"], start, size, entry["hash"]),
        )
        table.executemany("INSERT INTO people VALUES (?,?)", [(person, line) for person in _people(entry)])
        words = " ".join(f"{name} {value}" for name, value in entry.items() if name not in ("previous", "hash"))
        table.execute("INSERT INTO event_words (rowid, words) VALUES (?,?)", (line, searchable(words)))
        start += size
    table.execute("COMMIT")


def _find(
    table: sqlite3.Connection,
    text: str,
    event: str | None,
    by: str | None,
    days: tuple[str | None, str | None],
    after: int | None,
    count: int,
) -> list[tuple[int, int, int, str]]:
    """Line, start, size and hash of the events that were asked for."""
    words = matching(text) or None
    if words:
        newest, tables = "event_words.rowid", "event_words CROSS JOIN events ON line=event_words.rowid"
    elif by is not None:
        newest, tables = "people.line", "people CROSS JOIN events ON events.line=people.line"
    else:
        newest, tables = "events.line", "events"
    named = "person=?" if tables.startswith("people") else "events.line IN (SELECT line FROM people WHERE person=?)"
    wanted = {
        "event_words MATCH ?": words,
        named: by,
        "event=?": event,
        "time>=?": days[0],
        "time<?": days[1],
        f"{newest}<?": after,
    }
    given = {condition: value for condition, value in wanted.items() if value is not None}
    chosen = f"WHERE {' AND '.join(given)}" if given else ""
    return table.execute(
        f"SELECT events.line, start, size, hash FROM {tables} {chosen} ORDER BY {newest} DESC LIMIT ?",  # noqa: S608
        (*given.values(), count),
    ).fetchall()


def _read(log: Any, line: int, start: int, size: int, digest: str) -> AuditRow:
    """An event as it stands in the log."""
    log.seek(start)
    try:
        entry: Event = json.loads(log.read(size))
        intact = entry.pop("hash") == digest == entry_hash(entry)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise broken(f"line {line} was changed")
    details = {name: value for name, value in entry.items() if name not in (*_OF_THE_CHAIN, *_ACTORS[:1])}
    by = ", ".join(_people({**entry, "hash": digest}))
    return AuditRow(line, str(entry["time"]), str(entry["event"]), by, details, digest)


def _people(entry: Event) -> list[str]:
    """Whom an event names as who did it: each once."""
    named = next((str(entry[name]) for name in _ACTORS if entry.get(name)), "")
    return list(dict.fromkeys(one for one in named.split(", ") if one))


def _days(since: date | None, until: date | None) -> tuple[str | None, str | None]:
    """The first moment that counts, and the first that does not any more, as the log writes them."""
    after_the_last = None if until is None or until == date.max else (until + timedelta(days=1)).isoformat()
    return None if since is None else since.isoformat(), after_the_last
