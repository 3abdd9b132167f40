"""Routes about code requests. A reviewer sees the whole card; of a decision, the researcher reads the reason alone."""

from __future__ import annotations

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from datasites.access.staff import Person
from datasites.approvals.threads import Message
from datasites.code_requests.card import RequestCard
from datasites.console.answers import EndedAnswer
from datasites.console.console import CHANGES, DECIDES, READS, Console, router_below
from datasites.rehearsal.rehearsals import Rehearsal
from policies.errors import RequestError


def make_routes(console: Console) -> APIRouter:
    """List, show, record, approve, rehearse, deny, return, ask, end."""
    router = router_below("/requests")
    _add_looking(router, console)
    _add_deciding(router, console)
    return router


def _add_looking(router: APIRouter, console: Console) -> None:
    """What changes nothing: list, show, record, rehearse."""
    book = console.book

    @router.get("")
    async def requests(
        request: Request,
        state: str | None = None,
        researcher: str | None = None,
        query: str = "",
        after: str | None = None,
        count: int = 50,
    ) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: book.page(state, researcher, query, after, count))

    @router.get("/{request_id}")
    async def show(request: Request, request_id: str) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: console.review(request_id, viewer=who.name))

    @router.get("/{request_id}/record")
    async def record(request: Request, request_id: str, language: str = "en") -> JSONResponse:
        return await console.answer(request, READS, lambda who: console.record(request_id, language))

    @router.post("/{request_id}/rehearse")
    async def rehearse(request: Request, request_id: str) -> JSONResponse:
        def work(who: Person) -> Rehearsal:
            return console.books.rehearsals.ask(book.open.read(request_id).request_id)

        return await console.answer(request, DECIDES, work)


def _add_deciding(router: APIRouter, console: Console) -> None:
    """Votes, questions, and the end of what was approved."""
    book = console.book

    @router.post("/{request_id}/approve")
    async def approve(request: Request, request_id: str) -> JSONResponse:
        def work(who: Person) -> RequestCard:
            return book.approve(request_id, by=who.name, named=who.named)

        return await console.answer(request, DECIDES, work)

    @router.post("/{request_id}/deny")
    async def deny(request: Request, request_id: str, reason: str = Body(embed=True)) -> JSONResponse:
        def work(who: Person) -> RequestCard:
            return book.deny(request_id, reason=reason, by=who.name, named=who.named)

        return await console.answer(request, DECIDES, work)

    @router.post("/{request_id}/return")
    async def ask_for_a_change(request: Request, request_id: str, reason: str = Body(embed=True)) -> JSONResponse:
        def work(who: Person) -> RequestCard:
            return book.ask_for_a_change(request_id, reason=reason, by=who.name, named=who.named)

        return await console.answer(request, DECIDES, work)

    @router.post("/{request_id}/ask")
    async def ask(request: Request, request_id: str, text: str = Body(embed=True)) -> JSONResponse:
        def work(who: Person) -> Message:
            return book.conversation.ask(book.card(request_id).id, text, by=who.name)

        return await console.answer(request, DECIDES, work)

    @router.post("/{request_id}/end")
    async def end(request: Request, request_id: str, reason: str = Body(embed=True)) -> JSONResponse:
        def work(who: Person) -> EndedAnswer:
            return end_request(console, request_id, by=who.name, reason=reason)

        return await console.answer(request, CHANGES, work)


def end_request(console: Console, request_id: str, *, by: str, reason: str) -> EndedAnswer:
    """Ends a request, and says what that has ended and freed.

    Raises:
        RequestError: It is not approved.
    """
    books, whole = console.books, console.book.index.named(request_id)
    held = books.ledger.held(whole)
    before = 0.0 if held is None else books.epsilon_left(held.fingerprint)
    console.book.end(whole, by=by, reason=reason)
    ended = books.ledger.held(whole)
    if ended is None:
        raise RequestError("Only an approved request can be ended.")
    left = books.epsilon_left(ended.fingerprint)
    return EndedAnswer(
        id=whole,
        researcher=ended.researcher,
        study=ended.study,
        dataset=ended.dataset,
        reason=ended.released or reason,
        rounds_run=len(ended.rounds_charged),
        rounds=ended.rounds,
        epsilon_left=left,
        epsilon_freed=max(left - before, 0.0),
    )
