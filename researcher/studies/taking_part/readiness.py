"""Readiness of a session that goes on with a round: what its next steps need is loaded while the hospitals work.

The round that is under way is asked for without PySyft and without torch. Its evaluation needs torch, asking for the
next round PySyft; both take seconds to load, in which a hospital that waits for its next ticket does nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor

from policies.errors import WanwuError
from researcher.evaluation import evaluation
from researcher.hospitals.hospital import Hospital
from researcher.studies.remote_round import RoundEvent

_AT_THE_ROUND = ("queued", "running", "receiving", "done")


class Readiness:
    """Loads once a hospital has answered about the round: before, loading would only slow down asking for it."""

    def __init__(self, pool: Executor, dataset: str, hospitals: Callable[[], Iterable[Hospital]]) -> None:
        """Loads nothing yet.

        Args:
            pool: Where to load.
            dataset: What the next round is asked on.
            hospitals: Those that are connected.
        """
        self._pool, self._dataset, self._hospitals = pool, dataset, hospitals
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
            self._pool.submit(self._load)

    def _load(self) -> None:
        evaluation.load()
        for hospital in self._hospitals():
            self._pool.submit(self._open, hospital)

    def _open(self, hospital: Hospital) -> None:
        with contextlib.suppress(WanwuError):  # it is told when the hospital is asked
            hospital.asset(self._dataset)
