"""Approvals of a request that needs several: who has given theirs, and for which card. The researcher sees none."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime


class Consents:
    """The table of consents, in the file of decisions.

    Guarantees:
        A person has at most one consent to a request.
    """

    def __init__(self, connection: sqlite3.Connection, lock: threading.Lock) -> None:
        self._connection, self._lock = connection, lock

    def of(self, request_id: str) -> tuple[str, ...]:
        """Who consented, first first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT person FROM consents WHERE request_id=? ORDER BY given_at, rowid", (request_id,)
            ).fetchall()
        return tuple(row[0] for row in rows)

    def add(self, request_id: str, *, person: str, digest: str) -> None:
        """Keeps a person's consent to the card with that digest."""
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        with self._lock:
            self._connection.execute(
                "INSERT OR REPLACE INTO consents VALUES (?,?,?,?)", (request_id, person, digest, now)
            )

    def void_others(self, request_id: str, digest: str) -> tuple[str, ...]:
        """Removes consents to another card than the one with that digest; returns whose they were."""
        with self._lock:
            rows = self._connection.execute(
                "DELETE FROM consents WHERE request_id=? AND digest<>? RETURNING person", (request_id, digest)
            ).fetchall()
        return tuple(row[0] for row in rows)

    def drop(self, person: str) -> None:
        """Removes all consents of a person whose account ends."""
        with self._lock:
            self._connection.execute("DELETE FROM consents WHERE person=?", (person,))
