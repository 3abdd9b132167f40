"""The retry policy: how long a researcher's side waits for a hospital, and how often it tries again."""

from __future__ import annotations

import math
import os
import sys
import threading
from dataclasses import dataclass

from policies.errors import ConfigError
from policies.settings import setting

_FIRST_SECONDS, _MOST_SECONDS = 0.5, 5.0
# Of each setting, the least that it may be.
_LEAST = {
    "round_deadline": 0.0,
    "round_deadline_factor": 1.0,
    "grace_seconds": 0.0,
    "unreachable_seconds": 0.0,
    "stalled_seconds": 0.0,
    "attempts": 1,
}
_LEFT_OUT = ("round_deadline", "round_deadline_factor")  # which may be None


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
    round_deadline_factor: float | None = setting(
        "how many times as long as until the min_clients-th client update came a round waits for the others, so that "
        "it fits plans of any size: 1.5 gives them half as long again; what comes later is a late update; at least 1; "
        "beside a round_deadline, whichever ends the round first",
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

    def __post_init__(self) -> None:
        """Raises ConfigError for what is no time to wait."""
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is None and name in _LEFT_OUT:
                continue
            whole = name == "attempts"
            of_kind = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            if not of_kind or not least <= value <= sys.float_info.max:
                kind = "whole" if whole else "finite"
                raise ConfigError(f"{name} is {str(value)[:40]}; it must be a {kind} number of at least {least}.")

    @property
    def leaves_behind(self) -> bool:
        """Whether a round may end while hospitals are still at work."""
        return self.round_deadline is not None or self.round_deadline_factor is not None

    def longest(self, enough_after: float) -> float:
        """Seconds after its beginning when a round ends without those that are still at work.

        Args:
            enough_after: Seconds until as many client updates were there as the round needs.

        Returns:
            Infinity where every hospital that is at work is waited for.
        """
        deadline = math.inf if self.round_deadline is None else self.round_deadline
        most = math.inf if self.round_deadline_factor is None else self.round_deadline_factor * enough_after
        return min(deadline, most)


class Backoff:
    """Pauses between tries: none before the second, as most lines that broke are there again; then each about twice the
    one before, up to five seconds, shortened at random by up to a half.

    Drawn, so that many who lost the same hospital at the same time do not all come back at the same time (Brooker,
    "Exponential Backoff And Jitter", 2015).
    """

    def __init__(self, *, at_once: bool = True) -> None:
        """Has paused for nothing yet.

        Args:
            at_once: Whether there is no pause before the second try; not where what failed took its time.
        """
        self._tries = -1 if at_once else 0

    def pause(self, stopping: threading.Event) -> None:
        """Waits for the next try, or until `stopping` is set."""
        tries, self._tries = self._tries, min(self._tries + 1, 16)
        if tries < 0:
            return
        longest = min(_FIRST_SECONDS * 2.0**tries, _MOST_SECONDS)
        drawn = int.from_bytes(os.urandom(4)) / (1 << 32)
        stopping.wait(longest * (1 + drawn) / 2)
