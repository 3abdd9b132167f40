"""Routes about what datasets may cost: the budget, charged and left, and the limits, which only an admin changes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.code_requests.books import Books
from datasites.console.answers import BudgetRow, StudyRow
from datasites.console.console import CHANGES, DECIDES, READS, Console


def make_routes(console: Console) -> APIRouter:
    """The budget; the limits, and changing them."""
    router, limits = APIRouter(), console.books.limits

    @router.get("/budget")
    async def budget(request: Request) -> JSONResponse:
        return await console.answer(request, READS, lambda who: budgets(console))

    @router.get("/limits")
    async def show_limits(request: Request) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: limits.current.to_dict())

    @router.post("/limits")
    async def change_limits(request: Request, changes: dict[str, Any]) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: limits.change(changes, by=who.name).to_dict())

    return router


def budgets(console: Console) -> list[BudgetRow]:
    """What each dataset's budget is, what is charged, by whom, and what is left."""
    total = console.books.limits.current.total
    rows = []
    for name, published in console.datasets.items():
        fingerprint = published.manifest.budget_key
        charged = console.books.epsilon(console.books.ledger.history(fingerprint))
        rows.append(
            BudgetRow(
                dataset=name,
                epsilon_total=total.epsilon,
                epsilon_charged=charged,
                epsilon_left=console.books.epsilon_left(fingerprint),
                delta=total.delta,
                studies=_studies(console.books, fingerprint),
            )
        )
    return rows


def _studies(books: Books, fingerprint: str) -> tuple[StudyRow, ...]:
    """One row for each researcher and study: what is charged, and how many of the reserved rounds were charged."""
    held = [one for one in books.ledger.reservations().values() if one.fingerprint == fingerprint]
    rows = []
    for researcher, study in dict.fromkeys((one.researcher, one.study) for one in held):
        own = [one for one in held if (one.researcher, one.study) == (researcher, study)]
        charged = books.ledger.history(fingerprint, researcher=researcher, study=study)
        rows.append(
            StudyRow(
                researcher=researcher,
                study=study,
                epsilon_charged=books.epsilon(charged),
                rounds_reserved=sum(one.rounds for one in own),
                rounds_run=sum(len(one.rounds_charged) for one in own),
                ended=all(one.released is not None for one in own),
                non_private=any(one.non_private for one in own),
            )
        )
    return tuple(rows)
