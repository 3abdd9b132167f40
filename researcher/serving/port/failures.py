"""One shape for every error that a served model answers: a code and a public text."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from policies.errors import RequestMalformed, ServingError, WanwuError
from researcher.serving.port.guard import refusal


def add_failures(app: FastAPI, refused: Callable[[WanwuError], None]) -> None:
    """Makes every error of the app answer as `{"code": .., "error": ..}`.

    Args:
        app: The app.
        refused: Told of each, to count it.
    """

    @app.exception_handler(WanwuError)
    async def known(request: Request, error: WanwuError) -> Response:
        refused(error)
        return _answer(error)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        names = ", ".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
        return _answer(RequestMalformed(f"An argument is of another kind or range than the route takes: {names}."))

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody is there to read it

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        found = ServingError(f"{error.detail}. /openapi.json lists what is answered.")
        found.status = error.status_code
        return _answer(found)

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> Response:
        return _answer(ServingError("The model could not answer. The server's log names the fault."))


def _answer(error: WanwuError) -> Response:
    body, headers = refusal(error)
    return Response(body, status_code=error.status, headers={name.decode(): value.decode() for name, value in headers})
