"""A datasite's own routes with nothing behind them but a store of blobs."""

from __future__ import annotations

import warnings
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI

from datasites.runs.blobs import BlobStore
from datasites.web.http_errors import add_error_handlers

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from datasites.researchers_port.routes import ResearcherRoutes, make_routes


def blob_app(blobs: BlobStore) -> FastAPI:
    """The routes; every account is that of one researcher."""
    parts: dict[str, Any] = dict.fromkeys(one.name for one in fields(ResearcherRoutes))
    parts["shown"] = SimpleNamespace(check=lambda receipt, by: None)
    app = FastAPI()
    add_error_handlers(app)
    app.include_router(
        make_routes(ResearcherRoutes(**{**parts, "blobs": blobs, "email_of": lambda account: "r@u.org"}))
    )
    return app
