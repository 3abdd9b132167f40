"""The admin API of a running datasite: JSON, on loopback, for the owner of the state folder and the hospital's staff.

It never leaves the hospital. The command line speaks to it.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI

from datasites.access.access import Access
from datasites.access.accounts import Accounts
from datasites.assets.published import PublishedDataset
from datasites.code_requests.books import Books
from datasites.code_requests.requests import RequestBook
from datasites.console import books, budget, datasets, requests, researchers, runs, staff
from datasites.console.console import Console
from datasites.runs.runs import Runs
from datasites.web.http_errors import add_error_handlers
from datasites.web.request_bounds import OWN_PAGES, enclose

PREFIX = "/admin/v1"
# What the console is asked for as: it listens on loopback only.
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def make_app(console: Console) -> FastAPI:
    """The app that listens on the console's port."""
    app = FastAPI(
        title=f"wanwu console of {console.name}",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    add_error_handlers(app, lambda error: console.books.counted.add("admin's call refused", code=error.code))
    for part in (requests, researchers, staff, runs, budget, datasets, books):
        app.include_router(part.make_routes(console), prefix=PREFIX)
    return app


def open_console(
    name: str,
    *,
    terms_of_use: str,
    access: Access,
    accounts: Accounts,
    datasets: Mapping[str, PublishedDataset],
    books: Books,
    book: RequestBook,
    runs: Runs,
    signing_seed: bytes,
) -> FastAPI:
    """The console of the datasite with this name, closed to whoever asks for another host than loopback."""
    app = make_app(
        Console(
            name=name,
            staff=access.staff,
            datasets=datasets,
            terms_of_use=terms_of_use,
            books=books,
            book=book,
            accounts=accounts,
            queue=runs.queue,
            supervisor=runs.supervisor,
            url=lambda: access.console_url,
            signing_seed=signing_seed,
        )
    )
    enclose(app, hosts=LOOPBACK, limits=(), content_policy=OWN_PAGES)
    return app
