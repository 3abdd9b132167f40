"""Codes with which a person who holds a token opens the console in a browser: for a minute, and once."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from datasites.access.staff import Person
from policies.errors import SignInFailed

VALID_SECONDS = 60.0
MOST_CODES = 100


class _Code(NamedTuple):
    person: Person
    until: float


class LinkCodes:
    """The codes that were given and not used.

    Guarantees:
        A code opens one session, within `VALID_SECONDS`, for the person that asked for it. Only digests are kept.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._given: OrderedDict[str, _Code] = OrderedDict()

    def give(self, person: Person) -> str:
        """A new code for this person."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._given[_digest(code)] = _Code(person, self._clock() + VALID_SECONDS)
            while len(self._given) > MOST_CODES:
                self._given.popitem(last=False)
        return code

    def take(self, code: str) -> Person:
        """Whose code it was; it is no code any more.

        Raises:
            SignInFailed: It is none, was used, or is too old.
        """
        with self._lock:
            found = self._given.pop(_digest(code), None)
        if found is None or self._clock() > found.until:
            raise SignInFailed(
                f"This address opens the console once, within {VALID_SECONDS:.0f} seconds. "
                "Run 'python -m datasites console' again."
            )
        return found.person


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
