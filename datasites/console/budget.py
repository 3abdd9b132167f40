"""Routes about what datasets may cost: the budget, charged and left, and the limits, which an admin changes.

What allows more takes as many people as requests do. Nothing here leaves the hospital.
"""

from __future__ import annotations

import json

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.access.staff import Person
from datasites.code_requests.limits.hospital_limits import LimitsOutcome
from datasites.code_requests.limits.kept_envelopes import kept_beyond
from datasites.console.answers import BudgetRow, LimitsAnswer, WantedLimits
from datasites.console.console import CHANGES, DECIDES, READS, Console, router_below
from datasites.review.costs import studies_of
from policies.budget.limit_changes import by_name


def make_routes(console: Console) -> APIRouter:
    """The budget; the limits, changing them, and what is proposed."""
    router, limits = router_below(), console.books.limits

    @router.get("/budget")
    async def budget(request: Request) -> JSONResponse:
        return await console.answer(request, READS, lambda who: budgets(console))

    @router.get("/limits")
    async def show_limits(request: Request) -> JSONResponse:
        return await console.answer(request, DECIDES, lambda who: _limits(console, LimitsOutcome((), None)))

    @router.post("/limits")
    async def change_limits(request: Request, wanted: WantedLimits) -> JSONResponse:
        def work(who: Person) -> LimitsAnswer:
            outcome = limits.change(wanted.changes, by=who.name, named=who.named, reason=wanted.reason)
            return _limits(console, outcome)

        return await console.answer(request, CHANGES, work)

    @router.post("/limits/proposals/{proposal_id}/confirm")
    async def confirm(request: Request, proposal_id: str) -> JSONResponse:
        def work(who: Person) -> LimitsAnswer:
            return _limits(console, limits.confirm(proposal_id, by=who.name, named=who.named))

        return await console.answer(request, DECIDES, work)

    @router.post("/limits/proposals/{proposal_id}/withdraw")
    async def withdraw(request: Request, proposal_id: str) -> JSONResponse:
        def work(who: Person) -> LimitsAnswer:
            limits.withdraw(proposal_id, by=who.name)
            return _limits(console, LimitsOutcome((), None))

        return await console.answer(request, DECIDES, work)

    return router


def _limits(console: Console, outcome: LimitsOutcome) -> LimitsAnswer:
    """The limits in force, and what a change has come to."""
    limits, kept = console.books.limits, None
    if any(one.name == "epsilon" and not one.allows_more for one in outcome.changes):
        kept = kept_beyond(console.books, limits.current.total.epsilon)
    return LimitsAnswer(
        limits={name: json.dumps(value) for name, value in by_name(limits.current).items()},
        changes=outcome.changes,
        proposal="" if outcome.proposal is None else outcome.proposal.id,
        people_needed=limits.current.approvals_needed,
        proposals=limits.proposals(),
        kept="" if kept is None else kept.told,
    )


def budgets(console: Console) -> list[BudgetRow]:
    """What each dataset's budget is, what is charged, by whom, and what is left."""
    total, held = console.books.limits.current.total, console.books.ledger.reservations().values()
    rows = []
    for name, published in console.datasets.items():
        fingerprint = published.manifest.budget_key
        charged = console.books.epsilon_charged(console.books.ledger.history(fingerprint))
        rows.append(
            BudgetRow(
                dataset=name,
                epsilon_total=total.epsilon,
                epsilon_charged=charged,
                epsilon_left=console.books.epsilon_left(fingerprint),
                delta=total.delta,
                studies=studies_of(console.books, [one for one in held if one.fingerprint == fingerprint]),
            )
        )
    return rows
