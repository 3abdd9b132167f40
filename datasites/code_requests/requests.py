"""Code requests, from submission to decision. What a person approves here is the whole of what may run later.

A request is canonical when it is exactly the platform's stub over one of this datasite's assets with a plan that
reads as one. Only canonical requests can be submitted and approved; the digest of everything that was shown is
recorded at approval and computed again before each round.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from syft.service.code.user_code import SubmitUserCode

from datasites.approvals.approval import Approval
from datasites.approvals.approvals import Decision, check_reason, sealed
from datasites.assets.published import PublishedDataset
from datasites.code_requests.books import Books
from datasites.code_requests.canonical import CanonicalRequest, RequestReader
from datasites.code_requests.cards import RequestCard, make_card
from datasites.code_requests.decided import NO_SHAPES, decision_on, denied_unread, now
from datasites.code_requests.open_requests import OpenRequests
from datasites.code_requests.own_requests import MAX_PENDING, OwnRequests
from datasites.pysyft.context import admin_context
from datasites.pysyft.guard import Call
from policies.budget.accountant import plan_spend
from policies.errors import (
    NotAllowed,
    PlanError,
    RequestAltered,
    RequestDenied,
    RequestError,
    RequestNotCanonical,
    RequestPending,
    RequestUnknown,
    WanwuError,
)
from policies.plans.plan_json import canonical_json


class RequestBook:
    """The code requests of one datasite."""

    def __init__(
        self, server: Any, datasets: Mapping[str, PublishedDataset], books: Books, *, max_pending: int = MAX_PENDING
    ) -> None:
        self._server, self._books = server, books
        self._reader = RequestReader(server, datasets)
        self.own = OwnRequests(self._reader, books.approvals, max_pending=max_pending)
        self.open = OpenRequests(self._reader, books)
        self._deciding = threading.Lock()

    # --- submission --------------------------------------------------------------------------------------

    def check_submission(self, code: SubmitUserCode, account: str) -> None:
        """Refuses code that could not be approved, before PySyft keeps it.

        Raises:
            WanwuError: Too many wait already, not the stub, no such dataset, a plan that does not read, or one
                outside the limits.
        """
        self.own.check_pending(account)
        plan, dataset = self._reader.read_submission(code)
        self._books.limits.check(plan, dataset)
        self._books.audit.write("request submitted", plan=plan.digest(), study=plan.study, dataset=plan.dataset)

    # --- looking -----------------------------------------------------------------------------------------

    def cards(self) -> list[RequestCard]:
        """All requests, oldest first."""
        return [make_card(request, self._reader, self._books) for request in self._reader.all()]

    def card(self, request_id: str) -> RequestCard:
        """One request.

        Raises:
            RequestUnknown: There is none with that identifier, or the beginning of it names several.
        """
        return make_card(self._reader.find(request_id), self._reader, self._books)

    def state_of(self, request_id: str) -> tuple[str, str]:
        """(`pending` | `approved` | `denied` | `ended`, reason) without any sum."""
        decision = self._books.approvals.of_request(request_id)
        return ("pending", "") if decision is None else (decision.decision, decision.reason)

    # --- deciding ----------------------------------------------------------------------------------------

    def approve(self, request_id: str, *, by: str, named: bool = False) -> RequestCard:
        """Reserves the study's whole cost in the ledger, records what was approved, and tells PySyft.

        Where the limits ask for several approvals, each but the last is kept as a consent and changes nothing else.

        Guarantees:
            The reservation precedes the approval, and so does its entry in the audit log: an approved request never
            stands without its budget or without a trace. Repeating a half-done approval completes it and reserves
            nothing twice.
            Nobody's consent counts twice, and a consent counts only for the card that was
            shown when it was given.

        Args:
            request_id: The request, or the only beginning of it.
            by: Who approves.
            named: Whether `by` is a person with an own token; who only owns the state folder is not, and cannot
                give one of several approvals.

        Raises:
            RequestNotCanonical: It is not exactly the platform's stub and a plan.
            RequestDenied: It was denied before; ask the researcher to submit again.
            BudgetExceeded: The budget does not suffice.
            LimitExceeded: The plan is outside the dataset's limits.
            NotAllowed: Several approvals are needed, and `by` cannot give this one.
            NotRehearsed: The settings ask for a rehearsal that passed, and this request has none.
        """
        with self._deciding:
            request = self._reader.find(request_id)
            known = self._books.approvals.of_request(str(request.id))
            if known is not None and known.decision != "approved":
                raise RequestDenied(f"The request was {known.decision} before. Ask the researcher to submit it again.")
            checked = self._read(request)
            self._books.limits.check(checked.plan, checked.dataset)
            if known is None:
                self._books.rehearsals.check(checked.request_id)
            shapes = canonical_json(asdict(self._books.calculator.shapes(checked.plan)))
            if known is None:
                people = self._consented(checked.request_id, sealed(checked.digest, shapes), by=by, named=named)
                if people is None:
                    return self.card(checked.request_id)
            else:
                people = (known.decided_by,)
            self._complete(request, checked, shapes, by=", ".join(people))
            return self.card(checked.request_id)

    def _consented(self, request_id: str, digest: str, *, by: str, named: bool) -> tuple[str, ...] | None:
        """Keeps a consent to the card with that digest; returns who gave theirs once they suffice, else None."""
        needed, consents = self._books.limits.current.approvals_needed, self._books.approvals.consents
        if needed > 1 and not named:
            raise NotAllowed(
                f"This dataset needs {needed} people's approvals, each by an own token. Make them accounts with "
                "'staff add' and let each approve with --as."
            )
        if outdated := consents.void_others(request_id, digest):
            self._books.audit.write("approvals voided", request=request_id, of=", ".join(outdated), digest=digest)
        if by in consents.of(request_id) and len(consents.of(request_id)) < needed:
            raise NotAllowed(f"{by} has approved this request already. It needs {needed} different people.")
        consents.add(request_id, person=by, digest=digest)
        people = consents.of(request_id)
        if len(people) < needed:
            self._books.audit.write(
                "request approved by one", request=request_id, by=by, given=len(people), needed=needed, digest=digest
            )
            return None
        return people

    def _complete(self, request: Any, checked: CanonicalRequest, shapes: str, *, by: str) -> None:
        plan, manifest = checked.plan, checked.dataset.manifest
        reserved = self._books.ledger.reserve(
            fingerprint=manifest.budget_key,
            dataset=manifest.name,
            request_id=checked.request_id,
            study=plan.study,
            researcher=checked.researcher,
            plan_digest=plan.digest(),
            spend=plan_spend(plan),
            rounds=plan.rounds,
            limits=self._books.limits.current,
            dataset_version=manifest.dataset_version,
        )
        self._books.audit.write(
            "request approved",
            request=checked.request_id,
            by=by,
            digest=sealed(checked.digest, shapes),
            fingerprint=manifest.budget_key,
            reserved=canonical_json(reserved.body()),
            **self._books.witness(),
        )
        self._record(checked, "approved", by=by, reason="", shapes=shapes)
        with self._server.lock:
            self._server.services.request.apply(admin_context(self._server), request.id)

    def deny(self, request_id: str, *, reason: str, by: str) -> RequestCard:
        """Denies a request; the researcher is told the reason. The ledger is not touched.

        Raises:
            RequestError: The request is approved or has ended, or the reason is empty or too long.
        """
        check_reason(reason)
        with self._deciding:
            request = self._reader.find(request_id)
            request_id = str(request.id)
            state, _ = self.state_of(request_id)
            if state == "approved":
                raise RequestError("The request is approved. End it instead: what it has not used becomes free again.")
            if state == "ended":
                raise RequestError("The request has ended: no further round of it runs. There is nothing left to deny.")
            try:
                checked = self._read(request)
            except WanwuError:
                checked = None
            if checked is None:
                self._books.approvals.record(denied_unread(request, by=by, reason=reason))
            else:
                self._record(checked, "denied", by=by, reason=reason, shapes=NO_SHAPES)
            self._books.approvals.consents.void_others(request_id, "")
            with self._server.lock:
                self._server.services.request.undo(admin_context(self._server), request.id, reason)
            self._books.audit.write("request denied", request=request_id, by=by, reason=reason, **self._books.witness())
            return self.card(request_id)

    def end(self, request_id: str, *, by: str, reason: str) -> None:
        """Ends an approved request: no further round, and what it has not used becomes free again.

        Guarantees:
            An end and an approval of the same request exclude each other. Repeating a half-done end completes it, with
            the reason that it had.

        Raises:
            RequestError: It is not approved, or the reason is empty or too long.
        """
        check_reason(reason)
        with self._deciding:
            decision = self._books.approvals.of_request(str(self._reader.find(request_id).id))
            if decision is None or not self._is_open(decision):
                raise RequestError("Only an approved request can be ended.")
            if decision.decision == "approved":
                decision = replace(decision, decision="ended", reason=reason)
                self._books.approvals.record(decision)
            self._books.ledger.release(request_id=decision.request_id, reason=decision.reason)
            self._books.audit.write(
                "request ended", request=decision.request_id, by=by, reason=decision.reason, **self._books.witness()
            )

    def _is_open(self, decision: Decision) -> bool:
        """Whether it is approved, or was ended and the ledger could not be told."""
        if decision.decision == "ended":
            held = self._books.ledger.reservations().get(decision.request_id)
            return held is not None and held.released is None
        return decision.decision == "approved"

    # --- before a round ----------------------------------------------------------------------------------

    def approved(self, call: Call) -> Approval:
        """Returns the approval that a call stands under, after computing its digest again.

        Guarantees:
            Returns only if the request was approved, the calling account is the one it was approved for, and plan,
            code, policies, asset and picture store are what the approval covered.

        Raises:
            RequestPending, RequestDenied, RequestAltered, RequestUnknown
        """
        self.own.check_code(call.code_id, call.account)
        return self._as_approved(self._books.approvals.of_code(call.code_id), code_id=call.code_id)

    def approved_now(self, request_id: str) -> Approval:
        """Returns the approval of a request for a run that is about to start; guarantees what `approved` does.

        Raises:
            RequestPending, RequestDenied, RequestAltered, RequestUnknown
        """
        decision = self._books.approvals.of_request(request_id)
        return self._as_approved(decision, code_id=decision.code_id if decision else "")

    def _as_approved(self, decision: Decision | None, *, code_id: str) -> Approval:
        if decision is None:
            raise RequestPending("The hospital has not approved this request yet. Wait for its decision.")
        if decision.decision != "approved":
            raise RequestDenied(f"The hospital {decision.decision} this request: {decision.reason}")
        try:
            checked = self._read(self._reader.find(decision.request_id))
        except (RequestNotCanonical, RequestUnknown, PlanError) as error:
            raise self._altered(decision) from error
        expected = decision_on(
            checked,
            decision.decision,
            by=decision.decided_by,
            reason=decision.reason,
            shapes=decision.shapes,
            at=decision.decided_at,
        )
        if decision != expected or checked.code_id != code_id:
            raise self._altered(decision)
        return Approval(
            decision.request_id, decision.account, checked.plan, checked.dataset, decision.inputs, decision.outputs
        )

    def _read(self, request: Any) -> CanonicalRequest:
        """A request on the version that was reserved for; before that, on the newest one."""
        return self._reader.read(request, version=self._books.approved_version(str(request.id)))

    def _altered(self, decision: Decision) -> RequestAltered:
        self._books.counted.add("request altered after approval", request=decision.request_id)
        return RequestAltered(
            "What would run is not what the hospital approved. Submit the plan again for a new decision."
        )

    def _record(self, checked: CanonicalRequest, decision: str, *, by: str, reason: str, shapes: str) -> None:
        self._books.approvals.record(decision_on(checked, decision, by=by, reason=reason, shapes=shapes, at=now()))
