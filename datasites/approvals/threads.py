"""Threads: what hospital and researcher write to each other about a request. All of it is for both sides to read.

A hospital's message leaves the hospital. Who of its people wrote it does not.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from policies.answers.requests import HOSPITAL, RESEARCHER


@dataclass(frozen=True)
class Message:
    """One message of a thread, as the hospital keeps it.

    Attributes:
        request_id: The request that it is about.
        author: Who wrote it: a name of the hospital's people, or the researcher's address.
        side: `hospital` or `researcher`.
        text: What was written.
        at: When, UTC.
    """

    request_id: str
    author: str
    side: str
    text: str
    at: str


class Threads:
    """The table of threads, in the file of decisions."""

    def __init__(self, connection: sqlite3.Connection, lock: threading.Lock) -> None:
        self._connection, self._lock = connection, lock

    def add(self, request_id: str, *, author: str, side: str, text: str, most: int) -> Message | None:
        """Keeps a message, unless that side has written `most` about the request: then None.

        Guarantees:
            However many messages come at once, a thread holds at most `most` of each side.
        """
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        with self._lock:
            kept = self._connection.execute(
                "INSERT INTO threads SELECT ?,?,?,?,? WHERE"
                " (SELECT count(*) FROM threads WHERE request_id=? AND side=?) < ?",
                (request_id, author, side, text, now, request_id, side, most),
            ).rowcount
        return Message(request_id, author, side, text, now) if kept else None

    def of(self, request_id: str) -> tuple[Message, ...]:
        """The thread of a request, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT * FROM threads WHERE request_id=? ORDER BY rowid", (request_id,)
            ).fetchall()
        return tuple(Message(*row) for row in rows)

    def unanswered(self, request_id: str) -> int:
        """How many of the hospital's messages came after the researcher's last one."""
        with self._lock:
            row = self._connection.execute(
                "SELECT count(*) FROM threads WHERE request_id=? AND side=? AND rowid >"
                " (SELECT coalesce(max(rowid), 0) FROM threads WHERE request_id=? AND side=?)",
                (request_id, HOSPITAL, request_id, RESEARCHER),
            ).fetchone()
        return int(row[0])
