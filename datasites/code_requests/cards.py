"""Cards: one for each code request, on which a reviewer reads what runs, what it costs and what speaks against it."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

from datasites.approvals.approvals import sealed
from datasites.code_requests.books import Books
from datasites.code_requests.canonical import RequestReader
from datasites.code_requests.card import RequestCard, Unusual
from datasites.code_requests.decided import voted_digest
from datasites.code_requests.limits.consent import check_consent
from policies.answers.moments import days_since
from policies.budget.accountant import plan_spend
from policies.errors import WanwuError
from policies.plans.findings import findings
from policies.plans.plan_json import canonical_json, settings


def make_card(request: Any, reader: RequestReader, books: Books, *, viewer: str = "") -> RequestCard:
    """The card of one of PySyft's requests, with the vote of who looks.

    Guarantees:
        Before the decision it tells of the others' votes only how many there are.
    """
    card = _without_votes(request, reader, books)
    votes = books.approvals.votes
    if card.state != "pending":
        return replace(card, votes=votes.of(card.id))
    digest = voted_digest(card.digest, books.limits.current)
    own = votes.of_person(card.id, viewer, digest)
    waiting = days_since(card.submitted)
    return replace(card, votes_given=votes.given(card.id, digest), own_vote=own, days_waiting=waiting)


def _without_votes(request: Any, reader: RequestReader, books: Books) -> RequestCard:
    decision = books.approvals.of_request(str(request.id))
    card = RequestCard(
        id=str(request.id),
        state=decision.decision if decision else "pending",
        researcher=str(request.requesting_user_email),
        submitted=str(request.request_time),
        reason=decision.reason if decision else "",
        decided_by=decision.decided_by if decision else "",
        approvals_needed=books.limits.current.approvals_needed,
        delta=books.limits.current.total.delta,
        thread=books.approvals.threads.of(str(request.id)),
        unanswered=books.approvals.threads.unanswered(str(request.id)) if decision is None else 0,
        rehearsal=books.rehearsals.of(str(request.id)),
    )
    try:
        canonical = reader.read(request, version=books.approved_version(card.id))
        plan, manifest = canonical.plan, canonical.dataset.manifest
        unusual = tuple(Unusual(one.field, one.text) for one in findings(plan, public_size=manifest.public_size))
        computed = {name: value for name, value in settings(plan).items() if name != "statement"}
        card = replace(card, plan=computed, statement=plan.statement, digest=canonical.digest, unusual=unusual)
        card = replace(card, dataset_version=manifest.dataset_version)
        card = replace(card, epsilon_left=books.epsilon_left(manifest.budget_key))
        shapes = books.calculator.shapes(plan)
        digest = sealed(canonical.digest, canonical_json(asdict(shapes)))
        card = replace(card, digest=digest, numbers=sum(math.prod(shape) for shape in shapes.outputs.values()))
        if spend := plan_spend(plan):  # after the digest, by which what has no price can still be voted on
            card = replace(card, epsilon=books.epsilon(spend))
        books.limits.check(plan, canonical.dataset)
        if card.state == "pending":
            check_consent(books.limits.withdrawn, canonical.dataset)
    except WanwuError as error:
        return replace(card, finding=f"{error.code}: {error.public}")
    return card
