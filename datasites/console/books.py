"""Routes of the books as auditors read them: the privacy ledger and the audit log. They stay in the hospital."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.access.staff import Person
from datasites.audit_log.index import AuditPage
from datasites.console.console import AUDITS, Console
from policies.ledger.chain import Entry
from policies.ledger.ledger import Ledger


def make_routes(console: Console) -> APIRouter:
    """The ledger's entries; a search of the audit log."""
    router, books = APIRouter(), console.books

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
