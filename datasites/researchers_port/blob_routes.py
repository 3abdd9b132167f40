"""Routes of weights that come in and updates that go out: whole, or the rest of what broke off. All are signed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from datasites.researchers_port.downloads import Download, check_range
from datasites.researchers_port.signed import Researcher, Signed
from datasites.runs.blobs import BlobStore
from policies.answers.requests import BlobAnswer
from policies.contracts.inputs import Ticket
from policies.contracts.outputs import release_answer
from policies.contracts.signatures import BODY
from policies.errors import BlobError, SignInFailed
from policies.plans.training import MAX_ROUNDS

Ask = Callable[[str, Researcher, str], str]
# What stands in a path or a query: numbers that the queue, and a disk, can hold.
Round = Annotated[int, Path(ge=0, lt=MAX_ROUNDS)]
Begin = Annotated[int, Query(ge=0, lt=1 << 50)]


def add_blobs(router: APIRouter, blobs: BlobStore, signed: Signed, ask: Ask) -> None:
    """Adds the routes to a router.

    Args:
        router: Where to.
        blobs: The store.
        signed: Says who asks.
        ask: Asks for a round: given a request, who asks, and a ticket.
    """

    async def receive(request: Request, digest: str, begin: int) -> tuple[Researcher, int]:
        who = await signed.researcher(request)
        if request.headers.get(BODY) != digest:
            raise SignInFailed("The signature covers another body than the blob's digest names. Sign in again.")
        return who, await blobs.receive(who.account, digest, begin + _length(request), request.stream(), begin=begin)

    @router.put("/blobs/{digest}", status_code=201)
    async def put_blob(request: Request, digest: str, begin: Begin = 0) -> JSONResponse:
        """Whole, or from a byte on the rest of an upload that broke off."""
        _, size = await receive(request, digest, begin)
        return JSONResponse(release_answer(BlobAnswer(digest, size)), status_code=201)

    @router.put("/requests/{request_id}/rounds/{round_index}/weights/{digest}")
    async def put_and_ask(request: Request, request_id: str, round_index: Round, digest: str) -> Response:
        """A round's weights, and then its ticket, which these numbers are: both ways as if each had come alone."""
        ticket = Ticket(round_index, digest).to_text()
        who, _ = await receive(request, digest, 0)
        answer = await run_in_threadpool(ask, request_id, who, ticket)
        return Response(answer, media_type="application/json")

    @router.get("/blobs/{digest}/received")
    async def received(request: Request, digest: str) -> JSONResponse:
        return await signed.answer(request, lambda who: BlobAnswer(digest, blobs.received(who.account, digest)))

    @router.get("/blobs/{digest}")
    async def get_blob(request: Request, digest: str) -> Download:
        """Whole, or with a Range header the rest of a download that broke off (RFC 9110, 14)."""
        who = await signed.researcher(request)
        file = await run_in_threadpool(blobs.path, who.account, digest)
        if check_range(request, file) == 0:
            file = await run_in_threadpool(blobs.from_the_beginning, who.account, digest)
        return Download(file, digest, partial(blobs.doubt, who.account, digest))


def _length(request: Request) -> int:
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or len(length) > 15:
        raise BlobError("An upload must say its length in Content-Length. Use the platform's own client.")
    return int(length)
