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
from policies.contracts.round_receipt import ROUND_RECEIPT
from policies.contracts.signatures import BODY, SignatureCheck
from policies.errors import RequestMalformed, SignInFailed


@dataclass(frozen=True)
class Researcher:
    """Who signed a request: the account's public key and its address."""

    account: str
    email: str


class Signed:
    """Answers requests to whom signed them, and to nobody else."""

    def __init__(self, email_of: Callable[[str], str], look_at: Callable[[str, str], None]) -> None:
        """Answers nobody yet.

        Args:
            email_of: An account's address; raises where there is no such account.
            look_at: Given the receipt that came with a question about a code request, or an empty text, and who asks;
                raises where none of them may be answered.
        """
        self._email_of, self._look_at, self._signatures = email_of, look_at, SignatureCheck()

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
        who = Researcher(account, self._email_of(account))
        if "request_id" in request.path_params:
            self._look_at(request.headers.get(ROUND_RECEIPT, ""), who.email)
        return who
