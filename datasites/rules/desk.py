"""Asks the rules in force about requests that wait, in a thread of its own; what no rule approves waits for people."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING

from datasites.audit_log.chain import Detail
from datasites.code_requests.books import Books
from datasites.code_requests.decisions.rule_grant import RuleGrant
from datasites.review.review import Review
from datasites.rules.kept_rule import KeptRule
from datasites.rules.past_requests import PastRequests
from datasites.rules.rule_book import RuleBook
from datasites.rules.verdict import Moment, against_moment, against_plan, against_review
from policies.errors import WanwuError
from policies.ledger.rule_share import RuleShare

if TYPE_CHECKING:
    from datasites.code_requests.requests import RequestBook

log = logging.getLogger(__name__)

_MOST_WAITING = 500


@dataclass(frozen=True)
class People:
    """What a rule must know of people, asked anew for each decision.

    Attributes:
        may_decide: Whether one of the hospital's people may decide on requests now.
        in_good_standing: Whether a researcher has a valid certificate, and none revoked since that moment.
    """

    may_decide: Callable[[str], bool]
    in_good_standing: Callable[[str, str], bool]


class RuleDesk:
    """Asks rules about requests: when one has passed its rehearsal, when a rule comes into force, and at each start.

    Guarantees:
        Whatever goes wrong, nothing is approved by it, and the request waits for people.
    """

    def __init__(self, rules: RuleBook, past: PastRequests, book: RequestBook, books: Books, people: People) -> None:
        self._rules, self._past, self._book, self._books, self._people = rules, past, book, books, people
        self._asked: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="rules", daemon=True)
        self._stopping = False

    def start(self) -> None:
        """Begins, with every request that waits."""
        self._books.audit.on_event(self._heard)
        self.look_at_all()
        self._thread.start()

    def stop(self) -> None:
        """Ends, after the decision that is being made."""
        self._stopping = True
        self._asked.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def look_at_all(self) -> None:
        """Has the rules asked about every request that waits."""
        self._asked.put(None)

    def _heard(self, event: str, details: Mapping[str, Detail]) -> None:
        if event == "request rehearsed":
            self._asked.put(str(details.get("request", "")))

    def _work(self) -> None:
        while True:
            request = self._asked.get()
            if self._stopping:
                return
            try:
                self.look(request)
            except Exception:
                log.exception("rules could not be asked about requests; they wait for people")

    def look(self, request: str | None = None) -> None:
        """Asks the rules in force about one request, or about every one that waits, the oldest first."""
        with self._rules.in_force() as found:
            in_force = found
        if not in_force:
            return
        waiting = self._book.index.page(state="pending", count=_MOST_WAITING).rows
        for row in reversed(waiting):
            if self._stopping:
                return
            if request in (None, row.id):
                for kept in in_force:
                    if kept.rule.researcher == row.researcher and self._decides(kept, row.id):
                        break

    def _decides(self, kept: KeptRule, request_id: str) -> bool:
        """Approves a request if the rule does; whether it did."""
        try:
            return self._approves(kept, request_id)
        except WanwuError as error:
            log.info("rule %s leaves %s to people: %s", kept.rule.name, request_id, error)
            return False

    def _approves(self, kept: KeptRule, request_id: str) -> bool:
        rule, checked = kept.rule, self._book.apart(request_id)
        if checked is None or against_plan(rule, checked):
            return False
        review = self._past.review(request_id, checked)
        if against_review(rule, review):
            return False
        with self._rules.in_force() as in_force:
            if kept not in in_force or against_moment(rule, review, self._moment(kept, review, checked.plan.to_json())):
                return False
            share = RuleShare(rule.name, rule.max_month_epsilon)
            people = len(set(kept.people))
            grant = RuleGrant(rule.decides_as, rule.version, share, rule.max_study_epsilon, people, review.digest)
            self._book.approve_by_rule(request_id, grant)
        return True

    def _moment(self, kept: KeptRule, review: Review, plan: str) -> Moment:
        refused = self._books.approvals.refused_since(review.researcher, since=kept.at, plan=plan)
        return Moment(
            today=datetime.now(UTC).date(),
            people=kept.people,
            people_needed=self._books.limits.current.approvals_needed,
            gone=tuple(one for one in kept.people if not self._people.may_decide(one)),
            in_good_standing=self._people.in_good_standing(review.researcher, kept.at),
            refused=refused,
        )
