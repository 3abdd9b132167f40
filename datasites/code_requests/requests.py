"""Code requests, from submission to decision. What a person approves here is the whole of what may run later.

A request is canonical when it is exactly the platform's stub over one of this datasite's assets with a plan that
reads as one. Only canonical requests can be submitted and approved; the digest of everything that was shown is
recorded at approval and computed again before each round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from syft.service.code.user_code import SubmitUserCode

from datasites.approvals.approval import Approval
from datasites.approvals.approvals import Decision
from datasites.approvals.votes import APPROVE, DENY, RETURN, Vote
from datasites.assets.published import PublishedDataset
from datasites.code_requests import arrivals
from datasites.code_requests.books import Books
from datasites.code_requests.canonical import CanonicalRequest, RequestReader
from datasites.code_requests.cards import RequestCard, make_card
from datasites.code_requests.conversation import Conversation
from datasites.code_requests.decided import decision_on
from datasites.code_requests.deciding import Deciding
from datasites.code_requests.decisions.rule_grant import RuleGrant
from datasites.code_requests.open_requests import OpenRequests
from datasites.code_requests.own_requests import MAX_PENDING, OwnRequests
from datasites.code_requests.request_index import RequestIndex, RequestPage
from datasites.pysyft.guard import Call
from policies.budget.accountant import plan_spend
from policies.budget.steps import merged
from policies.errors import (
    PlanError,
    RequestAltered,
    RequestDenied,
    RequestNotCanonical,
    RequestPending,
    RequestUnknown,
    WanwuError,
)

_DENIED = "The hospital denied this request"
_NO_MORE = {
    "returned": "The hospital returned this request for a change, and takes it as a new one",
    "withdrawn": "This request was withdrawn",
    "ended": "The hospital ended this request",
}


class RequestBook:
    """The code requests of one datasite."""

    def __init__(
        self, server: Any, datasets: Mapping[str, PublishedDataset], books: Books, *, max_pending: int = MAX_PENDING
    ) -> None:
        self._datasets, self._books = datasets, books
        self._reader = RequestReader(server, datasets)
        self.index = RequestIndex(books.approvals)
        self.own = OwnRequests(self.index, max_pending=max_pending)
        self._deciding = Deciding(server, books, self._reader)
        self.conversation = Conversation(self, books.approvals, books.audit)
        self.open = OpenRequests(self._reader, self.index, books)

    # --- submission --------------------------------------------------------------------------------------

    def check_submission(self, code: SubmitUserCode, account: str) -> None:
        """Refuses code that could not be approved, before PySyft keeps it.

        Raises:
            WanwuError: Too many wait already, not the stub, no such dataset, a plan that does not read, one outside
                the limits, or one whose cost cannot be computed.
        """
        self.own.check_pending(account)
        plan, dataset = self._reader.read_submission(code)
        self._books.limits.check(plan, dataset)
        self._books.epsilon(merged(plan_spend(plan)))
        self._books.audit.write("request submitted", plan=plan.digest(), study=plan.study, dataset=plan.dataset)

    def arrived(self, request_id: str) -> None:
        """Takes a request that PySyft has kept into the index."""
        arrivals.take_in(self._reader.find(request_id), self._reader, self.index)

    def catch_up(self) -> None:
        """Brings the index to what PySyft keeps, and PySyft to what was decided."""
        arrivals.catch_up(self._reader, self.index)
        self._deciding.complete(self.approved_now)

    def with_stub(self, name: str, account: str) -> str:
        """The identifier of an account's own request whose stub has this name.

        Raises:
            RequestUnknown: It has none.
        """
        found = self.index.of_codes(account, self._reader.codes_named(name, account))
        if found is None:
            raise RequestUnknown("This account has no such request.")
        return found

    # --- looking -----------------------------------------------------------------------------------------

    def page(
        self,
        state: str | None = None,
        researcher: str | None = None,
        query: str = "",
        after: str | None = None,
        count: int = 50,
    ) -> RequestPage:
        """Some requests, the newest first, each with its cost; see `RequestIndex.page`.

        A sum is made once for each request and delta, when the request is first listed. A request of which it fails is
        listed all the same, as one that cannot be priced.
        """
        page = self.index.page(state, researcher, query, after, count)
        unpriced = self.index.without_price(page.rows, self._books.limits.current.total.delta)
        failed = {
            request_id
            for request_id in unpriced
            if not arrivals.price(self._reader.find(request_id), self._reader, self.index, self._books)
        }
        if unpriced:
            page = self.index.page(state, researcher, query, after, count)
            page = replace(page, rows=tuple(replace(row, unpriced=row.id in failed) for row in page.rows))
        keys = {name: published.manifest.budget_key for name, published in self._datasets.items()}
        return replace(page, epsilon_left={name: self._books.epsilon_left(key) for name, key in keys.items()})

    def card(self, request_id: str, *, viewer: str = "") -> RequestCard:
        """One request, as one of the hospital's people sees it.

        Raises:
            RequestUnknown: There is none with that identifier, or the beginning of it names several.
        """
        request = self._reader.find(self.index.named(request_id))
        return make_card(request, self._reader, self._books, viewer=viewer)

    def taken_apart(self, request_id: str, *, viewer: str = "") -> tuple[RequestCard, CanonicalRequest | None]:
        """A request's card, and the request taken apart; None where it does not read as one. Raises as `card` does."""
        card = self.card(request_id, viewer=viewer)
        return card, self.apart(card.id)

    def apart(self, request_id: str) -> CanonicalRequest | None:
        """The request with that whole identifier, taken apart; None where it does not read as one."""
        try:
            return self._read(self._reader.find(request_id))
        except WanwuError:
            return None

    def state_of(self, request_id: str) -> tuple[str, str]:
        """(One of `policies.answers.requests.STATES`, reason) without any sum."""
        decision = self._books.approvals.of_request(request_id)
        return ("pending", "") if decision is None else (decision.decision, decision.reason)

    # --- deciding; see `Deciding.vote` ---------------------------------------------------------------------

    def approve(self, request_id: str, *, by: str, named: bool = False) -> RequestCard:
        """Votes to approve; with the last vote that is needed, the study's whole cost is reserved in the ledger."""
        return self._vote(request_id, Vote(by, APPROVE), named=named)

    def deny(self, request_id: str, *, reason: str, by: str, named: bool = True) -> RequestCard:
        """Votes to deny; of a denial the researcher is told the reason. The ledger is not touched."""
        return self._vote(request_id, Vote(by, DENY, reason), named=named)

    def ask_for_a_change(self, request_id: str, *, reason: str, by: str, named: bool = True) -> RequestCard:
        """Votes to return the request: the researcher is told what to change, and submits it anew."""
        return self._vote(request_id, Vote(by, RETURN, reason), named=named)

    def _vote(self, request_id: str, vote: Vote, *, named: bool) -> RequestCard:
        whole = self.index.named(request_id)
        self._deciding.vote(whole, vote, named=named)
        return self.card(whole, viewer=vote.person)

    def approve_by_rule(self, request_id: str, grant: RuleGrant) -> None:
        """Approves a pending request by one of the hospital's rules; see `Deciding.approve_by_rule`."""
        self._deciding.approve_by_rule(request_id, grant)

    def withdraw(self, request_id: str, *, by: str) -> None:
        """Withdraws a pending request for who asked it; see `Deciding.withdraw`."""
        self._deciding.withdraw(request_id, by=by)

    def end(self, request_id: str, *, by: str, reason: str) -> None:
        """Ends an approved request; see `Deciding.end`."""
        self._deciding.end(self.index.named(request_id), by=by, reason=reason)

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
            raise RequestDenied(f"{_NO_MORE.get(decision.decision, _DENIED)}: {decision.reason}")
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


def open_requests(
    server: Any, datasets: Mapping[str, PublishedDataset], books: Books, *, max_pending: int
) -> RequestBook:
    """The code requests of a datasite that serves: all that PySyft keeps are in the index."""
    book = RequestBook(server, datasets, books, max_pending=max_pending)
    book.catch_up()
    return book
