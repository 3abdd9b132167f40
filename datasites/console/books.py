"""The books as auditors read them: the privacy ledger and the audit log. They stay in the hospital."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.access.staff import Person
from datasites.audit_log import ledger_witness
from datasites.audit_log.audit_page import AuditPage
from datasites.audit_log.chain import broken
from datasites.code_requests.books import Books
from datasites.console.console import AUDITS, Console, router_below
from policies.ledger.chain import Entry
from policies.ledger.ledger import Ledger


@dataclass(frozen=True)
class AuditChecked:
    """What a check of the whole audit log has shown; there is none of a log that does not hold.

    Attributes:
        entries: How many events it has.
        head: The hash of the last one.
        ledger_entries_after: How many of the ledger's entries came after the last that the log names.
    """

    entries: int
    head: str
    ledger_entries_after: int


def check_audit(books: Books) -> AuditChecked:
    """Checks the audit log's chain and its sealed end, and the ledger against it.

    Guarantees:
        Returns only if each event follows the one before it up to the sealed end, and the ledger has every entry that
        the log names.

    Raises:
        AuditBroken: The log does not hold; the private text says where.
        LedgerBroken: The ledger does not, or is not the one that the log names.
    """
    lines = books.audit.read(ledger_witness.is_witness)
    if lines.torn:
        raise broken(f"line {lines.head.entries + 1} is torn: the next event repairs it, and says so")
    unknown = ledger_witness.check(_entries(books.ledger), lines.entries)
    return AuditChecked(lines.head.entries, lines.head.hash, unknown)


def make_routes(console: Console) -> APIRouter:
    """The ledger's entries; a search of the audit log."""
    router, books = router_below(), console.books

    @router.get("/ledger")
    async def ledger(request: Request) -> JSONResponse:
        return await console.answer(request, AUDITS, lambda who: _entries(books.ledger))

    @router.get("/audit")
    async def audit(
        request: Request,
        text: str = "",
        event: str | None = None,
        by: str | None = None,
        since: date | None = None,
        until: date | None = None,
        after: int | None = None,
        count: int = 50,
        verify: bool = False,
    ) -> JSONResponse:
        def work(who: Person) -> AuditPage:
            return books.audit.index.search(
                text, event=event, by=by, since=since, until=until, after=after, count=count, verify=verify
            )

        return await console.answer(request, AUDITS, work)

    return router


def _entries(ledger: Ledger) -> tuple[Entry, ...]:
    """The ledger's entries, oldest first, after its chain was verified."""
    ledger.verify()
    return ledger.entries()
