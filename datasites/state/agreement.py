"""Checks that a datasite's books agree: ledger, audit log, decisions, run queue, PySyft's requests.

Checked before a datasite serves, and by the doctor. Each is written in a fixed order, so that a crash between two of
them leaves one of few states; only what no crash leaves is refused. Nothing of it crosses the boundary.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datasites.approvals.approvals import NEVER_APPROVED
from datasites.audit_log import ledger_witness
from datasites.files.state_folder import StateFolder
from datasites.pysyft_database.place import kept_place
from datasites.pysyft_database.rows import Row, live_rows
from datasites.state import identity as identities
from datasites.state import last_known
from datasites.state.kept_books import open_ledger, read_audit
from datasites.state.last_known import LastKnown, disagree, rows
from policies.answers.runs import CANARY
from policies.errors import LedgerBroken
from policies.ledger.chain import Entry
from policies.ledger.reservations import Reservation, reservations
from policies.plans.plan_json import sha256_text

_DECISIONS = "SELECT request_id, decision, fingerprint, plan FROM decisions"
_RUNS = "SELECT id, request_id, round, state, update_digest FROM runs"
_APPROVED, _DONE = "request approved", "run done"
_DECIDED = {
    "request ended": ("ended",),
    "request denied": ("denied",),
    "request returned": ("returned",),
    "request withdrawn": ("withdrawn",),
    "round asked for": ("approved", "ended"),
}


@dataclass(frozen=True)
class QueuedRun:
    """What the queue says of a run."""

    id: str
    request_id: str
    round: int
    state: str
    update_digest: str


@dataclass(frozen=True)
class BookContents:
    """All books of a datasite, read one after the other.

    Attributes:
        decisions: Request → decision, fingerprint and plan.
        runs: The run queue.
        applied: The requests that PySyft takes for approved.
        events: The audit log's events that say something of another book, oldest first.
        entries: The ledger's.
        known: How far the books had come when the datasite last started or stopped; None before state version 2.
        now: How far they come now.
        requests: All that PySyft knows; None where its newest may be lost in a crash, as in its own file.
    """

    decisions: Mapping[str, tuple[str, str, str]]
    runs: tuple[QueuedRun, ...]
    applied: tuple[str, ...]
    events: tuple[Mapping[str, Any], ...]
    entries: tuple[Entry, ...]
    known: LastKnown | None
    now: LastKnown
    requests: frozenset[str] | None = None

    @property
    def since_restored(self) -> tuple[tuple[Mapping[str, Any], ...], int]:
        """The events since the last restore, and how many entries the ledger had at it: what came before it may be
        known to some books only, since a restore takes each from where it reaches furthest."""
        for index in range(len(self.events) - 1, -1, -1):
            event = self.events[index]
            if event["event"] == ledger_witness.RESTORED:
                return self.events[index + 1 :], int(event.get(ledger_witness.ENTRIES, len(self.entries)))
        return self.events, 0


def check(state: StateFolder) -> None:
    """Refuses a datasite whose books do not agree.

    Guarantees:
        Returns only if every book is there, the ledger and the audit log hold to their sealed ends, no book is an
        older copy than another or than the last start or stop knew, every approved or ended request has its
        reservation, and every finished run its charge.

    Raises:
        BooksDisagree: The private text says what does not agree.
        LedgerBroken, AuditBroken: A chain does not hold.
    """
    if not identities.load(state).books:
        raise disagree("identity/datasite.json is older than the books: it does not know that they exist")
    if found := list(mismatches(read_contents(state))):
        raise disagree(*found)


def read_contents(state: StateFolder) -> BookContents:
    """Reads all books, what refers to another one first, so that a running datasite's agree as far as they can.

    Raises:
        BooksDisagree: One is missing or cannot be read.
        LedgerBroken, AuditBroken: A chain does not hold.
    """
    identity = identities.load(state)
    known = last_known.read(state, identity.seal) if identity.books else None
    requests = _requests(state)
    applied = tuple(str(one["id"]) for one in requests if one["history"] and one["history"][-1]["applied"])
    certain = frozenset(str(one["id"]) for one in requests) if kept_place(state) else None
    runs = tuple(QueuedRun(*row) for row in rows(state.runs, _RUNS))
    decisions = {row[0]: row[1:] for row in rows(state.approvals, _DECISIONS)}
    last = known.audit_head if known else ""
    lines = read_audit(state, lambda event: _says_something(event) or event["hash"] == last)
    entries = open_ledger(state).entries()
    ledger = (len(entries), entries[-1].hash) if entries else (0, "")
    now = last_known.now(state, ledger, (lines.head.entries, lines.head.hash))
    return BookContents(decisions, runs, applied, lines.entries, entries, known, now, certain)


def mismatches(books: BookContents) -> Iterator[str]:
    """What no crash leaves, each in a sentence for the hospital's admin.

    Raises:
        LedgerBroken: An entry that no version of this platform has written.
    """
    held = reservations(books.entries)
    try:
        ledger_witness.check(books.entries, books.events)
    except LedgerBroken as error:
        yield error.private
    if books.known:
        hashes = ({entry.hash for entry in books.entries}, {event["hash"] for event in books.events})
        yield from books.known.missing(books.now, *hashes)
    yield from _decisions_without_reservation(books, held)
    yield from _approved_without_request(books)
    yield from _runs_without_charge(books, held)
    yield from _charges_without_run(books)
    yield from _events_without_record(books)
    yield from _records_without_event(books)


def _decisions_without_reservation(books: BookContents, held: Mapping[str, Reservation]) -> Iterator[str]:
    """A reservation precedes its approval, and an end precedes its release."""
    for request, (decision, fingerprint, plan) in books.decisions.items():
        if decision in NEVER_APPROVED:
            continue
        found = held.get(request)
        if found is None:
            yield f"request {request} was {decision}, and the ledger has no reservation for it"
        elif (found.fingerprint, found.plan_digest) != (fingerprint, sha256_text(plan)):
            yield f"request {request} was {decision} with another plan or dataset than the ledger reserved for"
        elif decision == "approved" and found.released is not None:
            yield f"request {request} is approved, and the ledger has released its reservation"
    for request in books.applied:
        if books.decisions.get(request, ("none",))[0] not in ("approved", "ended"):
            yield f"PySyft takes request {request} for approved, and no decision says so"


def _approved_without_request(books: BookContents) -> Iterator[str]:
    """What was approved since the last restore, PySyft has kept before."""
    for event in books.since_restored[0] if books.requests is not None else ():
        if event["event"] == _APPROVED and event["request"] not in (books.requests or ()):
            yield f"request {event['request']} was approved, and PySyft's database does not know it: an older copy"


def _runs_without_charge(books: BookContents, held: Mapping[str, Reservation]) -> Iterator[str]:
    """A run is queued under an approval, and its round is charged before it is done."""
    for run in books.runs:
        if run.request_id not in books.decisions or run.request_id not in held:
            yield f"run {run.id} is of request {run.request_id}, which was never approved"
        elif run.state == "done" and run.round != CANARY:
            done = held[run.request_id].committed.get(run.round)
            if done is None or done.update_digest != run.update_digest:
                yield f"run {run.id} is done, and the ledger has not charged round {run.round + 1} of its request"


def _charges_without_run(books: BookContents) -> Iterator[str]:
    """A round stands in the queue before the ledger names it."""
    queued = {(run.request_id, run.round) for run in books.runs}
    for entry in books.entries[books.since_restored[1] :]:
        if entry.round_index is not None and (entry.request_id, entry.round_index) not in queued:
            yield f"the ledger's entry {entry.sequence} is of a round that the queue does not know: an older queue"


def _events_without_record(books: BookContents) -> Iterator[str]:
    """What the audit log says of runs and requests stands in the queue and the decisions before."""
    runs = {run.id for run in books.runs}
    for event in books.since_restored[0]:
        if "run" in event and event["run"] not in runs:
            yield f"the audit log names run {event['run']}, which the queue does not know: an older queue"
        expected = _DECIDED.get(event["event"])
        if expected and books.decisions.get(event["request"], ("none",))[0] not in expected:
            yield f"the audit log says '{event['event']}' of request {event['request']}, the decisions do not"


def _records_without_event(books: BookContents) -> Iterator[str]:
    """An approval and the end of a run stand in the audit log before anything else knows of them."""
    approved = {event["request"] for event in books.events if event["event"] == _APPROVED}
    done = {(event["request"], event["round"], event["update"]) for event in books.events if event["event"] == _DONE}
    for request, (decision, *_) in books.decisions.items():
        if decision not in NEVER_APPROVED and request not in approved:
            yield f"request {request} was {decision}, and the audit log does not know its approval: an older log"
    for run in books.runs:
        if run.round != CANARY and run.state == "done" and (run.request_id, run.round, run.update_digest) not in done:
            yield f"run {run.id} is done, and the audit log does not know it: an older log"


def _says_something(event: Mapping[str, Any]) -> bool:
    return ledger_witness.is_witness(event) or "run" in event or event["event"] in (*_DECIDED, _APPROVED, _DONE)


def _requests(state: StateFolder) -> list[Row]:
    """All requests of PySyft's database, read without PySyft."""
    try:
        return live_rows(state, "Request")
    except sqlite3.Error as error:
        raise disagree(f"PySyft's database is missing or cannot be read ({error})") from error
