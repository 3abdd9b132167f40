"""Peers that are turned away before HTTP: counted for the hospital, and let in no faster than they can be refused."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

log = logging.getLogger(__name__)

REPORT_SECONDS = 1.0
# Of one address: so many refusals are free, and come back at so many a second.
FREE_REFUSALS, REFUSALS_PER_SECOND = 20, 4.0
MAX_ADDRESSES = 4096
Refused = tuple[str, str]
"""Reason, of a small set; and the account, where the certificate names one of the hospital's own."""


class Refusals:
    """Belongs to one event loop. What is told may write to a disk, so it is told in a thread, once in a while."""

    def __init__(self, tell: Callable[[str, str, int], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins.

        Args:
            tell: Called with a reason, an account or "", and how many there were.
            clock: Seconds, monotonic.
        """
        self._tell, self._clock = tell, clock
        self._untold: Counter[Refused] = Counter()
        self._free_at: OrderedDict[str, float] = OrderedDict()
        self._some = asyncio.Event()

    def add(self, reason: str, *, account: str = "") -> None:
        """Counts a peer that was refused."""
        self._untold[reason, account] += 1
        self._some.set()

    def hold_against(self, address: str) -> None:
        """What comes from this address was refused after it had cost a handshake."""
        now = self._clock()
        self._free_at[address] = max(self._free_at.get(address, now), now) + 1 / REFUSALS_PER_SECOND
        self._free_at.move_to_end(address)
        if len(self._free_at) > MAX_ADDRESSES:
            self._free_at.popitem(last=False)

    def is_held_off(self, address: str) -> bool:
        """Whether so much is held against an address that it is not listened to for a moment."""
        return self._free_at.get(address, 0.0) - self._clock() > FREE_REFUSALS / REFUSALS_PER_SECOND

    async def report(self) -> None:
        """Tells what was counted, until it is cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            await asyncio.to_thread(self._say, self._take())
            await asyncio.sleep(REPORT_SECONDS)

    def tell_all(self) -> None:
        """Tells what was counted since the last time."""
        self._say(self._take())

    def _take(self) -> Counter[Refused]:
        counts, self._untold = self._untold, Counter()
        return counts

    def _say(self, counts: Counter[Refused]) -> None:
        for (reason, account), count in counts.items():
            self._tell(reason, account, count)
        if counts:
            log.warning("%d connections refused, the last for: %s", counts.total(), next(reversed(counts))[0])
