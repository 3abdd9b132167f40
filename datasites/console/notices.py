"""Routes of notices: each of the hospital's people reads them, and has their own mark of what was read."""

from __future__ import annotations

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from datasites.access.staff import Person
from datasites.console.console import CHANGES, READS, Console, router_below
from datasites.notices.notice_book import NoticePage


def make_routes(console: Console) -> APIRouter:
    """List, mark as read, test."""
    router, notices = router_below("/notices"), console.notices

    @router.get("")
    async def page(request: Request, after: int | None = None, count: int = 50) -> JSONResponse:
        return await console.answer(request, READS, lambda who: notices.book.page(who.name, after=after, count=count))

    @router.post("/read")
    async def read(request: Request, up_to: int = Body(embed=True)) -> JSONResponse:
        def work(who: Person) -> NoticePage:
            notices.book.read(who.name, up_to)
            return notices.book.page(who.name, count=1)

        return await console.answer(request, READS, work)

    @router.post("/test")
    async def test(request: Request) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: notices.test())

    return router
