"""Routes about datasets as their hospital sees them: how many of what, in which versions. They stay in the hospital."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.console.console import READS, Console
from datasites.datasets.summary import DatasetSummary, summarise
from policies.errors import RequestUnknown


def make_routes(console: Console) -> APIRouter:
    """A dataset's classes, sizes and versions."""
    router = APIRouter()

    @router.get("/datasets/{name}")
    async def dataset(request: Request, name: str) -> JSONResponse:
        return await console.answer(request, READS, lambda who: _summary(console, name))

    return router


def _summary(console: Console, name: str) -> DatasetSummary:
    published = console.datasets.get(name)
    if published is None:
        raise RequestUnknown(f"There is no dataset {name!r} here.")
    held = console.books.ledger.reservations().values()
    return summarise(published.versions, held, console.terms_of_use)
