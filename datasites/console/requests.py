"""Routes about code requests. A reviewer sees the whole card; of a decision, the researcher reads the reason alone."""

from __future__ import annotations

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from datasites.access.staff import Person
from datasites.code_requests.card import RequestCard
from datasites.console.console import CHANGES, DECIDES, Console
from datasites.rehearsal.rehearsals import Rehearsal


def make_routes(console: Console) -> APIRouter:
    """List, show, approve, rehearse, deny, end."""
    router, book = APIRouter(prefix="/requests"), console.book

    @router.get("")
    async def requests(request: Request) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: book.cards())

    @router.get("/{request_id}")
    async def show(request: Request, request_id: str) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: book.card(request_id))

    @router.post("/{request_id}/approve")
    async def approve(request: Request, request_id: str) -> JSONResponse:
        def work(who: Person) -> RequestCard:
            return book.approve(request_id, by=who.name, named=who.named)

        return await console.answer(request, DECIDES, work)

    @router.post("/{request_id}/rehearse")
    async def rehearse(request: Request, request_id: str) -> JSONResponse:
        def work(who: Person) -> Rehearsal:
            return console.books.rehearsals.ask(book.open.read(request_id).request_id)

        return await console.answer(request, DECIDES, work)

    @router.post("/{request_id}/deny")
    async def deny(request: Request, request_id: str, reason: str = Body(embed=True)) -> JSONResponse:
        def work(who: Person) -> RequestCard:
            return book.deny(request_id, reason=reason, by=who.name)

        return await console.answer(request, DECIDES, work)

    @router.post("/{request_id}/end")
    async def end(request: Request, request_id: str, reason: str = Body(embed=True)) -> JSONResponse:
        def work(who: Person) -> RequestCard:
            book.end(request_id, by=who.name, reason=reason)
            return book.card(request_id)

        return await console.answer(request, CHANGES, work)

    return router
