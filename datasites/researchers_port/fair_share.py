"""Each researcher's own share of the port: so many requests at once, so many in a second. Others never wait for them.

What is beyond the share is not refused but waits, without a thread, and is read no further meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from datasites.access.enrolment import current_peer
from datasites.web.port_limits import PortLimits

# So many seconds' requests may come at once after a rest.
BURST_SECONDS = 5.0
# Where a request's scope holds the share that it takes a place of.
_SHARE = "wanwu.share"


class Share:
    """One researcher's."""

    def __init__(self, limits: PortLimits, clock: Callable[[], float]) -> None:
        self.places = asyncio.Semaphore(limits.max_requests_at_once_per_researcher)
        self._interval, self._clock = 1 / limits.max_requests_per_second_per_researcher, clock
        self._next = clock() - BURST_SECONDS

    def wait_seconds(self) -> float:
        """Takes the next turn, and says how long it is until then."""
        now = self._clock()
        turn = max(self._next, now - BURST_SECONDS)
        self._next = turn + self._interval
        return max(turn - now, 0.0)


class FairShare:
    """ASGI middleware around the researchers' app, inside of what names the peer.

    Guarantees:
        The app works on at most `max_requests_at_once_per_researcher` requests of one researcher, whatever others do.
    """

    def __init__(self, app: ASGIApp, limits: PortLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._app, self._limits, self._clock = app, limits, clock
        self._shares: dict[str, Share] = {}  # of enrolled researchers only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request in its turn."""
        peer = current_peer.get()
        if peer is None:
            await self._app(scope, receive, send)
            return
        share = self._shares.setdefault(peer.email, Share(self._limits, self._clock))
        if wait := share.wait_seconds():
            await asyncio.sleep(wait)
        async with share.places:
            await self._app({**scope, _SHARE: share}, receive, send)


@contextlib.asynccontextmanager
async def aside(scope: Scope) -> AsyncIterator[None]:
    """Inside, the request with this scope takes no place of its researcher's share."""
    share: Share | None = scope.get(_SHARE)
    if share is None:
        yield
        return
    share.places.release()
    try:
        yield
    finally:
        await share.places.acquire()
