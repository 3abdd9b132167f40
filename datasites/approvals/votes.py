"""Votes on a request: approve, deny, or ask for a change. Nobody sees another's before all that are needed are in.

The researcher reads the reason of the decision, and no name.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

APPROVE, DENY, RETURN = "approve", "deny", "return"
_MEANS = {APPROVE: "approved", DENY: "denied", RETURN: "returned"}


@dataclass(frozen=True)
class Vote:
    """One person's vote.

    Attributes:
        person: Whose.
        vote: `approve`, `deny`, or `return`, which asks the researcher for a change.
        reason: Of a denial or of a return: the researcher reads it if that becomes the decision.
        given_at: When, UTC; empty until it is kept.
    """

    person: str
    vote: str
    reason: str = ""
    given_at: str = ""


@dataclass(frozen=True)
class Outcome:
    """What votes come to: the decision, whose votes made it, and their reasons."""

    decision: str
    by: str
    reason: str


def outcome(votes: Sequence[Vote], needed: int) -> Outcome | None:
    """The decision that votes come to, or None while one is missing.

    Guarantees:
        A request is approved only if as many different people as needed have voted and every one of them approves.
        Any denial among them denies it; without one, any wish for a change returns it.
    """
    if len(votes) < needed:
        return None
    weightiest = next(kind for kind in (DENY, RETURN, APPROVE) if any(vote.vote == kind for vote in votes))
    deciding = [vote for vote in votes if vote.vote == weightiest]
    by, reasons = (", ".join(vote.person for vote in deciding), [vote.reason for vote in deciding if vote.reason])
    return Outcome(_MEANS[weightiest], by, " / ".join(reasons))


def is_the_asker(person: str, researcher: str) -> bool:
    """Whether a voter is who asks: the same address, or, for a name without one, the same name before the @."""
    asking = researcher if "@" in person else researcher.partition("@")[0]
    return person.casefold() == asking.casefold()


class Votes:
    """The table of votes, in the file of decisions.

    Guarantees:
        A person has at most one vote on a request.
    """

    def __init__(self, connection: sqlite3.Connection, lock: threading.Lock) -> None:
        self._connection, self._lock = connection, lock

    def of(self, request_id: str) -> tuple[Vote, ...]:
        """All votes on a request, first first. Before the decision they are for nobody's eyes."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT person, vote, reason, given_at FROM votes WHERE request_id=? ORDER BY rowid",
                (request_id,),
            ).fetchall()
        return tuple(Vote(*row) for row in rows)

    def of_person(self, request_id: str, person: str, digest: str) -> str:
        """A person's own vote on the card with that digest, or empty."""
        row = self._one(
            "SELECT vote FROM votes WHERE request_id=? AND person=? AND digest=?", request_id, person, digest
        )
        return "" if row is None else str(row[0])

    def given(self, request_id: str, digest: str) -> int:
        """How many have voted on the card with that digest."""
        row = self._one("SELECT count(*) FROM votes WHERE request_id=? AND digest=?", request_id, digest)
        return int(row[0]) if row else 0

    def counts(self, request_ids: Sequence[str]) -> dict[str, int]:
        """How many have voted on each of some requests, on the card that was voted on last; those without are left out.

        A list tells it without reading every card: where a card has changed since, its own page knows that the votes
        are void.
        """
        with self._lock:
            rows = self._connection.execute(
                "SELECT request_id, count(*) FROM votes AS given WHERE digest="  # noqa: S608 - only question marks
                "(SELECT digest FROM votes WHERE request_id=given.request_id ORDER BY rowid DESC LIMIT 1)"
                f" AND request_id IN ({','.join('?' * len(request_ids))}) GROUP BY request_id",
                tuple(request_ids),
            ).fetchall()
        return {str(request_id): int(count) for request_id, count in rows}

    def add(self, request_id: str, vote: Vote, *, digest: str) -> None:
        """Keeps a person's vote on the card with that digest."""
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        values = (request_id, vote.person, vote.vote, vote.reason, digest, now)
        with self._lock:
            self._connection.execute("INSERT OR REPLACE INTO votes VALUES (?,?,?,?,?,?)", values)

    def void_others(self, request_id: str, digest: str) -> int:
        """Removes votes on another card than the one with that digest; returns how many."""
        with self._lock:
            return self._connection.execute(
                "DELETE FROM votes WHERE request_id=? AND digest<>?", (request_id, digest)
            ).rowcount

    def drop(self, person: str) -> None:
        """Removes the votes of a person whose account ends from what is not decided."""
        with self._lock:
            self._connection.execute(
                "DELETE FROM votes WHERE person=? AND request_id NOT IN (SELECT request_id FROM decisions)", (person,)
            )

    def _one(self, statement: str, *values: str) -> tuple[str | int, ...] | None:
        with self._lock:
            row: tuple[str | int, ...] | None = self._connection.execute(statement, values).fetchone()
        return row
