"""The record of a decision for the file: the review as it was decided on, who decided, the trail, the ledger's entries.

It is the hospital's own paper; it names a researcher, the hospital's people and epsilons, never a value of a picture.
The same state of the books gives the same record, to the last byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from datasites.code_requests.books import Books
from datasites.review.review import Review
from policies.budget.limit_changes import by_name
from policies.errors import RequestError
from policies.plans.plan_json import canonical_json

# Events of a request that tell how it ran, not how it was decided.
_OF_RUNS = "run "
_MOST_EVENTS = 1_000_000
_KNOWN = frozenset({"time", "event", "by", "request", "sequence", "previous", "hash"})


@dataclass(frozen=True)
class TrailEvent:
    """One event of the audit log about the request: when, what, by whom, and its other details as one text."""

    at: str
    event: str
    by: str
    details: str


@dataclass(frozen=True)
class LedgerEntry:
    """One entry of the ledger about the request, with the hashes that chain it."""

    sequence: int
    at: str
    kind: str
    round_index: int | None
    previous: str
    hash: str


@dataclass(frozen=True)
class DecisionRecord:
    """What a hospital keeps of one decision.

    Attributes:
        datasite: Its name.
        public_key: The key that the record's signature verifies with, hexadecimal.
        decision: `approved`, `denied` or `ended`, or what else it was.
        decided_by: Who decided: one name, or all.
        decided_at: When, UTC.
        reason: The decision's reason; empty for an approval.
        decided_digest: Over all that the decision covers.
        limits: The limits in force when the record was made.
        review: The review, with what stood when it was decided.
        ledger: The ledger's entries about the request, oldest first.
        trail: The audit log's events about it, its runs left out, oldest first.
        language: The page's, as the console's languages are called: `en`, `zh`.
    """

    datasite: str
    public_key: str
    decision: str
    decided_by: str
    decided_at: str
    reason: str
    decided_digest: str
    limits: Mapping[str, str]
    review: Review
    ledger: tuple[LedgerEntry, ...] = ()
    trail: tuple[TrailEvent, ...] = field(default=())
    language: str = field(default="en", metadata={"added_later": True})


def record_of(review: Review, books: Books, *, datasite: str, public_key: str, language: str = "en") -> DecisionRecord:
    """The record of the decision on a reviewed request.

    Raises:
        RequestError: It is not decided; before that nobody's vote may be read.
        LedgerBroken: The ledger does not verify.
    """
    decision = books.approvals.of_request(review.id)
    if decision is None:
        raise RequestError("The request is not decided yet. There is a record once it is.")
    entries = tuple(
        LedgerEntry(one.sequence, one.at, one.kind, one.round_index, one.previous, one.hash)
        for one in books.ledger.entries()
        if one.request_id == review.id
    )
    trail = tuple(
        TrailEvent(str(one["time"]), str(one["event"]), str(one.get("by", "")), _details(one))
        for one in books.audit.tail(_MOST_EVENTS)
        if one.get("request") == review.id and not str(one["event"]).startswith(_OF_RUNS)
    )
    limits = {name: canonical_json(value) for name, value in by_name(books.limits.current).items()}
    return DecisionRecord(
        datasite=datasite,
        public_key=public_key,
        decision=decision.decision,
        decided_by=decision.decided_by,
        decided_at=decision.decided_at,
        reason=decision.reason,
        decided_digest=decision.digest,
        limits=limits,
        review=review,
        ledger=entries,
        trail=trail,
        language=language,
    )


def _details(event: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in event.items() if name not in _KNOWN)
