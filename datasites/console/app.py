"""The admin API of a running datasite: JSON, on loopback, for whoever can read the token in the state folder.

It never leaves the hospital. The command line speaks to it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Body, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from datasites.accounts import Accounts
from datasites.books import Books
from datasites.http_errors import add_error_handlers
from datasites.requests import RequestBook
from datasites.runs.queue import Run, RunQueue
from datasites.runs.supervisor import Supervisor
from policies.errors import RequestUnknown, SignInFailed


@dataclass(frozen=True)
class Console:
    """What the admin API works on."""

    name: str
    token: str
    admin: str
    fingerprints: dict[str, str]
    books: Books
    book: RequestBook
    accounts: Accounts
    queue: RunQueue
    supervisor: Supervisor

    def runs(self) -> list[dict[str, Any]]:
        """All runs, for the hospital's eyes."""
        return [{**vars(run), "queue_position": self.queue.position(run)} for run in self.queue.list()]

    def cancel(self, run_id: str) -> dict[str, Any]:
        """Cancels a queued or running run.

        Raises:
            RequestUnknown: No run has that identifier.
        """
        run = self.queue.by_id(run_id)
        if run is None:
            raise RequestUnknown(f"There is no run {run_id!r}.")
        self.supervisor.cancel(run, by="the hospital")
        return vars(self._again(run))

    def budget(self) -> list[dict[str, Any]]:
        """What each dataset's budget is, what is charged, by whom, and what is left."""
        total = self.books.limits.current.total
        rows = []
        for name, fingerprint in self.fingerprints.items():
            charged = self.books.epsilon(self.books.ledger.history(fingerprint))
            rows.append(
                {
                    "dataset": name,
                    "epsilon_total": total.epsilon,
                    "epsilon_charged": charged,
                    "epsilon_left": max(total.epsilon - charged, 0.0),
                    "delta": total.delta,
                    "studies": self._studies(fingerprint),
                }
            )
        return rows

    def _studies(self, fingerprint: str) -> list[dict[str, Any]]:
        """One row for each researcher and study: what is charged, and how many of the reserved rounds ran."""
        held = [one for one in self.books.ledger.reservations().values() if one.fingerprint == fingerprint]
        rows = []
        for researcher, study in dict.fromkeys((one.researcher, one.study) for one in held):
            own = [one for one in held if (one.researcher, one.study) == (researcher, study)]
            charged = self.books.ledger.history(fingerprint, researcher=researcher, study=study)
            rows.append(
                {
                    "researcher": researcher,
                    "study": study,
                    "epsilon_charged": self.books.epsilon(charged),
                    "rounds_reserved": sum(one.rounds for one in own),
                    "rounds_run": sum(len(one.committed) for one in own),
                    "ended": all(one.released is not None for one in own),
                    "non_private": any(one.non_private for one in own),
                }
            )
        return rows

    def _again(self, run: Run) -> Run:
        return self.queue.by_id(run.id) or run


def make_app(console: Console) -> FastAPI:
    """The app that listens on the console's port."""
    app = FastAPI(title=f"wanwu console of {console.name}", docs_url=None, redoc_url=None, openapi_url=None)
    add_error_handlers(app, lambda error: console.books.counted.add("admin's call refused", code=error.code))
    router = APIRouter(prefix="/admin/v1")

    async def answer(request: Request, work: Callable[[], Any]) -> JSONResponse:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {console.token}".encode()):
            raise SignInFailed("The admin API needs the token from the datasite's state folder.")
        return JSONResponse(await run_in_threadpool(work))

    @router.get("/requests")
    async def requests(request: Request) -> JSONResponse:
        return await answer(request, lambda: [card.to_dict() for card in console.book.cards()])

    @router.get("/requests/{request_id}")
    async def show(request: Request, request_id: str) -> JSONResponse:
        return await answer(request, lambda: console.book.card(request_id).to_dict())

    @router.post("/requests/{request_id}/approve")
    async def approve(request: Request, request_id: str) -> JSONResponse:
        return await answer(request, lambda: console.book.approve(request_id, by=console.admin).to_dict())

    @router.post("/requests/{request_id}/deny")
    async def deny(request: Request, request_id: str, reason: str = Body(embed=True)) -> JSONResponse:
        return await answer(request, lambda: console.book.deny(request_id, reason=reason, by=console.admin).to_dict())

    @router.post("/requests/{request_id}/end")
    async def end(request: Request, request_id: str, reason: str = Body(embed=True)) -> JSONResponse:
        def work() -> dict[str, Any]:
            console.book.end(request_id, by=console.admin, reason=reason)
            return console.book.card(request_id).to_dict()

        return await answer(request, work)

    @router.get("/researchers")
    async def researchers(request: Request) -> JSONResponse:
        return await answer(request, console.accounts.people)

    @router.post("/researchers")
    async def enrol(request: Request, email: str = Body(embed=True)) -> JSONResponse:
        return await answer(request, lambda: {"file": str(console.accounts.enrol(email))})

    @router.post("/researchers/revoke")
    async def revoke(request: Request, email: str = Body(embed=True)) -> JSONResponse:
        return await answer(request, lambda: {"certificates": console.accounts.revoke(email)})

    @router.get("/runs")
    async def runs(request: Request) -> JSONResponse:
        return await answer(request, console.runs)

    @router.post("/runs/{run_id}/cancel")
    async def cancel(request: Request, run_id: str) -> JSONResponse:
        return await answer(request, lambda: console.cancel(run_id))

    @router.get("/budget")
    async def budget(request: Request) -> JSONResponse:
        return await answer(request, console.budget)

    @router.get("/limits")
    async def limits(request: Request) -> JSONResponse:
        return await answer(request, lambda: console.books.limits.current.to_dict())

    @router.post("/limits")
    async def change_limits(request: Request, changes: dict[str, Any]) -> JSONResponse:
        return await answer(request, lambda: console.books.limits.change(changes, by=console.admin).to_dict())

    app.include_router(router)
    return app
