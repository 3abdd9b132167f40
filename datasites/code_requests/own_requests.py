"""Finds an account's own code requests. Of others it learns nothing, not even whether they exist."""

from __future__ import annotations

from datasites.approvals.approvals import Approvals
from datasites.code_requests.canonical import RequestReader, code_id
from policies.errors import RequestUnknown, TooManyPending

MAX_PENDING = 20
MAX_REMEMBERED = 10_000
_NOT_YOURS = "This account has no such request."


class OwnRequests:
    """Answers from an account's own requests alone.

    Guarantees:
        Another account's request and one that does not exist are refused with the same text after the same work.
    """

    def __init__(self, reader: RequestReader, approvals: Approvals, *, max_pending: int = MAX_PENDING) -> None:
        self._reader, self._approvals, self._max_pending = reader, approvals, max_pending
        self._found: set[tuple[str, str]] = set()  # request and account; who submitted a request never changes

    def check(self, request_id: str, account: str) -> None:
        """Returns if the account submitted the request with this whole identifier.

        Raises:
            RequestUnknown: It did not.
        """
        if (request_id, account) in self._found:
            return
        decision = self._approvals.of_request(request_id)
        if decision is None or decision.account != account:
            own = {str(request.id) for request in self._reader.of_account(account)}
            if request_id not in own:
                raise RequestUnknown(_NOT_YOURS)
        if len(self._found) >= MAX_REMEMBERED:
            self._found.clear()
        self._found.add((request_id, account))

    def check_code(self, code: str, account: str) -> None:
        """Returns if the account submitted the request whose code has this identifier.

        Raises:
            RequestUnknown: It did not.
        """
        decision = self._approvals.of_code(code)
        if decision is not None and decision.account == account:
            return
        if code not in {str(code_id(request)) for request in self._reader.of_account(account)}:
            raise RequestUnknown(_NOT_YOURS)

    def check_pending(self, account: str) -> None:
        """Returns if one more request of the account may wait for a decision.

        Raises:
            TooManyPending: As many as may wait do so already.
        """
        own = self._reader.of_account(account)
        pending = sum(self._approvals.of_request(str(request.id)) is None for request in own)
        if pending >= self._max_pending:
            raise TooManyPending(
                f"{pending} of your requests wait for the hospital's decision, and it takes no more at a time. Wait "
                "for some, or ask its people to deny what you do not need."
            )
