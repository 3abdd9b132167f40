"""Questions to a hospital over a line that may break: asked again, at once at first and then after longer pauses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from policies.errors import ClocksDiffer, DatasiteUnreachable
from researcher.hospitals.datasite_client import DatasiteClient
from researcher.studies.retry_policy import Backoff

_T = TypeVar("_T")
NOT_REACHED = (DatasiteUnreachable, ClocksDiffer)


def reaching(
    ask: Callable[[], _T],
    routes: DatasiteClient,
    *,
    seconds: float,
    stopping: threading.Event,
    on_failure: Callable[[str], None],
) -> _T:
    """Asks again while the datasite cannot be reached, as long as bytes come through or there is time.

    That time begins with the first try that failed: a question may have waited for long, and a machine that slept, or a
    process that was stopped, finds every line broken when it goes on.

    Args:
        ask: The question.
        routes: Counts the bytes that come through.
        seconds: How long it is asked again without any.
        stopping: Set when nobody waits for the answer any more.
        on_failure: Told why a try failed, before the next.

    Raises:
        DatasiteUnreachable, ClocksDiffer: It is not reached in that time, or nobody waits any more.
    """
    backoff, moved, since = Backoff(), routes.bytes_moved, None
    while True:
        try:
            return ask()
        except NOT_REACHED as error:
            now = time.monotonic()
            if since is None or routes.bytes_moved > moved:
                backoff = Backoff(at_once=since is None)
                moved, since = routes.bytes_moved, now
            if now - since >= seconds or stopping.is_set():
                raise
            on_failure(error.public)
            backoff.pause(stopping)
