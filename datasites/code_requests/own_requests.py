"""Finds an account's own code requests. Of others it learns nothing, not even whether they exist."""

from __future__ import annotations

from datasites.code_requests.request_index import RequestIndex
from policies.errors import RequestUnknown, TooManyPending

MAX_PENDING = 20
_NOT_YOURS = "This account has no such request."


class OwnRequests:
    """Answers from an account's own requests alone.

    Guarantees:
        Another account's request and one that does not exist are refused with the same text after the same work.
    """

    def __init__(self, index: RequestIndex, *, max_pending: int = MAX_PENDING) -> None:
        self._index, self._max_pending = index, max_pending

    def check(self, request_id: str, account: str) -> None:
        """Returns if the account submitted the request with this whole identifier.

        Raises:
            RequestUnknown: It did not.
        """
        if not self._index.is_of(account, request_id=request_id):
            raise RequestUnknown(_NOT_YOURS)

    def check_code(self, code: str, account: str) -> None:
        """Returns if the account submitted the request whose code has this identifier.

        Raises:
            RequestUnknown: It did not.
        """
        if not self._index.is_of(account, code_id=code):
            raise RequestUnknown(_NOT_YOURS)

    def check_pending(self, account: str) -> None:
        """Returns if one more request of the account may wait for a decision.

        Raises:
            TooManyPending: As many as may wait do so already.
        """
        pending = self._index.pending_of(account)
        if pending >= self._max_pending:
            raise TooManyPending(
                f"{pending} of your requests wait for the hospital's decision, and it takes no more at a time. Wait "
                "for some, or ask its people to deny what you do not need."
            )
