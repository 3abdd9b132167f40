"""Routes of the books as auditors read them: the privacy ledger and the audit log. They stay in the hospital."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.console.console import AUDITS, Console
from policies.ledger.chain import Entry
from policies.ledger.ledger import Ledger

MAX_EVENTS = 100_000


def make_routes(console: Console) -> APIRouter:
    """The ledger's entries; the audit log's last events."""
    router, books = APIRouter(), console.books

    @router.get("/ledger")
    async def ledger(request: Request) -> JSONResponse:
        return await console.answer(request, AUDITS, lambda who: _entries(books.ledger))

    @router.get("/audit")
    async def audit(request: Request, count: int = 100) -> JSONResponse:
        return await console.answer(request, AUDITS, lambda who: books.audit.tail(max(1, min(count, MAX_EVENTS))))

    return router


def _entries(ledger: Ledger) -> tuple[Entry, ...]:
    """The ledger's entries, oldest first, after its chain was verified."""
    ledger.verify()
    return ledger.entries()
