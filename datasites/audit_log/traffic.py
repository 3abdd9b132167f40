"""Who signs in, and which calls are refused, as counted audit entries. Nothing here crosses the boundary.

An entry names an account only if it is one of the datasite's own; whatever else a caller claims to be is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

from datasites.audit_log.counted_events import CountedEvents
from policies.errors import SignInFailed, WanwuError

_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")


class KnownAccounts(Protocol):
    """What `Traffic` needs to know of accounts."""

    def email(self, account: str) -> str:
        """The address that belongs to a public key; raises SignInFailed for one that is not known."""

    def researchers(self) -> list[str]:
        """All researchers' addresses."""


class Traffic:
    """Counts what comes in over PySyft's routes."""

    def __init__(self, counted: CountedEvents, accounts: KnownAccounts) -> None:
        self._counted, self._accounts = counted, accounts

    def refused_call(self, error: WanwuError, account: str) -> None:
        """Counts a refused PySyft call of whoever holds that public key."""
        self._counted.add("call refused", account=self._known(account), code=error.code)

    def _known(self, account: str) -> str:
        try:
            return self._accounts.email(account)
        except SignInFailed:
            return ""


def counting_refusals(counted: CountedEvents, admit: Callable[_Asked, _Answer]) -> Callable[_Asked, _Answer]:
    """Admission to the run queue that counts the rounds it refuses."""

    def admitted(*asked: _Asked.args, **named: _Asked.kwargs) -> _Answer:
        try:
            return admit(*asked, **named)
        except WanwuError as error:
            counted.add("round refused", code=error.code)
            raise

    return admitted
