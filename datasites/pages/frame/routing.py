"""Routing of the console's two sides: the command line's JSON has one prefix, pages have the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from datasites.pages.frame.reception import Reception
from datasites.pages.frame.views import Pages, Route
from policies.errors import PageUnknown, RequestMalformed


def pages_app(reception: Reception, parts: Sequence[Pages]) -> Starlette:
    """An app with the routes of all pages; what has none is a page too."""
    routes = [_starlette_route(reception, route) for part in parts for route in part.routes]
    pages = Starlette(routes=routes, exception_handlers={HTTPException: _unknown(reception)})
    pages.router.redirect_slashes = False
    return pages


class ByPath:
    """The command line's API below its prefix, pages everywhere else: each makes its own errors, JSON or pages."""

    def __init__(self, prefix: str, *, api: ASGIApp, pages: ASGIApp) -> None:
        self._below, self._api, self._pages = f"{prefix}/", api, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one exchange."""
        await (self._api if scope["path"].startswith(self._below) else self._pages)(scope, receive, send)


def _starlette_route(reception: Reception, route: Route) -> StarletteRoute:
    async def endpoint(request: Request) -> Response:
        return await reception.answer(request, route)

    return StarletteRoute(route.path, endpoint, methods=[route.method])


def _unknown(reception: Reception) -> Any:
    async def answer(request: Request, error: HTTPException) -> Response:
        if error.status_code == PageUnknown.status:
            return await reception.refuse(request, PageUnknown("There is no such page."))
        return await reception.refuse(request, RequestMalformed("This page is not asked for in this way."))

    return answer
