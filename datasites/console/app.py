"""The admin API of a running datasite: JSON, on loopback, for the owner of the state folder and the hospital's staff.

It never leaves the hospital. The command line speaks to it.
"""

from __future__ import annotations

from fastapi import FastAPI

from datasites.console import books, budget, datasets, link, notices, requests, researchers, rules, runs, staff
from datasites.console.console import Console
from datasites.console.sharing import elsewhere, extracts
from datasites.web.http_errors import add_error_handlers


def make_app(console: Console) -> FastAPI:
    """The app that answers below `PREFIX` on the console's port; `datasites.pages` answers everywhere else."""
    app = FastAPI(
        title=f"wanwu console of {console.name}",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    add_error_handlers(app, lambda error: console.books.counted.add("admin's call refused", code=error.code))
    for part in (
        requests,
        elsewhere,
        extracts,
        rules,
        researchers,
        staff,
        runs,
        budget,
        datasets,
        books,
        notices,
        link,
    ):
        app.router.routes += part.make_routes(console).routes  # to include a router makes each of its routes again
    return app
