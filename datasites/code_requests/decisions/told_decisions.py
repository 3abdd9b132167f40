"""Tells PySyft, the ledger and the audit log of a recorded decision; after a stop in between, at the next start."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from datasites.approvals.approvals import Decision
from datasites.approvals.votes import Outcome, Vote
from datasites.code_requests.books import Books
from datasites.code_requests.canonical import RequestReader
from datasites.pysyft.context import admin_context
from policies.errors import LedgerBroken, NotReserved, RequestUnknown
from policies.plans.plan_json import canonical_json

log = logging.getLogger(__name__)


class ToldDecisions:
    """Tells of the decisions of one datasite. Whoever calls it sees to it that nobody else decides meanwhile."""

    def __init__(self, server: Any, books: Books, reader: RequestReader) -> None:
        self._server, self._books, self._reader = server, books, reader

    def approved(self, request: Any) -> None:
        """PySyft may take calls of an approved request's code."""
        with self._server.lock:
            self._server.services.request.apply(admin_context(self._server), request.id)
        self._books.approvals.finish(str(request.id))

    def refused(self, request: Any, decided: Outcome, votes: tuple[Vote, ...]) -> None:
        """The researcher reads the reason; the audit log keeps who voted how.

        What an approval that was interrupted reserved becomes free, unless the ledger cannot be read.
        """
        with self._server.lock:
            self._server.services.request.undo(admin_context(self._server), request.id, decided.reason)
        with contextlib.suppress(NotReserved, LedgerBroken):
            self._books.ledger.release(request_id=str(request.id), reason=decided.reason)
        self._books.audit.write(
            f"request {decided.decision}",
            request=str(request.id),
            by=decided.by,
            reason=decided.reason,
            votes=votes_as_logged(votes),
            **self._books.witness(),
        )
        self._books.approvals.finish(str(request.id))

    def ended(self, decision: Decision, *, by: str) -> None:
        """What an ended request has not used becomes free."""
        self._books.ledger.release(request_id=decision.request_id, reason=decision.reason)
        self._books.audit.write(
            "request ended", request=decision.request_id, by=by, reason=decision.reason, **self._books.witness()
        )
        self._books.approvals.finish(decision.request_id)

    def complete(self, check_approved: Callable[[str], object]) -> None:
        """Completes what a stop of the datasite left half done; what cannot be completed now stays for the next start.

        Guarantees:
            Only what stands recorded is told: nothing is decided, and nothing is reserved. The digest of an approval is
            computed again first. Completing again changes nothing.

        Args:
            check_approved: Raises unless the request with this identifier is what its approval covered.
        """
        for request_id in self._books.approvals.unfinished():
            try:
                self._complete(request_id, check_approved)
            except Exception:  # PySyft's too: one decision that cannot be told keeps no hospital closed
                log.exception("the decision on request %s is still half done", request_id)

    def _complete(self, request_id: str, check_approved: Callable[[str], object]) -> None:
        decision = self._books.approvals.of_request(request_id)
        if decision is None:
            return self._books.approvals.finish(request_id)
        by = decision.decided_by
        if decision.decision == "ended":
            self.ended(decision, by=by)
        else:
            try:
                request = self._reader.find(request_id)
            except RequestUnknown:  # PySyft's database is from before the request, as after a restore
                return self._books.approvals.finish(request_id)
            if decision.decision == "approved":
                check_approved(request_id)
                self.approved(request)
            else:
                votes = self._books.approvals.votes.of(request_id)
                self.refused(request, Outcome(decision.decision, by, decision.reason), votes)
        self._books.audit.write("decision completed", request=request_id, decision=decision.decision, by=by)


def votes_as_logged(votes: tuple[Vote, ...]) -> str:
    """Votes as the audit log keeps them, once they are no secret any more."""
    return canonical_json([asdict(vote) for vote in votes])
