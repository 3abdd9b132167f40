"""Routes about what datasets may cost: the budget, charged and left, and the limits, which only an admin changes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.console.answers import BudgetRow
from datasites.console.console import CHANGES, DECIDES, READS, Console
from datasites.review.reviewing import studies_of


def make_routes(console: Console) -> APIRouter:
    """The budget; the limits, and changing them."""
    router, limits = APIRouter(), console.books.limits

    @router.get("/budget")
    async def budget(request: Request) -> JSONResponse:
        return await console.answer(request, READS, lambda who: _budgets(console))

    @router.get("/limits")
    async def show_limits(request: Request) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: limits.current.to_dict())

    @router.post("/limits")
    async def change_limits(request: Request, changes: dict[str, Any]) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: limits.change(changes, by=who.name).to_dict())

    return router


def _budgets(console: Console) -> list[BudgetRow]:
    """What each dataset's budget is, what is charged, by whom, and what is left."""
    total, held = console.books.limits.current.total, console.books.ledger.reservations().values()
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
                studies=studies_of(console.books, [one for one in held if one.fingerprint == fingerprint]),
            )
        )
    return rows
