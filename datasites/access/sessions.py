"""Sessions of the hospital's people in the console: who signed in, until when. They end with the datasite's process.

A browser holds a random identifier, the datasite its digest.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from datasites.access.staff import Person, Staff
from policies.errors import SignInFailed

IDENTIFIER_BYTES = 32
MOST_SESSIONS = 1000
MOST_NOTICES = 10


@dataclass
class Session:
    """One person's, in one browser.

    Attributes:
        person: Who, as their account was when they signed in.
        mark: What `Staff.known` said of the account then.
        began: On the clock of `Sessions`.
        seen: When it was last used.
        notices: What the next page tells first.
        new_secret: Of a second factor that the person is setting up and has not confirmed.
    """

    person: Person
    mark: str
    began: float
    seen: float
    notices: list[str] = field(default_factory=list)
    new_secret: str = ""

    def tell(self, text: str) -> None:
        """Has the next page tell this first."""
        self.notices[:] = [*self.notices[1 - MOST_NOTICES :], text]

    def take_notices(self) -> tuple[str, ...]:
        """What to tell now; it is told once."""
        taken, self.notices[:] = tuple(self.notices), []
        return taken


class Sessions:
    """The open sessions of one datasite.

    Guarantees:
        A session is found only within `idle_seconds` of its last use and `longest_seconds` of its beginning, and only
        while its account is as it was at the sign-in: removed, in another role, with another password, token or second
        factor, it has no session any more. A sign-in makes a new identifier of 256 random bits, of which only the
        digest is kept. At most `MOST_SESSIONS` are kept; the one that was unused for longest goes first.
    """

    def __init__(
        self,
        staff: Staff,
        *,
        idle_seconds: float,
        longest_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._staff, self._idle, self._longest, self._clock = staff, idle_seconds, longest_seconds, clock
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Session] = OrderedDict()

    def begin(self, person: Person, *, notice: str = "") -> str:
        """Opens a session and returns its identifier, for this person's browser alone.

        Args:
            person: Whose it is.
            notice: What its first page tells first.

        Raises:
            SignInFailed: The person has no account any more.
        """
        known = self._staff.known(person.name)
        if known is None:
            raise SignInFailed("This account has ended.")
        identifier, now = secrets.token_urlsafe(IDENTIFIER_BYTES), self._clock()
        notices = [notice] if notice else []
        with self._lock:
            self._open[_digest(identifier)] = Session(known.person, known.mark, now, now, notices)
            while len(self._open) > MOST_SESSIONS:
                self._open.popitem(last=False)
        return identifier

    def find(self, identifier: str, *, used: bool = True) -> Session | None:
        """The open session of that identifier, or None.

        Args:
            identifier: As the browser sent it.
            used: Whether a person did something; a page that only renews itself does not keep a session open.
        """
        digest, now = _digest(identifier), self._clock()
        with self._lock:
            found = self._open.get(digest)
            if found is None:
                return None
            late = now - found.seen > self._idle or now - found.began > self._longest
            known = self._staff.known(found.person.name)
            if late or known is None or known.mark != found.mark:
                del self._open[digest]
                return None
            if used:
                found.seen = now
                self._open.move_to_end(digest)
            return found

    def end(self, identifier: str) -> None:
        """Ends a session; nothing happens where there is none."""
        with self._lock:
            self._open.pop(_digest(identifier), None)


def _digest(identifier: str) -> str:
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()
