"""A route that gives a person with a token an address which opens the console in a browser, once."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.access.staff import Person
from datasites.console.answers import LinkAnswer
from datasites.console.console import READS, Console, router_below


def make_routes(console: Console) -> APIRouter:
    """Give an address."""
    router = router_below()

    @router.post("/link")
    async def link(request: Request) -> JSONResponse:
        def work(who: Person) -> LinkAnswer:
            return LinkAnswer(f"{console.url()}/open?code={console.links.give(who)}")

        return await console.answer(request, READS, work)

    return router
