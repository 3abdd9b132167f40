"""The approval card: all that a decision on one request rests on, on one page, and the forms that decide.

Every figure on it is the review's. It stays in the hospital.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from starlette.responses import Response

from datasites.approvals.approvals import MAX_REASON
from datasites.code_requests.card import RequestCard
from datasites.console.console import CHANGES, DECIDES, READS, Console
from datasites.console.requests import end_request
from datasites.console.shown.review_card import flat
from datasites.pages.frame.views import Answer, Onward, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.review import card_words
from datasites.review.review import MOST_LAYERS, Cost, Review, Scope, found_by_tests
from policies.answers.odds import unit_of
from policies.answers.plain_values import to_plain
from policies.answers.rehearsals import duration
from policies.answers.requests import MOST_IN_A_MESSAGE
from policies.graphs.overview.drawing import drawing_of
from policies.plans.plan_json import sha256_text

# A record is a file to keep. Who opens it from here all the same gets a page that can do nothing.
_RECORD_POLICY = "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_NONE: Mapping[str, str] = MappingProxyType({})


class Bar(NamedTuple):
    """A limit as a bar: what was charged before, what this request adds, what is left; `whole` is the bar's length."""

    scope: Scope
    adds: float
    left: float
    whole: float


def make_pages(console: Console) -> Pages:
    """The card, the record, votes, questions, and the end of an approved request."""
    pages = Pages()
    book = console.book

    @pages.get("/requests/{request_id}", DECIDES)
    def show(visit: Visit) -> Answer:
        return _card(visit, _review(console, visit))

    @pages.get("/requests/{request_id}/record", READS)
    def record(visit: Visit) -> Answer:
        kept = console.record(visit.params["request_id"], visit.language.code)
        name = f'attachment; filename="decision-{kept.request_id[:8]}.html"'
        headers = {"content-disposition": name, "content-security-policy": _RECORD_POLICY}
        return Response(kept.page, media_type="text/html", headers=headers)

    @pages.post("/requests/{request_id}/approve", DECIDES)
    def approve(visit: Visit) -> Answer:
        review = _review(console, visit)
        if visit.form.get("seen") != what_was_seen(review):
            changed = visit.gettext("What this page shows has changed since you opened it. Read it again, then decide.")
            return _card(visit, review, {"seen": changed}, 409)
        if speaks_against(review) and visit.form.get("read") != "yes":
            unread = visit.gettext("Say that you have read what speaks against this request.")
            return _card(visit, review, {"read": unread}, 422)
        return _voted(visit, book.approve(review.id, by=visit.who.name, named=visit.who.named))

    @pages.post("/requests/{request_id}/deny", DECIDES)
    def deny(visit: Visit) -> Answer:
        who = visit.who

        def vote(request: str, reason: str) -> Answer:
            return _voted(visit, book.deny(request, reason=reason, by=who.name, named=who.named))

        return _with_text(console, visit, "deny_reason", vote)

    @pages.post("/requests/{request_id}/return", DECIDES)
    def ask_for_a_change(visit: Visit) -> Answer:
        who = visit.who

        def vote(request: str, reason: str) -> Answer:
            return _voted(visit, book.ask_for_a_change(request, reason=reason, by=who.name, named=who.named))

        return _with_text(console, visit, "change_reason", vote)

    @pages.post("/requests/{request_id}/ask", DECIDES)
    def ask(visit: Visit) -> Answer:
        def keep(request: str, text: str) -> Answer:
            book.conversation.ask(request, text, by=visit.who.name)
            said = visit.gettext("Your question is asked. The researcher reads it without your name.")
            return Onward(f"/requests/{request}", notice=said)

        return _with_text(console, visit, "question", keep)

    @pages.post("/requests/{request_id}/end", CHANGES)
    def end(visit: Visit) -> Answer:
        return _with_text(console, visit, "end_reason", lambda request, why: _ended(console, visit, request, why))

    return pages


def speaks_against(review: Review) -> bool:
    """Whether anything is told that a person must say they have read."""
    return bool(review.findings or review.unusual)


def what_was_seen(review: Review) -> str:
    """A digest over what a decision rests on: it is another once the request, a finding or the cost is."""
    seen = (review.id, review.state, review.digest, review.findings, review.unusual, review.cost)
    return sha256_text(repr(to_plain(seen)))  # not as JSON: an epsilon may be infinite


def bars_of(cost: Cost) -> list[Bar]:
    """A bar for each limit; one that the request does not fit into is as long as what it would take, if that ends."""
    return [
        Bar(
            one,
            adds=max(one.after - one.before, 0.0),
            left=max(one.limit - one.after, 0.0),
            whole=max(one.limit, one.after) if math.isfinite(one.after) else one.limit,
        )
        for one in cost.scopes
    ]


def _review(console: Console, visit: Visit) -> Review:
    return console.review(visit.params["request_id"], viewer=visit.who.name)


def _card(visit: Visit, review: Review, errors: Mapping[str, str] = _NONE, status: int = 200) -> Page:
    cost = review.cost
    values = {
        "review": review,
        "words": card_words,
        "bars": bars_of(cost) if cost else [],
        "fits": cost is None or all(one.after <= one.limit for one in cost.scopes),
        "found": found_by_tests(cost) if cost else [],
        "recognised": card_words.recognised(cost.odds) if cost else 0,
        "unit": unit_of(cost.odds) if cost else "",
        "drawing": drawing_of(review.own_model.blocks) if review.own_model and review.own_model.blocks else None,
        "time_in_all": "" if review.gpu_hours is None else duration(review.gpu_hours),
        "plan": flat(review.plan),
        "against": speaks_against(review),
        "seen": what_was_seen(review),
        "may_end": review.state == "approved" and visit.who.role in CHANGES,
        "most": MOST_IN_A_MESSAGE,
        "most_reason": MAX_REASON,
        "most_layers": MOST_LAYERS,
        "errors": errors,
    }
    return Page("requests/card.html.jinja", values, status)


def _with_text(console: Console, visit: Visit, field: str, act: Callable[[str, str], Answer]) -> Answer:
    """Does what takes a text of one line: a reason or a question."""
    text = " ".join(visit.form.get(field).split())
    review = _review(console, visit)
    if not text:
        return _card(visit, review, {field: visit.gettext(card_words.MISSING[field])}, 422)
    return act(review.id, text)


def _voted(visit: Visit, card: RequestCard) -> Answer:
    """What became of a vote."""
    if card.state == "pending":
        given = {"given": card.votes_given, "needed": card.approvals_needed}
        said = visit.gettext("Your vote is in, the request waits for others: %(given)s of %(needed)s votes.", **given)
    elif card.state == "approved":
        said = visit.gettext("The request is approved. Its whole cost is reserved in the ledger.")
    elif card.state == "denied":
        said = visit.gettext("The request is denied. The researcher reads the reason, and no name.")
    else:
        said = visit.gettext("The request is returned. The researcher reads what to change, and no name.")
    return Onward(f"/requests/{card.id}", notice=said)


def _ended(console: Console, visit: Visit, request: str, reason: str) -> Answer:
    told = end_request(console, request, by=visit.who.name, reason=reason)
    freed = visit.language.left(told.epsilon_freed)
    said = visit.gettext(
        "The study has ended: %(run)s of %(rounds)s rounds had run. About epsilon %(freed)s is free again.",
        run=told.rounds_run,
        rounds=told.rounds,
        freed=freed,
    )
    return Onward(f"/requests/{request}", notice=said)
