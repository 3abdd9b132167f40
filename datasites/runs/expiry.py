"""Removes weights and updates that no study needs any more. What an unfinished study needs is never removed."""

from __future__ import annotations

import logging
import threading

from datasites.approvals.approvals import Approvals
from datasites.runs.blobs import BlobStore
from datasites.runs.queue import RunQueue

log = logging.getLogger(__name__)
EVERY_SECONDS = 3600.0


class Expiry:
    """Looks through a datasite's blobs at its start and every hour."""

    def __init__(self, blobs: BlobStore, queue: RunQueue, approvals: Approvals) -> None:
        self._blobs, self._queue, self._approvals = blobs, queue, approvals
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="expiry", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends, and waits for a look that is under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def look(self, *, now: float | None = None) -> int:
        """Removes what has expired; returns how many blobs.

        Guarantees:
            The updates of a study stay until it ended, and the expiry time longer; the weights of a round stay until it
            is done, and that much longer. If that cannot be found out, nothing is removed.
        """
        return self._blobs.expire(self._needed(), now=now)

    def _needed(self) -> set[tuple[str, str]]:
        needed = set()
        for run in self._queue.list():
            decision = self._approvals.of_request(run.request_id)
            if decision is not None and decision.decision == "approved":
                needed.add((run.account, run.update_digest if run.state == "done" else run.weights))
        return needed

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                if removed := self.look():
                    log.info("%d expired blobs removed", removed)
            except Exception:  # the next look may work; until then nothing is removed
                log.exception("expired blobs could not be removed")
            self._stopping.wait(EVERY_SECONDS)
