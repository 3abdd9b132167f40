"""Puts a review together from the request as it stands, the ledger, the dataset and the list of researchers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasites.code_requests.books import Books
from datasites.code_requests.card import RequestCard
from datasites.elsewhere.kept_decisions import KeptDecisions
from datasites.review import wording
from datasites.review.channels import channels_of
from datasites.review.costs import cost_of, studies_of
from datasites.review.earlier import Standing, differences
from datasites.review.findings import REFUSED, findings_of, model_digest
from datasites.review.questions import questions_of
from datasites.review.review import Review, ReviewFinding
from policies.answers.sentence import said
from policies.errors import WanwuError
from policies.graphs.losses.loss_summary import own_loss_of
from policies.graphs.summary import own_model_of
from policies.ledger.reservations import Reservation
from policies.plans.releases import StatisticsPlan
from policies.plans.words.statement import Statement

if TYPE_CHECKING:
    from datasites.code_requests.canonical import CanonicalRequest
    from datasites.code_requests.requests import RequestBook

UNREADABLE = "It cannot be read as a request of this platform. {reason}"


def review_of(
    request_id: str,
    *,
    book: RequestBook,
    books: Books,
    enrolled_since: Callable[[str], str],
    viewer: str = "",
    elsewhere: Path | None = None,
) -> Review:
    """The review of one request.

    Guarantees:
        Every figure is computed from the ledger, the plan as pinned in the request, and the dataset; none from what
        the researcher wrote. Of a decided request it tells what stood when it was decided.

    Args:
        request_id: The request, or the only beginning of it.
        book: The code requests.
        books: The datasite's books.
        enrolled_since: Tells since when a researcher's address has had a certificate; empty where that is not known.
        viewer: Who looks: before the decision, of the votes only theirs is shown.
        elsewhere: Folder of what other hospitals decided; None where that is not told, as in a record.

    Raises:
        RequestUnknown: There is none with that identifier, or the beginning of it names several.
    """
    card, checked = book.taken_apart(request_id, viewer=viewer)
    review = reviewed(card, checked, books, enrolled_since=enrolled_since(card.researcher))
    if elsewhere is None:
        return review
    return replace(review, elsewhere=KeptDecisions(elsewhere).of_plan(review.plan_digest))


def reviewed(card: RequestCard, checked: CanonicalRequest | None, books: Books, *, enrolled_since: str) -> Review:
    """The review of a request that was taken apart, or could not be."""
    decision = books.approvals.of_request(card.id)
    standing = Standing(books, card.id, decision.decided_at if decision else "")
    decided = books.approvals.counts_of(card.researcher, but=card.id, until=decision.decided_at if decision else "")
    own = {one.name: getattr(card, one.name) for one in fields(card)}
    others = [one for one in standing.held.values() if one.researcher == card.researcher]
    rehearsed = card.rehearsal if card.rehearsal and card.rehearsal.state == "passed" else None
    own["gpu_hours"] = rehearsed.estimated_hours if rehearsed else None
    common = {**own, "enrolled_since": enrolled_since, "decided_before": decided}
    if checked is None:
        return Review(**common, findings=(ReviewFinding("refused", said(UNREADABLE, reason=card.finding)),))
    try:
        return _of_canonical(card, checked, books, standing, common, others)
    except WanwuError as error:
        reason = said(REFUSED, reason=f"{error.code}: {error.public}")
        return Review(**common, findings=(ReviewFinding("refused", reason),))


def _of_canonical(
    card: RequestCard,
    checked: CanonicalRequest,
    books: Books,
    standing: Standing,
    common: Mapping[str, Any],
    others: list[Reservation],
) -> Review:
    plan = checked.plan
    shapes, words = books.calculator.shapes(plan), _words(plan.statement)
    computed, leaves = wording.computed(plan, checked.dataset.manifest.unit), wording.leaves(plan, shapes)
    cost = cost_of(checked, books, standing)
    own_model = own_model_of(plan)
    options = {} if isinstance(plan, StatisticsPlan) else plan.model.options
    texts = {
        "The study's name": plan.study,
        **{f"The statement's {name}": text for name, text in words.items()},
        **{f"The model's option {name}": value for name, value in options.items() if isinstance(value, str)},
    }
    return Review(
        **common,
        plan_digest=plan.digest(),
        words=words,
        studies=studies_of(books, [one for one in others if one.fingerprint == checked.dataset.manifest.budget_key]),
        computed=computed,
        leaves=leaves,
        model_from=wording.model_from(plan, standing.weights_came_before(card.id), own_model),
        model_digest="" if isinstance(plan, StatisticsPlan) else model_digest(plan.model, shapes.inputs),
        own_model=own_model,
        own_loss=own_loss_of(plan),
        cost=cost,
        differences=differences(standing, plan, checked.researcher),
        channels=channels_of(checked, cost),
        questions=questions_of(
            checked,
            computed=computed,
            leaves=leaves,
            cost=cost,
            enrolled_since=common["enrolled_since"],
            has_purpose=bool(words.get("purpose", "").strip()),
        ),
        findings=findings_of(card, checked, books, standing, cost, texts),
    )


def _words(statement: Statement | None) -> Mapping[str, str]:
    """What the researcher wrote freely, where the plan has a statement."""
    return {} if statement is None else {name: text for name, text in vars(statement).items() if text}
