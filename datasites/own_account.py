"""One researcher's certificate opens one researcher's account: checked before PySyft's routes are entered.

The other checks of the same rule are in the guard, for each PySyft call, at sign-in, and at the datasite's own signed
routes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from datasites.accounts import Accounts
from datasites.served_path import served_path
from policies.errors import CertificateRefused


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
