"""The admin API of a running datasite: JSON, on loopback, for the owner of the state folder and the hospital's staff.

It never leaves the hospital. The command line speaks to it. Each route names the roles that may use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from datasites.staff import ADMIN, AUDITOR, REVIEWER, Person, Staff
from policies.errors import RequestUnknown

CHANGES, DECIDES, READS, AUDITS = (ADMIN,), (ADMIN, REVIEWER), (ADMIN, REVIEWER, AUDITOR), (ADMIN, AUDITOR)


@dataclass(frozen=True)
class Console:
    """What the admin API works on."""

    name: str
    staff: Staff
    fingerprints: dict[str, str]
    books: Books
    book: RequestBook
    accounts: Accounts
    queue: RunQueue
    supervisor: Supervisor
    url: Callable[[], str]

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

    def ledger(self) -> list[dict[str, Any]]:
        """The ledger's entries, oldest first, after its chain was verified."""
        self.books.ledger.verify()
        return [{**vars(entry), "body": dict(entry.body)} for entry in self.books.ledger.entries()]

    def add_staff(self, name: str, role: str, *, by: str) -> dict[str, Any]:
        """Makes an account for one of the hospital's people."""
        file = self.staff.add(name, role, by=by, url=self.url())
        self.books.audit.write("staff added", name=name, role=role, by=by)
        return {"file": str(file)}

    def remove_staff(self, name: str, *, by: str) -> dict[str, Any]:
        """Ends the account of one of the hospital's people; consents that nobody has completed end with it."""
        self.staff.remove(name)
        self.books.approvals.consents.drop(name)
        self.books.audit.write("staff removed", name=name, by=by)
        return {"name": name}

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

    async def answer(request: Request, roles: Sequence[str], work: Callable[[Person], Any]) -> JSONResponse:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        person = console.staff.of_token(token if scheme == "Bearer" else "")
        person.must_be(*roles)
        return JSONResponse(await run_in_threadpool(work, person))

    @router.get("/requests")
    async def requests(request: Request) -> JSONResponse:
        return await answer(request, DECIDES, lambda who: [card.to_dict() for card in console.book.cards()])

    @router.get("/requests/{request_id}")
    async def show(request: Request, request_id: str) -> JSONResponse:
        return await answer(request, DECIDES, lambda who: console.book.card(request_id).to_dict())

    @router.post("/requests/{request_id}/approve")
    async def approve(request: Request, request_id: str) -> JSONResponse:
        return await answer(
            request, DECIDES, lambda who: console.book.approve(request_id, by=who.name, named=who.named).to_dict()
        )

    @router.post("/requests/{request_id}/deny")
    async def deny(request: Request, request_id: str, reason: str = Body(embed=True)) -> JSONResponse:
        return await answer(
            request, DECIDES, lambda who: console.book.deny(request_id, reason=reason, by=who.name).to_dict()
        )

    @router.post("/requests/{request_id}/end")
    async def end(request: Request, request_id: str, reason: str = Body(embed=True)) -> JSONResponse:
        def work(who: Person) -> dict[str, Any]:
            console.book.end(request_id, by=who.name, reason=reason)
            return console.book.card(request_id).to_dict()

        return await answer(request, CHANGES, work)

    @router.get("/researchers")
    async def researchers(request: Request) -> JSONResponse:
        return await answer(request, CHANGES, lambda who: console.accounts.people())

    @router.post("/researchers")
    async def enrol(request: Request, email: str = Body(embed=True)) -> JSONResponse:
        return await answer(request, CHANGES, lambda who: {"file": str(console.accounts.enrol(email))})

    @router.post("/researchers/revoke")
    async def revoke(request: Request, email: str = Body(embed=True)) -> JSONResponse:
        return await answer(request, CHANGES, lambda who: {"certificates": console.accounts.revoke(email)})

    @router.get("/staff")
    async def staff(request: Request) -> JSONResponse:
        return await answer(request, CHANGES, lambda who: console.staff.list())

    @router.post("/staff")
    async def add_staff(request: Request, name: str = Body(), role: str = Body()) -> JSONResponse:
        return await answer(request, CHANGES, lambda who: console.add_staff(name, role, by=who.name))

    @router.post("/staff/{name}/remove")
    async def remove_staff(request: Request, name: str) -> JSONResponse:
        return await answer(request, CHANGES, lambda who: console.remove_staff(name, by=who.name))

    @router.get("/runs")
    async def runs(request: Request) -> JSONResponse:
        return await answer(request, CHANGES, lambda who: console.runs())

    @router.post("/runs/{run_id}/cancel")
    async def cancel(request: Request, run_id: str) -> JSONResponse:
        return await answer(request, CHANGES, lambda who: console.cancel(run_id))

    @router.get("/budget")
    async def budget(request: Request) -> JSONResponse:
        return await answer(request, READS, lambda who: console.budget())

    @router.get("/ledger")
    async def ledger(request: Request) -> JSONResponse:
        return await answer(request, AUDITS, lambda who: console.ledger())

    @router.get("/audit")
    async def audit(request: Request, count: int = 100) -> JSONResponse:
        return await answer(request, AUDITS, lambda who: console.books.audit.tail(max(1, min(count, 100_000))))

    @router.get("/limits")
    async def limits(request: Request) -> JSONResponse:
        return await answer(request, DECIDES, lambda who: console.books.limits.current.to_dict())

    @router.post("/limits")
    async def change_limits(request: Request, changes: dict[str, Any]) -> JSONResponse:
        return await answer(request, CHANGES, lambda who: console.books.limits.change(changes, by=who.name).to_dict())

    app.include_router(router)
    return app
