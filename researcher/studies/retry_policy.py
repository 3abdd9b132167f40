"""The retry policy: how long a researcher's side waits for a hospital, and how often it tries again."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from policies.settings import setting

_FIRST_SECONDS, _MOST_SECONDS = 0.5, 5.0


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for hospitals; each setting says what it is.

    These are the researcher's own and stand in no plan: they change nothing of what a hospital computes, and whoever
    goes on with a study over other links may choose others.
    """

    round_deadline: float | None = setting(
        "seconds after which a round ends with the client updates that came, once they are min_clients; what comes "
        "later is a late update; without one a round waits for every hospital that is at work",
        default=None,
        kind=float,
    )
    grace_seconds: float = setting(
        "how long more decisions are waited for once min_clients hospitals approved; who approves later joins then",
        default=60.0,
    )
    unreachable_seconds: float = setting(
        "how long a round waits for a datasite that is out of reach, such as in a restart; each byte that comes "
        "through begins this time anew",
        default=60.0,
    )
    stalled_seconds: float = setting(
        "how long a hospital's round may show no progress, neither a byte nor a change of its run's state, and how "
        "long too few hospitals are waited for",
        default=24 * 3600.0,
    )
    attempts: int = setting(
        "how often a hospital is asked for a round whose run could not be started, which costs nothing", default=2
    )


class Backoff:
    """Pauses between tries: each about twice the one before, up to five seconds, shortened at random by up to a half.

    Drawn, so that many who lost the same hospital at the same time do not all come back at the same time (Brooker,
    "Exponential Backoff And Jitter", 2015).
    """

    def __init__(self) -> None:
        self._tries = 0

    def pause(self, stopping: threading.Event) -> None:
        """Waits for the next try, or until `stopping` is set."""
        longest = min(_FIRST_SECONDS * 2.0**self._tries, _MOST_SECONDS)
        self._tries = min(self._tries + 1, 16)
        drawn = int.from_bytes(os.urandom(4)) / (1 << 32)
        stopping.wait(longest * (1 + drawn) / 2)
