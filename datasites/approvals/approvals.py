"""The hospital's decisions on code requests, each with the digest of all that it covers."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from datasites.approvals.decided_by import BY_RULE, HOSPITAL_ITSELF
from datasites.approvals.threads import Threads
from datasites.approvals.votes import Votes
from datasites.files.sqlite_file import open_private
from policies.errors import RequestError
from policies.ledger.reservations import Reservation
from policies.plans.kinds import Plan, parse
from policies.plans.plan_json import canonical_json, sha256_text
from policies.untrusted_text import is_plain

MAX_REASON = 400
NEVER_APPROVED = ("denied", "returned", "withdrawn")
_SCHEMA = (Path(__file__).parent / "approvals.sql").read_text()


@dataclass(frozen=True)
class Decision:
    """One decision. The columns of approvals.sql."""

    request_id: str
    decision: str
    digest: str
    code_id: str
    account: str
    researcher: str
    dataset: str
    fingerprint: str
    plan: str
    shapes: str
    decided_by: str
    decided_at: str
    reason: str

    @property
    def told_approver(self) -> str:
        """Who decided, as researchers may read it: what a rule is called, and which it is, stays in the hospital."""
        return HOSPITAL_ITSELF if self.decided_by.startswith(BY_RULE) else self.decided_by

    @property
    def approved_plan(self) -> Plan:
        """The plan that was decided on."""
        return parse(self.plan)

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays that must come in."""
        return self._shapes("inputs")

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays that may leave."""
        return self._shapes("outputs")

    def _shapes(self, which: str) -> dict[str, tuple[int, ...]]:
        return {name: tuple(shape) for name, shape in json.loads(self.shapes)[which].items()}


def check_reason(reason: str) -> None:
    """Returns if a decision can be given this reason.

    Raises:
        RequestError: It is empty, too long, or holds what could not be shown as it is.
    """
    if not reason.strip() or len(reason) > MAX_REASON or not is_plain(reason):
        raise RequestError(
            f"A decision needs a reason of 1 to {MAX_REASON} characters in one line, none of them invisible, which the "
            f"researcher will read; this one has {len(reason.strip())}. Give one."
        )


def digest(*, plan: str, raw_code: str, parsed_code: str, policies: str, asset: str, store: str, account: str) -> str:
    """SHA-256 over everything that one approval covers.

    Guarantees:
        Two requests have the same digest only if plan, code as written, code as it would run, input and output
        policies, asset, picture store (its manifest: pixels, labels, units, public size) and account are the same.
    """
    return sha256_text(
        canonical_json(
            {
                "plan": plan,
                "raw_code": raw_code,
                "parsed_code": parsed_code,
                "policies": policies,
                "asset": asset,
                "store": store,
                "account": account,
            }
        )
    )


def sealed(request_digest: str, shapes: str) -> str:
    """SHA-256 over a request's digest and the shapes, as JSON, of what may come in and leave."""
    return sha256_text(canonical_json({"request": request_digest, "shapes": shapes}))


def know_returned(path: Path) -> None:
    """Gives a table of decisions from before state version 3 the decisions that came then: returned, withdrawn.

    Votes begin anew: what one person had approved of a request that waits for another was no vote on all that a card
    shows now.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as table:
        known = table.execute("SELECT sql FROM sqlite_master WHERE name='decisions'").fetchone()
        if known is None or "'returned'" in known[0]:
            return
        table.executescript(
            f"BEGIN; ALTER TABLE decisions RENAME TO older; {_SCHEMA} INSERT INTO decisions SELECT * FROM older; "  # noqa: S608
            "DROP TABLE older; DROP TABLE IF EXISTS consents; COMMIT;"
        )


def end_released(path: Path, held: Mapping[str, Reservation]) -> None:
    """Ends the approvals whose reservation was released: the ledger came from a later time than the table."""
    with closing(sqlite3.connect(path)) as table, table:
        for request, reservation in held.items():
            if reservation.released is not None:
                table.execute(
                    "UPDATE decisions SET decision='ended', reason=? WHERE decision='approved' AND request_id=?",
                    (reservation.released, request),
                )


class Approvals:
    """The table of decisions of one datasite.

    Attributes:
        connection: The file, which further tables about requests are in.
        lock: Held while the connection is used.
        votes: What the decisions are made of.
    """

    def __init__(self, path: Path) -> None:
        self.connection = open_private(path, _SCHEMA)
        self.lock = threading.Lock()
        self.votes = Votes(self.connection, self.lock)
        self.threads = Threads(self.connection, self.lock)

    def close(self) -> None:
        """Closes the file."""
        with self.lock:
            self.connection.close()

    def record(self, decision: Decision) -> None:
        """Writes a decision, unfinished until `finish`; a later one on the same request replaces it."""
        values = tuple(vars(decision).values())
        with self.lock:
            self.connection.execute("INSERT OR IGNORE INTO unfinished VALUES (?)", (decision.request_id,))
            self.connection.execute(f"INSERT OR REPLACE INTO decisions VALUES ({','.join('?' * len(values))})", values)  # noqa: S608

    def finish(self, request_id: str) -> None:
        """Notes that a decision has reached all that follow from it."""
        with self.lock:
            self.connection.execute("DELETE FROM unfinished WHERE request_id=?", (request_id,))

    def unfinished(self) -> tuple[str, ...]:
        """Requests on which a decision was begun to be written and not finished."""
        with self.lock:
            rows = self.connection.execute("SELECT request_id FROM unfinished ORDER BY rowid").fetchall()
        return tuple(str(one) for (one,) in rows)

    def of_request(self, request_id: str) -> Decision | None:
        """The decision on a request, if any."""
        return self._one("request_id", request_id)

    def of_code(self, code_id: str) -> Decision | None:
        """The decision on the request that carries this code, if any."""
        return self._one("code_id", code_id)

    def refused_since(self, researcher: str, *, since: str, plan: str) -> bool:
        """Whether a researcher's request was denied or returned since a moment, UTC, or at any time with this plan."""
        with self.lock:
            row = self.connection.execute(
                "SELECT 1 FROM decisions WHERE researcher=? AND decision IN ('denied', 'returned')"
                " AND (decided_at>=? OR plan=?) LIMIT 1",
                (researcher, since, plan),
            ).fetchone()
        return row is not None

    def counts_of(self, researcher: str, *, but: str, until: str) -> dict[str, int]:
        """How a researcher's other requests than `but` were decided: decision → how many; by a time, if one is told."""
        with self.lock:
            rows = self.connection.execute(
                "SELECT decision, COUNT(*) FROM decisions WHERE researcher=? AND request_id<>? "
                "AND (?='' OR decided_at<=?) GROUP BY decision ORDER BY decision",
                (researcher, but, until, until),
            ).fetchall()
        return dict(rows)

    def _one(self, column: str, value: str) -> Decision | None:
        with self.lock:
            row = self.connection.execute(f"SELECT * FROM decisions WHERE {column}=?", (value,)).fetchone()  # noqa: S608
        return Decision(*row) if row else None
