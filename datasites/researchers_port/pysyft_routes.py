"""PySyft's routes, each for the researcher's own account only: checked before PySyft is entered.

The other checks of the same rule are in the guard, for each PySyft call, at sign-in, and at the datasite's own signed
routes.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.concurrency import run_in_threadpool

from datasites.web.served_path import served_path
from policies.errors import CertificateRefused

if TYPE_CHECKING:
    from datasites.access.accounts import Accounts


SYFT_PREFIX = "/api/v2"
# Of PySyft's routes, those that a researcher's client needs. The others do not exist here; signing in is our own.
SYFT_ROUTES = frozenset({"/metadata", "/api", "/api_call"})


def own_account_only(accounts: Accounts) -> Callable[[Request], Awaitable[None]]:
    """A dependency for PySyft's routes.

    Guarantees:
        Nobody lists the services of an account whose address is not the certificate's.
    """

    async def check(request: Request) -> None:
        if served_path(request.scope).endswith("/api"):
            key = request.query_params.get("verify_key")
            if key is None:
                raise CertificateRefused("The account's key is missing. Use the platform's own client.")
            await run_in_threadpool(accounts.own_email, key)

    return check


def add_pysyft_routes(app: FastAPI, server: Any, accounts: Accounts) -> None:
    """Adds those of PySyft's routes that are open, each for the researcher's own account only."""
    from syft.server.routes import make_routes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = make_routes(worker=server).routes
        routes = APIRouter(routes=[route for route in made if getattr(route, "path", "") in SYFT_ROUTES])
        app.include_router(routes, prefix=SYFT_PREFIX, dependencies=[Depends(own_account_only(accounts))])
