"""One shape for every error that a datasite answers over HTTP: a code and a public text."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from policies.errors import WanwuError

log = logging.getLogger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Makes every error of the app answer as `{"code": .., "error": ..}`, with nothing private in it."""

    @app.exception_handler(WanwuError)
    async def known(request: Request, error: WanwuError) -> JSONResponse:
        if error.private:
            log.warning("%s %s: %s", request.method, request.url.path, error.private)
        return JSONResponse(error.to_json(), status_code=error.status)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"code": "WW000", "error": "The request is malformed."}, status_code=422)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"code": "WW000", "error": str(error.detail)}, status_code=error.status_code)

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s", request.method, request.url.path, exc_info=error)
        text = "The datasite could not answer. Its people find the cause in their log."
        return JSONResponse({"code": "WW000", "error": text}, status_code=500)
