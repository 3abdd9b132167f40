"""One shape for every error that a datasite answers over HTTP: a code and a public text."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from datasites.web.served_path import served_path
from policies.errors import RequestMalformed, StorageUnavailable, WanwuError

log = logging.getLogger(__name__)


def add_error_handlers(app: FastAPI, refused: Callable[[WanwuError], None] = lambda error: None) -> None:
    """Makes every error of the app answer as `{"code": .., "error": ..}`, with nothing private in it.

    Args:
        app: The app.
        refused: Told of every error of the platform, to count it.
    """

    @app.exception_handler(WanwuError)
    async def known(request: Request, error: WanwuError) -> JSONResponse:
        if error.private:
            log.warning("%s %s: %s", request.method, _path(request), error.private)
        await run_in_threadpool(refused, error)
        return JSONResponse(error.to_json(), status_code=error.status)

    @app.exception_handler(sqlite3.OperationalError)
    @app.exception_handler(OSError)
    async def storage(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s", request.method, _path(request), exc_info=error)
        return _unavailable()

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        malformed = RequestMalformed("The request has a value of another kind or range than its route takes.")
        return JSONResponse(malformed.to_json(), status_code=422)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody is there to read it

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"code": "WW000", "error": str(error.detail)}, status_code=error.status_code)

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s", request.method, _path(request), exc_info=error)
        if _is_of_the_disk(error):  # PySyft's own tables raise SQLAlchemy's errors, made of SQLite's
            return _unavailable()
        text = "The datasite could not answer. Its people find the cause in their log."
        return JSONResponse({"code": "WW000", "error": text}, status_code=500)


def _unavailable() -> JSONResponse:
    unavailable = StorageUnavailable(
        "The hospital's disk does not take what this needs. Nothing half-done is kept; asking again later is safe."
    )
    return JSONResponse(unavailable.to_json(), status_code=unavailable.status)


def _is_of_the_disk(error: BaseException) -> bool:
    """Whether an error was raised from one of SQLite that says that a table cannot be used now."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not any(cause is one for one in seen):
        if isinstance(cause, sqlite3.OperationalError):
            return True
        seen.append(cause)
        cause = cause.__cause__
    return False


def _path(request: Request) -> str:
    """The path for the hospital's log; it is plain text, since another one is not served."""
    return served_path(request.scope)
