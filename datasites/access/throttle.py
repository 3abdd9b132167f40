"""Slows down whoever guesses passwords, without letting them shut out the account's owner.

Failures count for an account *and* the peer they come from, and for the peer over all accounts. A researcher who
signs in from elsewhere is not held up by them, and every pause ends.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_TRIES = 5
FREE_TRIES_OF_A_PEER = 30
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
FORGOTTEN_AFTER_SECONDS = 900.0
MAX_REMEMBERED = 20_000


@dataclass(frozen=True)
class _Failures:
    count: int
    last: float


class SignInThrottle:
    """Failed sign-ins, in bounded memory.

    Guarantees:
        It never asks whether an account exists. A pause is at most `LONGEST_PAUSE_SECONDS` after the last counted
        failure; refused tries during a pause do not lengthen it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def attempt(self, account: str, peer: str) -> int:
        """How many seconds this peer has to wait for a try at this account; 0 begins one.

        A try counts as failed from its beginning, so that many at once are no way around the pauses.
        """
        with self._lock:
            if wait := math.ceil(max(self._wait(key, free) for key, free in _keys(account, peer))):
                return wait
            now = self._clock()
            for key, _ in _keys(account, peer):
                self._failures[key] = _Failures(self._count(key, now) + 1, now)
                self._failures.move_to_end(key)
            while len(self._failures) > MAX_REMEMBERED:
                self._failures.popitem(last=False)
        return 0

    def succeeded(self, account: str, peer: str) -> None:
        """Ends a try that was no guess: forgets this peer's failures at this account, and that this try had begun."""
        with self._lock:
            (own, _), (peers, _) = _keys(account, peer)
            self._failures.pop(own, None)
            if known := self._failures.get(peers):
                self._failures[peers] = _Failures(max(known.count - 1, 0), known.last)

    def _wait(self, key: tuple[str, str], free: int) -> float:
        now = self._clock()
        over = self._count(key, now) - free
        if over < 0:
            return 0.0
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(over, 16), LONGEST_PAUSE_SECONDS)
        return max(self._failures[key].last + pause - now, 0.0)

    def _count(self, key: tuple[str, str], now: float) -> int:
        known = self._failures.get(key)
        return 0 if known is None or now - known.last > FORGOTTEN_AFTER_SECONDS else known.count


def _keys(account: str, peer: str) -> tuple[tuple[tuple[str, str], int], tuple[tuple[str, str], int]]:
    return ((account.strip().lower(), peer), FREE_TRIES), (("", peer), FREE_TRIES_OF_A_PEER)
