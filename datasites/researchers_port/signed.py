"""Requests that a researcher signed, answered to whom signed them and to nobody else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from datasites.web.served_path import signed_path
from policies.contracts.outputs import release_answer
from policies.contracts.signatures import BODY, SignatureCheck
from policies.errors import RequestMalformed, SignInFailed


@dataclass(frozen=True)
class Researcher:
    """Who signed a request: the account's public key and its address."""

    account: str
    email: str


class Signed:
    """Answers requests to whom signed them, and to nobody else."""

    def __init__(self, email_of: Callable[[str], str]) -> None:
        self._email_of, self._signatures = email_of, SignatureCheck()

    async def researcher(self, request: Request) -> Researcher:
        """Who signed a request."""
        return await run_in_threadpool(self._verify, request)

    async def answer(self, request: Request, work: Callable[[Researcher], object]) -> JSONResponse:
        """What `work` makes of who signed the request."""
        who = await self.researcher(request)
        return JSONResponse(release_answer(await run_in_threadpool(work, who)))

    async def text(self, request: Request) -> tuple[Researcher, str]:
        """Who signed a request, and the text that its body holds.

        Raises:
            SignInFailed: The signature covers another body.
            RequestMalformed: It is no text in UTF-8.
        """
        who = await self.researcher(request)
        body = await request.body()
        if request.headers.get(BODY) != hashlib.sha256(body).hexdigest():
            raise SignInFailed("The signature covers another body than came. Sign in again.")
        try:
            return who, body.decode()
        except UnicodeDecodeError as error:
            raise RequestMalformed("A message is a text in UTF-8.") from error

    def _verify(self, request: Request) -> Researcher:
        account = self._signatures.verify(request.headers, request.method, signed_path(request.scope))
        return Researcher(account, self._email_of(account))
