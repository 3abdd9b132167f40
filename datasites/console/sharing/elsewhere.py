"""Routes about decisions that hospitals tell each other: a person writes one's own to a file, and adds others'."""

from __future__ import annotations

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from datasites.access.staff import Person
from datasites.console.answers import SharedAnswer
from datasites.console.console import DECIDES, Console, router_below
from datasites.elsewhere.kept_decisions import KeptDecisions
from datasites.elsewhere.shared_decision import APPROVED, DENIED, SharedDecision, fingerprint, sign_decision
from datasites.elsewhere.told_decisions import DecidedElsewhere, KnownHospital
from policies.errors import RequestError
from policies.ledger.receipt import public_key


def make_routes(console: Console) -> APIRouter:
    """Share, add, list, remove."""
    router, kept = router_below(), KeptDecisions(console.elsewhere)

    @router.post("/requests/{request_id}/share")
    async def share(
        request: Request, request_id: str, hospital: str = Body(""), reason: str = Body("")
    ) -> JSONResponse:
        def work(who: Person) -> SharedAnswer:
            return share_decision(console, request_id, hospital or console.name, reason, by=who.name)

        return await console.answer(request, DECIDES, work)

    @router.post("/elsewhere")
    async def add(request: Request, text: str = Body(embed=True)) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: add_decision(console, kept, text, by=who.name))

    @router.get("/elsewhere")
    async def hospitals(request: Request) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: kept.hospitals())

    @router.post("/elsewhere/remove")
    async def remove(request: Request, key: str = Body(embed=True)) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: remove_decisions(console, kept, key, by=who.name))

    return router


def share_decision(console: Console, request_id: str, hospital: str, reason: str, *, by: str) -> SharedAnswer:
    """The hospital's own decision on a request, signed for others.

    Guarantees:
        Of the decision it holds the plan's digest, what was decided, and the day; name and reason are those given here.

    Raises:
        RequestError: It is neither approved nor denied, or its plan cannot be read.
        ReceiptInvalid: Name or reason cannot be told.
    """
    review = console.review(request_id)
    decision = console.books.approvals.of_request(review.id)
    if decision is None or decision.decision not in (APPROVED, DENIED) or not review.plan_digest:
        raise RequestError("Only an approval or a denial of a request that can be read is told to other hospitals.")
    told = SharedDecision(hospital, review.plan_digest, decision.decision, decision.decided_at[:10], reason)
    text = sign_decision(told, console.signing_seed)
    console.books.audit.write(
        "decision shared", request=review.id, decision=told.decision, hospital=hospital, reason=reason, by=by
    )
    return SharedAnswer(review.id, text, fingerprint(public_key(console.signing_seed)))


def add_decision(console: Console, kept: KeptDecisions, text: str, *, by: str) -> DecidedElsewhere:
    """Keeps a decision that another hospital shared; raises as `KeptDecisions.add`."""
    added = kept.add(text)
    console.books.audit.write(
        "decision of another hospital added",
        hospital=added.hospital,
        decision=added.decision,
        decided_on=added.decided_on,
        fingerprint=added.fingerprint,
        by=by,
    )
    return added


def remove_decisions(console: Console, kept: KeptDecisions, key: str, *, by: str) -> KnownHospital:
    """Removes all decisions that a key signed; raises as `KeptDecisions.remove`."""
    gone = kept.remove(key)
    console.books.audit.write(
        "decisions of another hospital removed",
        hospital=gone.hospital,
        fingerprint=gone.fingerprint,
        count=gone.decisions,
        by=by,
    )
    return gone
