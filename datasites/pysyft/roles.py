"""An account's role, looked up once a call. PySyft asks its table of accounts anew for each row that a call touches.

Only a lookup is spared: the role is PySyft's own, as its table has it when the call first asks, and is forgotten with
the call. While a call is served no role changes, since who adds or revokes an account waits for the call's end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from syft.service.user.user_roles import ServiceRole

# PySyft's stashes are handed nothing of the call that they are asked for.
_of_this_call: ContextVar[dict[str, ServiceRole] | None] = ContextVar("roles_of_this_call", default=None)


@contextmanager
def looked_up_once() -> Iterator[None]:
    """Inside, in this thread, each account's role is looked up once; also in a call that PySyft makes of itself."""
    known = _of_this_call.get()
    token = _of_this_call.set({} if known is None else known)
    try:
        yield
    finally:
        _of_this_call.reset(token)


def install(server: Any) -> None:
    """Makes the stashes of a server's services remember roles for the length of a call."""
    for service in server.services:
        if (stash := getattr(service, "stash", None)) is not None:
            stash.get_role = _Remembering(stash.get_role)


class _Remembering:
    """One stash's lookup of roles."""

    def __init__(self, look_up: Any) -> None:
        self._look_up = look_up

    def __call__(self, credentials: Any, session: Any = None) -> ServiceRole:
        known = _of_this_call.get()
        if known is None:
            found: ServiceRole = self._look_up(credentials, session=session)
            return found
        account = str(credentials)
        if account not in known:
            known[account] = self._look_up(credentials, session=session)
        return known[account]
