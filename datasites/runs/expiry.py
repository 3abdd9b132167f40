"""Removes weights, updates and local parts that no study needs any more, and nothing that an unfinished one needs."""

from __future__ import annotations

import logging
import threading

from datasites.approvals.approvals import Approvals
from datasites.runs.blobs import BlobStore
from datasites.runs.local_parts.kept_parts import LocalParts
from datasites.runs.queue import Run, RunQueue

log = logging.getLogger(__name__)
EVERY_SECONDS = 3600.0


class Expiry:
    """Looks through a datasite's blobs and local parts at its start and every hour."""

    def __init__(self, blobs: BlobStore, queue: RunQueue, approvals: Approvals, local_parts: LocalParts) -> None:
        self._blobs, self._queue, self._approvals, self._local_parts = blobs, queue, approvals, local_parts
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
            is done, and that much longer; the local part of a study stays until it ended. If that cannot be found out,
            nothing is removed.
        """
        self._local_parts.expire(lambda: {run.request_id for run in self._live()})
        needed = {(run.account, run.update_digest if run.state == "done" else run.weights) for run in self._live()}
        return self._blobs.expire(needed, now=now)

    def _live(self) -> list[Run]:
        """The runs of requests that are approved and have not ended."""
        runs = self._queue.list()
        decided = {request: self._approvals.of_request(request) for request in {run.request_id for run in runs}}
        live = {request for request, found in decided.items() if found is not None and found.decision == "approved"}
        return [run for run in runs if run.request_id in live]

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                if removed := self.look():
                    log.info("%d expired blobs removed", removed)
            except Exception:  # the next look may work; until then nothing is removed
                log.exception("expired blobs could not be removed")
            self._stopping.wait(EVERY_SECONDS)
