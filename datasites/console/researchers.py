"""Routes about researchers: their accounts and certificates. Only an admin's; keys go into a file, not an answer."""

from __future__ import annotations

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from datasites.console.answers import FileAnswer, RevokedAnswer
from datasites.console.console import CHANGES, Console, router_below


def make_routes(console: Console) -> APIRouter:
    """List, enrol, revoke."""
    router, accounts = router_below("/researchers"), console.accounts

    @router.get("")
    async def researchers(request: Request) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: accounts.people())

    @router.post("")
    async def enrol(request: Request, email: str = Body(embed=True)) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: FileAnswer(str(accounts.enrol(email))))

    @router.post("/revoke")
    async def revoke(request: Request, email: str = Body(embed=True)) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: RevokedAnswer(accounts.revoke(email)))

    return router
