"""Signed calls that a datasite has served, so that none is served twice.

A call carries an identifier of its own, so a call that comes again to the last byte is a copy of the first.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from policies.errors import NotAllowed

MAX_REMEMBERED = 100_000


class SeenCalls:
    """Digests of the calls of each account, the oldest forgotten first.

    Guarantees:
        A signed message of an account is let through once, until `remembered` newer ones of the same account have
        come. No account's calls push out another's.
    """

    def __init__(self, remembered: int = MAX_REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: dict[str, OrderedDict[bytes, None]] = {}
        self._lock = threading.Lock()

    def check(self, account: str, message: bytes) -> None:
        """Remembers a message whose signature holds.

        Raises:
            NotAllowed: It came before.
        """
        digest = hashlib.sha256(message).digest()
        with self._lock:
            seen = self._seen.setdefault(account, OrderedDict())
            if digest in seen:
                raise NotAllowed("This call was made before. Each call is served once; make it again as a new one.")
            seen[digest] = None
            if len(seen) > self._remembered:
                seen.popitem(last=False)
