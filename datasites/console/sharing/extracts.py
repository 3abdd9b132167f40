"""A route by which a person has an extract of the ledger signed, for a study's papers. Made to leave the hospital."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.console.answers import ExtractAnswer
from datasites.console.console import DECIDES, Console, router_below
from policies.errors import RequestUnknown
from policies.ledger.receipt import dataset_mark
from policies.papers.ledger_extract import LedgerExtract, sign_extract


def make_routes(console: Console) -> APIRouter:
    """Extract."""
    router = router_below()

    @router.post("/requests/{request_id}/extract")
    async def extract(request: Request, request_id: str) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: make_extract(console, request_id, by=who.name))

    return router


def make_extract(console: Console, request_id: str, *, by: str) -> ExtractAnswer:
    """What the ledger holds of a request, and of its dataset altogether, signed.

    Guarantees:
        It holds the study's own rounds, the dataset's total and limit, and whether any of its rounds ran without
        differential privacy: nothing of another study by itself, and no time.

    Raises:
        RequestUnknown: Nothing was ever reserved for the request.
        LedgerBroken: The ledger does not verify.
    """
    books, found = console.books, console.review(request_id).id
    held = books.ledger.held(found)
    if held is None:
        raise RequestUnknown("There is an extract for approved requests only.")
    total = books.limits.current.total
    same = [one for one in books.ledger.reservations().values() if one.fingerprint == held.fingerprint]
    extract = LedgerExtract(
        datasite=console.name,
        request_id=found,
        dataset_mark=dataset_mark(held.fingerprint, console.signing_seed),
        plan_digest=held.plan_digest,
        rounds_reserved=held.rounds,
        rounds_charged=len(held.rounds_charged),
        released=held.released is not None,
        epsilon_limit=total.epsilon,
        epsilon_held=books.epsilon(books.ledger.history(held.fingerprint)),
        delta=total.delta,
        without_privacy=any(one.non_private and one.rounds_charged for one in same),
        ledger_head=books.ledger.head()[1],
    )
    books.audit.write("ledger extract signed", request=found, rounds=extract.rounds_charged, by=by)
    return ExtractAnswer(found, sign_extract(extract, console.signing_seed))
