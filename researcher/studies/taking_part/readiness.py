"""Readiness of a session that goes on with a round: its evaluation's libraries are loaded while the hospitals work.

The round that is under way is asked for without torch. Its evaluation needs torch, which takes seconds to load, in
which a hospital that waits for its next ticket would do nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor

from researcher.evaluation import evaluation
from researcher.studies.remote_round import RoundEvent

_AT_THE_ROUND = ("queued", "running", "receiving", "done")


class Readiness:
    """Loads once a hospital has answered about the round: before, loading would only slow down asking for it."""

    def __init__(self, pool: Executor) -> None:
        """Loads nothing yet.

        Args:
            pool: Where to load.
        """
        self._pool = pool
        self._lock, self._begun = threading.Lock(), False

    def before(self, on_event: Callable[[RoundEvent], None]) -> Callable[[RoundEvent], None]:
        """What is told of the hospitals, seen here first.

        Args:
            on_event: Told next.
        """

        def told(event: RoundEvent) -> None:
            if event.state in _AT_THE_ROUND:
                self._begin()
            on_event(event)

        return told

    def _begin(self) -> None:
        with self._lock:
            begun, self._begun = self._begun, True
        if not begun:
            self._pool.submit(evaluation.load)
