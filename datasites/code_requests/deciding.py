"""Votes on code requests and what follows from them: an approval with its reservation, a denial, a return, an end.

Nothing crosses the boundary but a decision and its reason. One decision is made at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from datasites.approvals.approvals import Decision, check_reason, sealed
from datasites.approvals.votes import APPROVE, Outcome, Vote, is_the_asker, outcome
from datasites.code_requests.books import Books
from datasites.code_requests.canonical import CanonicalRequest, RequestReader
from datasites.code_requests.decided import NO_SHAPES, decision_on, now, refused_unread, voted_digest
from datasites.code_requests.decisions.rule_grant import RuleGrant
from datasites.code_requests.decisions.told_decisions import ToldDecisions, votes_as_logged
from datasites.code_requests.limits.consent import check_consent
from policies.budget.accountant import plan_spend
from policies.budget.steps import merged
from policies.errors import NotAllowed, RequestAltered, RequestDenied, RequestError, WanwuError
from policies.plans.plan_json import canonical_json


class Deciding:
    """Decides on the code requests of one datasite."""

    def __init__(self, server: Any, books: Books, reader: RequestReader) -> None:
        self._books, self._reader = books, reader
        self._told = ToldDecisions(server, books, reader)
        self._lock = threading.Lock()

    def vote(self, request_id: str, vote: Vote, *, named: bool) -> None:
        """Keeps a vote, and decides once as many are in as the limits ask for.

        Guarantees:
            A request is approved only by as many different people as are needed, none of whom is who asks, each by a
            vote on what the card shows now: plan, code, dataset version, and what the limits let a study cost.
            Until then neither the audit log nor a card tells who has voted, or how.
            The reservation precedes the approval, and so does its entry in the audit log: an approved request never
            stands without its budget or without a trace. Repeating a half-done decision completes it, and reserves
            nothing twice; repeating one that is done changes nothing, the audit log neither.

        Args:
            request_id: The request's whole identifier.
            vote: Whose, which, and why.
            named: Whether it is a person with an own token; who only owns the state folder is not, and cannot give
                one of several votes.

        Raises:
            RequestNotCanonical: It is not exactly the platform's stub and a plan, and cannot be approved.
            RequestDenied: It was denied or returned before; ask the researcher to submit again.
            RequestError: It is approved or has ended, the reason is empty or too long, or it would read pictures of
                patients who withdrew.
            BudgetExceeded: The budget does not suffice.
            PlanError: What it would cost cannot be computed.
            LimitExceeded: The plan is outside the dataset's limits.
            NotRehearsed: The settings ask for a rehearsal that passed, and this request has none.
            NotAllowed: This person cannot vote on it, or has voted.
        """
        if vote.vote != APPROVE:
            check_reason(vote.reason)
        with self._lock:
            request = self._reader.find(request_id)
            self._check_voter(request, vote.person)
            known = self._books.approvals.of_request(request_id)
            if known is not None:
                return self._repeat(request, known, vote)
            if vote.vote == APPROVE:
                self._books.rehearsals.check(request_id)
            checked, shapes, digest = self._as_approvable(request) if vote.vote == APPROVE else self._as_shown(request)
            votes = self._counted(request_id, vote, voted_digest(digest, self._books.limits.current), named=named)
            decided = outcome(votes, self._books.limits.current.approvals_needed)
            if decided is None:
                return
            if decided.decision == "approved" and checked is not None:
                return self._approve(request, checked, shapes, by=decided.by, votes=votes)
            self._refuse(request, checked, decided, votes)

    def approve_by_rule(self, request_id: str, grant: RuleGrant) -> None:
        """Approves a pending request by a rule of the hospital's, which people stand behind, in the place of votes.

        Guarantees:
            No rule approves what people could not: limits, budgets and the plan's contract are checked as for them, and
            the card must be the one that the rule was asked about. Nor does it where people have begun: no vote is in
            and nothing was asked; where fewer people stand behind the rule than a request needs now; or without a
            rehearsal that passed, whatever the settings say. What it reserves stays within the rule's month and study,
            also when several are approved at once.

        Raises:
            RequestError: It is decided, or another than the rule was asked about, or has no rehearsal that passed.
            NotAllowed: People have begun to decide, or too few stand behind the rule.
            BudgetError: A budget or a limit, the hospital's or the rule's, does not hold it.
        """
        with self._lock:
            request, books = self._reader.find(request_id), self._books
            if books.approvals.of_request(request_id) is not None:
                raise RequestError("The request is decided already.")
            if books.approvals.votes.of(request_id) or books.approvals.threads.of(request_id):
                raise NotAllowed("People have begun to decide on this request, and go on.")
            books.rehearsals.check(request_id, always=True)
            if grant.people < books.limits.current.approvals_needed:
                raise NotAllowed("Fewer people stand behind the rule than a request needs.")
            checked, shapes, digest = self._as_approvable(request)
            if digest != grant.digest:
                raise RequestAltered("The request has changed since the rule was asked about it.")
            self._approve(request, checked, shapes, by=grant.by, grant=grant)

    def withdraw(self, request_id: str, *, by: str) -> None:
        """Withdraws a pending request for who asked it. Nothing was reserved, and it can never be approved.

        Raises:
            RequestError: It is decided.
        """
        with self._lock:
            request = self._reader.find(request_id)
            known = self._books.approvals.of_request(request_id)
            if known is not None and known.decision != "withdrawn":
                raise RequestError(f"The request is {known.decision}, and only a pending one can be withdrawn.")
            if known is not None and request_id not in self._books.approvals.unfinished():
                return
            checked, _, _ = self._as_shown(request)
            self._books.approvals.votes.void_others(request_id, "")
            self._refuse(request, checked, Outcome("withdrawn", by, "The researcher withdrew the request."), ())

    def end(self, request_id: str, *, by: str, reason: str) -> None:
        """Ends an approved request: no further round, and what it has not used becomes free again.

        Guarantees:
            An end and an approval of the same request exclude each other. Repeating a half-done end completes it, with
            the reason that it had.

        Raises:
            RequestError: It is not approved, or the reason is empty or too long.
        """
        check_reason(reason)
        with self._lock:
            decision = self._books.approvals.of_request(request_id)
            if decision is None or not self._is_open(decision):
                raise RequestError("Only an approved request can be ended.")
            if decision.decision == "approved":
                decision = replace(decision, decision="ended", reason=reason)
                self._books.approvals.record(decision)
            self._told.ended(decision, by=by)

    def complete(self, check_approved: Callable[[str], object]) -> None:
        """Completes what a stop left half done; see `ToldDecisions.complete`."""
        with self._lock:
            self._told.complete(check_approved)

    def _check_voter(self, request: Any, person: str) -> None:
        if is_the_asker(person, str(request.requesting_user_email)):
            raise NotAllowed(
                f"{person} asks in this request, or has the name of who does, and cannot decide on it. Let somebody "
                "else decide."
            )

    def _as_approvable(self, request: Any) -> tuple[CanonicalRequest, str, str]:
        """The request, what it takes in and lets out, and its card's digest; refused if it cannot be approved."""
        checked = self._read(request)
        self._books.limits.check(checked.plan, checked.dataset)
        if self._books.approvals.of_request(checked.request_id) is None:
            begun = self._books.approved_version(checked.request_id) is not None
            check_consent(self._books.limits.withdrawn, checked.dataset, begun=begun)
        self._books.epsilon(merged(plan_spend(checked.plan)))
        shapes = canonical_json(asdict(self._books.calculator.shapes(checked.plan)))
        return checked, shapes, sealed(checked.digest, shapes)

    def _as_shown(self, request: Any) -> tuple[CanonicalRequest | None, str, str]:
        """Likewise as far as the card can show it; what cannot be read can still be denied."""
        try:
            checked = self._read(request)
        except WanwuError:
            return None, NO_SHAPES, ""
        try:
            shapes = canonical_json(asdict(self._books.calculator.shapes(checked.plan)))
        except WanwuError:
            return checked, NO_SHAPES, checked.digest
        return checked, shapes, sealed(checked.digest, shapes)

    def _counted(self, request_id: str, vote: Vote, digest: str, *, named: bool) -> tuple[Vote, ...]:
        """Keeps a vote on what has that digest; returns all that count."""
        needed, kept = self._books.limits.current.approvals_needed, self._books.approvals.votes
        if needed > 1 and not named:
            raise NotAllowed(
                f"This dataset needs {needed} people's votes, each by an own token. Make them accounts with "
                "'staff add' and let each vote with --as."
            )
        if outdated := kept.void_others(request_id, digest):
            self._books.audit.write("votes voided", request=request_id, votes=outdated, digest=digest)
        if kept.of_person(request_id, vote.person, digest) and kept.given(request_id, digest) < needed:
            raise NotAllowed(f"{vote.person} has voted on this request already. It needs {needed} different people.")
        kept.add(request_id, vote, digest=digest)
        votes = kept.of(request_id)
        if len(votes) < needed:
            self._books.audit.write(
                "request voted on", request=request_id, given=len(votes), needed=needed, digest=digest
            )
        return votes

    def _repeat(self, request: Any, known: Decision, vote: Vote) -> None:
        """Completes a decision that was made before, where a crash left it half done; changes none, and logs none anew.

        Of an approval PySyft is told in any case: its database may be from before it, as after a restore.
        """
        if vote.vote == APPROVE:
            if known.decision != "approved":
                raise RequestDenied(f"The request was {known.decision} before. Ask the researcher to submit it again.")
            self._as_approvable(request)
            return self._told.approved(request)
        if known.decision == "approved":
            raise RequestError("The request is approved. End it instead: what it has not used becomes free again.")
        if known.decision == "withdrawn":
            raise RequestError("The request was withdrawn by who asked. There is nothing left to decide.")
        if known.decision == "ended":
            raise RequestError("The request has ended: no further round of it runs. There is nothing left to decide.")
        if known.request_id in self._books.approvals.unfinished():
            votes = self._books.approvals.votes.of(known.request_id)
            self._told.refused(request, Outcome(known.decision, known.decided_by, known.reason), votes)
        return None

    def _approve(
        self,
        request: Any,
        checked: CanonicalRequest,
        shapes: str,
        *,
        by: str,
        votes: tuple[Vote, ...] = (),
        grant: RuleGrant | None = None,
    ) -> None:
        """Reserves the study's whole cost in the ledger, records what was approved, and tells PySyft."""
        plan, manifest, limits = checked.plan, checked.dataset.manifest, self._books.limits.current
        reserved = self._books.ledger.reserve(
            fingerprint=manifest.budget_key,
            dataset=manifest.name,
            request_id=checked.request_id,
            study=plan.study,
            researcher=checked.researcher,
            plan_digest=plan.digest(),
            spend=plan_spend(plan),
            rounds=plan.rounds,
            limits=limits if grant is None else grant.within(limits),
            dataset_version=manifest.dataset_version,
            share=None if grant is None else grant.share,
        )
        by_rule = {} if grant is None else {"rule": grant.share.rule, "rule_version": grant.version}
        self._books.audit.write(
            "request approved",
            request=checked.request_id,
            by=by,
            votes=votes_as_logged(votes),
            digest=sealed(checked.digest, shapes),
            fingerprint=manifest.budget_key,
            reserved=canonical_json(reserved.body()),
            **by_rule,
            **self._books.witness(),
        )
        self._books.approvals.record(decision_on(checked, "approved", by=by, reason="", shapes=shapes, at=now()))
        self._told.approved(request)

    def _refuse(
        self, request: Any, checked: CanonicalRequest | None, decided: Outcome, votes: tuple[Vote, ...]
    ) -> None:
        """Records a denial or a return, and tells it; what an interrupted approval reserved is free again."""
        if checked is None:
            decision = refused_unread(request, decided.decision, by=decided.by, reason=decided.reason)
        else:
            decision = decision_on(
                checked, decided.decision, by=decided.by, reason=decided.reason, shapes=NO_SHAPES, at=now()
            )
        self._books.approvals.record(decision)
        self._told.refused(request, decided, votes)

    def _is_open(self, decision: Decision) -> bool:
        """Whether it is approved, or was ended and the ledger could not be told."""
        if decision.decision == "ended":
            held = self._books.ledger.held(decision.request_id)
            return held is not None and held.released is None
        return decision.decision == "approved"

    def _read(self, request: Any) -> CanonicalRequest:
        """A request on the version that was reserved for; before that, on the newest one."""
        return self._reader.read(request, version=self._books.approved_version(str(request.id)))
