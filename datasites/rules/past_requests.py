"""Dry runs: what a rule would have decided on the requests of its researcher so far. Nothing is decided by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from datasites.code_requests.books import Books
from datasites.review.review import Review
from datasites.review.reviewing import reviewed
from datasites.rules.rule import Rule
from datasites.rules.verdict import MONTH_FULL, NOT_APPROVABLE, against_plan, against_review
from policies.answers import rounded
from policies.answers.sentence import Sentence, said
from policies.budget.accountant import plan_spend
from policies.budget.steps import GaussianSteps, merged
from policies.errors import WanwuError
from policies.ledger.rule_share import MONTH

if TYPE_CHECKING:
    from datasites.code_requests.canonical import CanonicalRequest
    from datasites.code_requests.requests import RequestBook

MOST_LOOKED_AT = 200


@dataclass(frozen=True)
class DryRunRow:
    """What a rule would have decided on one request.

    Attributes:
        request_id: The request.
        study: Its study.
        arrived_at: When it came, UTC.
        state: What became of it, or `pending`.
        approves: Whether the rule would have approved it.
        reasons: Why not, otherwise.
    """

    request_id: str
    study: str
    arrived_at: str
    state: str
    approves: bool
    reasons: tuple[Sentence, ...]


@dataclass(frozen=True)
class DryRun:
    """What a rule would have decided, the newest request first.

    Attributes:
        rows: Of the researcher's requests, at most the last `MOST_LOOKED_AT`.
        approves: How many of them it would have approved.
        against_people: How many of those people denied or returned.
    """

    rows: tuple[DryRunRow, ...]
    approves: int
    against_people: int


class PastRequests:
    """The requests of one datasite, for rules to be tried on and to be asked about."""

    def __init__(self, book: RequestBook, books: Books, enrolled_since: Callable[[str], str]) -> None:
        self._book, self._books, self._enrolled_since = book, books, enrolled_since

    def dry_run(self, rule: Rule) -> DryRun:
        """What a rule would have decided if it had stood all the time; what people needed to be is left out."""
        rows: list[DryRunRow] = []
        approved: list[tuple[datetime, tuple[GaussianSteps, ...]]] = []
        found = self._book.index.page(researcher=rule.researcher, count=MOST_LOOKED_AT).rows
        for row in reversed(found):
            checked, at = self._book.apart(row.id), _moment(row.arrived_at)
            reasons = self._against(rule, row.id, checked)
            if not reasons and checked is not None:
                spend = plan_spend(checked.plan)
                month = merged((*(part for then, one in approved if then > at - MONTH for part in one), *spend))
                reasons = self._over_the_month(rule, month)
                if not reasons:
                    approved.append((at, spend))
            rows.append(DryRunRow(row.id, row.study, row.arrived_at, row.state, not reasons, reasons))
        against = sum(one.approves and one.state in ("denied", "returned") for one in rows)
        return DryRun(tuple(reversed(rows)), sum(one.approves for one in rows), against)

    def review(self, request_id: str, checked: CanonicalRequest) -> Review:
        """The review of a request that was taken apart."""
        card = self._book.card(request_id)
        return reviewed(card, checked, self._books, enrolled_since=self._enrolled_since(card.researcher))

    def _against(self, rule: Rule, request_id: str, checked: CanonicalRequest | None) -> tuple[Sentence, ...]:
        """Why a rule would leave a request to people, as far as the request itself goes."""
        if (reasons := against_plan(rule, checked)) or checked is None:
            return reasons
        return against_review(rule, self.review(request_id, checked))

    def _over_the_month(self, rule: Rule, month: tuple[GaussianSteps, ...]) -> tuple[Sentence, ...]:
        try:
            after = self._books.epsilon(month)
        except WanwuError:
            return (said(NOT_APPROVABLE),)
        if after <= rule.max_month_epsilon:
            return ()
        return (said(MONTH_FULL, after=rounded.cost(after), limit=rounded.left(rule.max_month_epsilon)),)


def _moment(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)
