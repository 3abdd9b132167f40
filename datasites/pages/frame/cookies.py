"""The console's cookies: one that holds a session's identifier, one for a browser without, and two choices.

They carry the datasite's name: browsers keep cookies of one machine's ports together, and it may run several datasites.
"""

from __future__ import annotations

import re
import secrets

from starlette.requests import Request
from starlette.responses import Response

from datasites.pages.frame.views import Onward
from datasites.pages.frame.visit import Visit

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,100}")
KEPT_CHOICE_SECONDS = 365 * 86_400


class CookieJar:
    """Reads and sets cookies.

    Guarantees:
        No script reads them, no other site's page has them sent, and by TLS no connection without it.

    Args:
        name: The datasite's.
        secure: Whether browsers come by TLS; on loopback without it some browsers keep no secure cookie.
    """

    def __init__(self, name: str, *, secure: bool) -> None:
        self._prefix = f"{'__Host-' if secure else ''}wanwu-{name}"
        self._secure = secure

    def session(self, request: Request) -> str:
        """The session's identifier that the browser sent, or an empty text."""
        return self._read(request, "session")

    def browser(self, request: Request) -> str:
        """What the browser sent to be told from others, or something new."""
        return self._read(request, "browser") or secrets.token_urlsafe(32)

    def choice(self, request: Request, name: str) -> str:
        """A choice that the browser keeps, or an empty text."""
        return self._read(request, name)

    def keep_browser(self, response: Response, visit: Visit) -> None:
        """Has a browser without a session keep what tells it from others."""
        if visit.session is None:
            self._set(response, "browser", visit.browser)

    def keep(self, response: Response, onward: Onward) -> None:
        """Sets what an answer says: a session that begins or ends, and choices."""
        if onward.session is not None:
            self._set(response, "session", onward.session, seconds=None if onward.session else 0)
        for name, value in onward.cookies.items():
            self._set(response, name, value, seconds=KEPT_CHOICE_SECONDS)

    def _read(self, request: Request, name: str) -> str:
        value = request.cookies.get(f"{self._prefix}-{name}", "")
        return value if _PLAIN.fullmatch(value) else ""

    def _set(self, response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
        response.set_cookie(
            f"{self._prefix}-{name}",
            value,
            max_age=seconds,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )
