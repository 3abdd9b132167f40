"""The datasite's own routes for researchers: weights in, updates and progress out. Every request is signed.

What is answered here has left the hospital: public fields of runs, public texts of errors, blobs of the same account.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from datasites.assets.published import PublishedDataset
from datasites.code_requests.books import Books
from datasites.code_requests.receipts import Receipts
from datasites.code_requests.requests import RequestBook
from datasites.researchers_port.blob_routes import Round, add_blobs
from datasites.researchers_port.long_polls import LongPolls
from datasites.researchers_port.shown_receipts import ShownReceipts
from datasites.researchers_port.signed import Researcher, Signed
from datasites.runs.blobs import BlobStore
from datasites.runs.queue import Run, RunQueue
from datasites.runs.supervisor import Supervisor
from policies.answers.hospital import BudgetAnswer, HospitalAnswer
from policies.answers.rehearsals import RehearsalAnswer
from policies.answers.requests import ReceiptAnswer, RequestAnswer, ThreadAnswer
from policies.answers.runs import CANARY, ChargedRunAnswer, RunAnswer
from policies.contracts.outputs import release_answer
from policies.errors import RequestPending, RequestUnknown, RunLost
from policies.versions import packages

PREFIX = "/wanwu/v1"
MAX_WAIT_SECONDS = 20.0
# What stands in a query: numbers that the queue can hold.
Seen = Annotated[int, Query(ge=-1, lt=1 << 53)]
WaitSeconds = Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False)]


@dataclass(frozen=True)
class ResearcherRoutes:
    """What the routes work on."""

    name: str
    terms_of_use: str
    email_of: Callable[[str], str]
    datasets: Mapping[str, PublishedDataset]
    books: Books
    book: RequestBook
    queue: RunQueue
    blobs: BlobStore
    supervisor: Supervisor
    receipts: Receipts
    shown: ShownReceipts
    polls: LongPolls
    canaries: Callable[[str], RunAnswer]
    rounds: Callable[[str, str, str], str]

    def describe(self) -> HospitalAnswer:
        """What a researcher may know before asking for anything."""
        return HospitalAnswer(
            datasite=self.name,
            versions=packages.installed(),
            datasets={name: published.manifest.public for name, published in self.datasets.items()},
            limits=self.books.limits.current.to_dict(),
            public_key=self.receipts.public_key,
            time=int(time.time()),
            terms_of_use=self.terms_of_use,
            assets={name: published.asset_uid for name, published in self.datasets.items()},
        )

    def budget(self, name: str) -> BudgetAnswer:
        """What is left of a dataset's privacy budget."""
        published = self.datasets.get(name)
        if published is None:
            raise RequestUnknown(f"There is no dataset {name!r} here.")
        return BudgetAnswer(
            epsilon_total=self.books.limits.current.total.epsilon,
            epsilon_left=self.books.epsilon_left(published.manifest.budget_key),
            delta=self.books.limits.current.total.delta,
        )

    def request(self, request_id: str, who: Researcher) -> RequestAnswer:
        """State of one of the researcher's requests, with the hospital's reason."""
        self._own(request_id, who)
        state, reason = self.book.state_of(request_id)
        return RequestAnswer(request_id, state, reason, self.book.conversation.waiting(request_id))

    def request_of_stub(self, name: str, who: Researcher) -> RequestAnswer:
        """As `request`, of the one whose stub has this name.

        Raises:
            RequestUnknown: The researcher has none.
        """
        return self.request(self.book.with_stub(name, who.account), who)

    def messages(self, request_id: str, who: Researcher) -> ThreadAnswer:
        """What hospital and researcher wrote to each other about one of the researcher's requests."""
        self._own(request_id, who)
        return self.book.conversation.told(request_id)

    def write(self, request_id: str, who: Researcher, text: str) -> ThreadAnswer:
        """Takes the researcher's answer to what the hospital asked."""
        self._own(request_id, who)
        self.book.conversation.answer(request_id, text, by=who.email)
        return self.messages(request_id, who)

    def withdraw(self, request_id: str, who: Researcher) -> RequestAnswer:
        """Withdraws a pending request."""
        self._own(request_id, who)
        self.book.withdraw(request_id, by=who.email)
        return self.request(request_id, who)

    def rehearsal(self, request_id: str, who: Researcher) -> RehearsalAnswer:
        """What the rehearsal of one of the researcher's requests on the mock came to.

        Raises:
            RequestUnknown: None was asked for, or the request is not theirs.
        """
        self._own(request_id, who)
        found = self.books.rehearsals.of(request_id)
        if found is None:
            raise RequestUnknown("This request was not rehearsed.")
        return found.public()

    def canary(self, request_id: str, who: Researcher) -> RunAnswer:
        """Has two steps of an approved request run on the mock; it costs nothing."""
        self._own(request_id, who)
        return self.canaries(request_id)

    def ask(self, request_id: str, who: Researcher, ticket: str) -> str:
        """Asks for a round of an approved request; what its stub answers, as JSON."""
        self._own(request_id, who)
        decision = self.books.approvals.of_request(request_id)
        if decision is None:
            raise RequestPending("The hospital has not approved this request yet. Wait for its decision.")
        return self.rounds(who.account, decision.code_id, ticket)

    def run(self, request_id: str, round_index: int, who: Researcher) -> RunAnswer:
        """Public fields of one round's run; when it is done or lost, with the epsilon spent so far on this request."""
        self._own(request_id, who)
        run = self._find(request_id, round_index)
        answer = run.public(queue_position=self.queue.position(run))
        if round_index != CANARY and (run.state == "done" or run.code == RunLost.code):
            spent, receipt = self._epsilon_spent(request_id), self.shown.of(request_id, round_index)
            return ChargedRunAnswer(**vars(answer), epsilon_spent=spent, receipt=receipt)
        return answer

    async def wait(
        self, request_id: str, round_index: int, who: Researcher, seen: int, seconds: float, request: Request
    ) -> RunAnswer:
        """As `run`, once the run has changed since version `seen` or the time is up; holds no thread until then."""
        await run_in_threadpool(self._own, request_id, who)
        await self.polls.until(lambda: self._version(request_id, round_index) > seen, seconds, request)
        return await run_in_threadpool(self.run, request_id, round_index, who)

    def cancel(self, request_id: str, round_index: int, who: Researcher) -> RunAnswer:
        """Cancels a queued or running round; one that has started stays charged and is over."""
        self._own(request_id, who)
        self.supervisor.cancel(self._find(request_id, round_index), by="the researcher")
        return self.run(request_id, round_index, who)

    def end(self, request_id: str, who: Researcher) -> RequestAnswer:
        """Ends a study that needs no more rounds, so that the budget it did not use becomes free."""
        self._own(request_id, who)
        self.book.end(request_id, by=who.email, reason="The researcher ended the study.")
        return self.request(request_id, who)

    def receipt(self, request_id: str, who: Researcher) -> ReceiptAnswer:
        """The signed privacy receipt of one of the researcher's requests."""
        self._own(request_id, who)
        return ReceiptAnswer(self.receipts.issue(request_id))

    def _own(self, request_id: str, who: Researcher) -> None:
        self.book.own.check(request_id, who.account)

    def _find(self, request_id: str, round_index: int) -> Run:
        run = self.queue.find(request_id, round_index)
        if run is None:
            what = "The canary" if round_index == CANARY else f"Round {round_index + 1}"
            raise RequestUnknown(f"{what} of this request was not asked for yet.")
        return run

    def _version(self, request_id: str, round_index: int) -> int:
        run = self.queue.find(request_id, round_index)
        return 0 if run is None else run.version

    def _epsilon_spent(self, request_id: str) -> float | None:
        decision = self.books.approvals.of_request(request_id)
        plan = decision.approved_plan if decision else None
        if plan is None or plan.privacy is None:
            return None
        return self.books.calculator.epsilon_spent(self.books.ledger.spent(request_id), plan.privacy.delta)


def make_routes(routes: ResearcherRoutes) -> APIRouter:
    """The routes, under `PREFIX`."""
    router, signed = APIRouter(prefix=PREFIX), Signed(routes.email_of, lambda *shown: routes.shown.check(*shown))
    _add_hospital(router, routes, signed)
    _add_requests(router, routes, signed)
    add_blobs(router, routes.blobs, signed, routes.ask)
    return router


def _add_hospital(router: APIRouter, routes: ResearcherRoutes, signed: Signed) -> None:
    @router.get("/info")
    async def info(request: Request) -> JSONResponse:
        return await signed.answer(request, lambda who: routes.describe())

    @router.get("/datasets/{name}/budget")
    async def budget(request: Request, name: str) -> JSONResponse:
        return await signed.answer(request, lambda who: routes.budget(name))


def _add_requests(router: APIRouter, routes: ResearcherRoutes, signed: Signed) -> None:
    @router.get("/requests/{request_id}")
    async def request_state(request: Request, request_id: str) -> JSONResponse:
        return await signed.answer(request, lambda who: routes.request(request_id, who))

    @router.get("/stubs/{name}")
    async def request_of_stub(name: str, request: Request) -> JSONResponse:
        return await signed.answer(request, lambda who: routes.request_of_stub(name, who))

    @router.post("/requests/{request_id}/end")
    async def end(request: Request, request_id: str) -> JSONResponse:
        return await signed.answer(request, lambda who: routes.end(request_id, who))

    @router.get("/requests/{request_id}/messages")
    async def messages(request: Request, request_id: str) -> JSONResponse:
        return await signed.answer(request, lambda who: routes.messages(request_id, who))

    @router.post("/requests/{request_id}/messages")
    async def write(request: Request, request_id: str) -> JSONResponse:
        who, text = await signed.text(request)
        return JSONResponse(release_answer(await run_in_threadpool(routes.write, request_id, who, text)))

    @router.post("/requests/{request_id}/withdraw")
    async def withdraw(request: Request, request_id: str) -> JSONResponse:
        return await signed.answer(request, lambda who: routes.withdraw(request_id, who))

    @router.post("/requests/{request_id}/rounds")
    async def ask(request: Request, request_id: str) -> Response:
        who, ticket = await signed.text(request)
        answer = await run_in_threadpool(routes.ask, request_id, who, ticket)
        return Response(answer, media_type="application/json")

    @router.get("/requests/{request_id}/rehearsal")
    async def rehearsal(request: Request, request_id: str) -> JSONResponse:
        return await signed.answer(request, lambda who: routes.rehearsal(request_id, who))

    @router.get("/requests/{request_id}/receipt")
    async def receipt(request: Request, request_id: str) -> JSONResponse:
        return await signed.answer(request, lambda who: routes.receipt(request_id, who))

    @router.post("/requests/{request_id}/canary")
    async def ask_for_canary(request: Request, request_id: str) -> JSONResponse:
        return await signed.answer(request, lambda who: routes.canary(request_id, who))

    @router.get("/requests/{request_id}/canary")
    async def canary(request: Request, request_id: str, seen: Seen = -1, wait: WaitSeconds = 0.0) -> JSONResponse:
        who = await signed.researcher(request)
        return JSONResponse(release_answer(await routes.wait(request_id, CANARY, who, seen, wait, request)))

    @router.get("/requests/{request_id}/rounds/{round_index}")
    async def run(
        request: Request, request_id: str, round_index: Round, seen: Seen = -1, wait: WaitSeconds = 0.0
    ) -> JSONResponse:
        who = await signed.researcher(request)
        return JSONResponse(release_answer(await routes.wait(request_id, round_index, who, seen, wait, request)))

    @router.post("/requests/{request_id}/rounds/{round_index}/cancel")
    async def cancel(request: Request, request_id: str, round_index: Round) -> JSONResponse:
        return await signed.answer(request, lambda who: routes.cancel(request_id, round_index, who))
