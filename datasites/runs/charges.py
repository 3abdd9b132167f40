"""Charges runs to the ledger: a round is charged before its run reads a picture, and ends once.

The end of a charged round is final, with an update or without. What the hospital itself cut off has not ended: nobody
saw anything of it, and it is run again with the weights that its start has pinned.
"""

from __future__ import annotations

import contextlib
import logging
import threading

from datasites.audit_log.ledger_witness import head_of, named
from datasites.audit_log.log import AuditLog
from datasites.runs.queue import ACTIVE, Run, RunQueue
from policies.budget.steps import GaussianSteps
from policies.errors import (
    AuditUnavailable,
    BooksBehind,
    DiskFull,
    LedgerBroken,
    NotReserved,
    RunCancelled,
    RunLost,
    StorageUnavailable,
    WanwuError,
)
from policies.ledger.ledger import Ledger
from policies.ledger.reservations import NOTHING_LEFT

log = logging.getLogger(__name__)

CHARGED = "Its round was charged when it started and is not run again: go on with the next round."
AGAIN = "Its round was charged when it started; asked for again, with the same weights, it costs nothing more."

# The hospital could not write something down: like a crash, and no way for a run to be had again.
OWN_TROUBLE = (LedgerBroken, BooksBehind, AuditUnavailable, StorageUnavailable, DiskFull)


class RoundCharges:
    """Charges and ends the rounds of one datasite's runs. Cancelling one and starting it exclude each other."""

    def __init__(self, queue: RunQueue, ledger: Ledger, audit: AuditLog) -> None:
        self._queue, self._ledger, self._audit = queue, ledger, audit
        self._deciding = threading.Lock()
        self._going: set[str] = set()  # runs that were told to go and have not ended yet

    def start(self, run: Run, spend: GaussianSteps | None, **told: int) -> None:
        """Charges a run's round and pins its weights; the run may read pictures after this returns.

        Guarantees:
            On return the charge is on disk and the audit log names it. A run that was cancelled before is not charged.

        Args:
            run: The run, closed in and waiting.
            spend: What its round spends.
            **told: Further details for the audit log.

        Raises:
            RunCancelled: It was cancelled meanwhile.
            WanwuError: It is not covered, was pinned to other weights, has ended, or cannot be written down.
        """
        with self._deciding:
            self._check_running(run)
            entries = self._ledger.start(
                request_id=run.request_id, round_index=run.round, spend=spend, weights_digest=run.weights
            )
            self._audit.write(
                "run started",
                run=run.id,
                request=run.request_id,
                round=run.round,
                attempt=run.attempt,
                **told,
                **named(len(entries), entries[-1].hash),
            )
            self._going.add(run.id)

    def commit(self, run: Run, update_digest: str) -> None:
        """Ends a run's round with its update, which may be read after this returns and the audit log names it.

        Raises:
            RunCancelled: It was cancelled meanwhile.
            WanwuError: As `Ledger.commit`.
        """
        with self._deciding:
            self._check_running(run)
            self._ledger.commit(request_id=run.request_id, round_index=run.round, update_digest=update_digest)
            self._going.discard(run.id)

    def update_of(self, run: Run) -> str | None:
        """The digest of the update that a run's round has given already; None if it is still to be run.

        Raises:
            RunLost: It has ended without one.
        """
        given = self._ledger.committed(request_id=run.request_id, round_index=run.round)
        if given == NOTHING_LEFT:
            raise RunLost(f"The round ended without an update. {CHARGED}")
        return given

    def finish(self, run: Run, update_digest: str) -> None:
        """Names the release and the ledger's head in the audit log, and then hands the update out."""
        self._write("run done", run, update=update_digest)
        self._queue.finish(run.id, update_digest)

    def pass_canary(self, run: Run) -> None:
        """Ends a canary that did what it should. The ledger does not know of it: nothing was read, nothing is spent."""
        self._audit.write("canary passed", request=run.request_id, run=run.id)
        self._queue.finish(run.id, "")

    def fail(self, run: Run, error: WanwuError) -> None:
        """Ends a run that gave no update, and its round where that is over."""
        error = self._lose(run, error)
        log.warning("run %s: %s %s", run.id, error.public, error.private)
        try:
            self._write("run failed", run, code=error.code, detail=error.private)
        except WanwuError as unwritten:  # nothing was let out: the failure itself need not wait for the log
            log.warning("run %s: its failure is not in the audit log: %s", run.id, unwritten.private)
        self._queue.fail(run.id, code=error.code, reason=error.public)

    def forget(self, run: Run) -> None:
        """A run's process is gone, whatever became of its round: the next one was not told to go."""
        with self._deciding:
            self._going.discard(run.id)

    def cancel(self, run: Run, *, by: str) -> None:
        """Cancels a queued or running run. One whose round has started is charged, and its round is over.

        Raises:
            WanwuError: The end cannot be written down; the run goes on.
        """
        with self._deciding:
            found = self._queue.by_id(run.id)
            if found is None or found.state not in ACTIVE:
                return
            if self._ledger.committed(run.request_id, run.round) not in (None, NOTHING_LEFT):
                return  # its update is on its way out
            stopped: WanwuError = RunCancelled(
                f"Cancelled by {by} before it started; nothing was read and nothing was spent. Ask for the round again."
            )
            if started := self._ledger.started(run.request_id, run.round) is not None:
                self._end_with_nothing(run)
                stopped = _lost(RunCancelled(f"Cancelled by {by}; nothing left the hospital."))
            self._queue.fail(run.id, code=stopped.code, reason=stopped.public, state="cancelled")
            self._audit.write("run cancelled", run=run.id, by=by, charged=started, **head_of(self._ledger))

    def _lose(self, run: Run, error: WanwuError) -> WanwuError:
        """Ends the round of a run that gave no update; returns what is told of it.

        Guarantees:
            A round whose run was told to go never runs again, unless the hospital itself could not write its end down.
        """
        with self._deciding:
            try:
                if run.id in self._going and not isinstance(error, OWN_TROUBLE):
                    self._end_with_nothing(run)
                    return _lost(error)
                started = self._ledger.started(run.request_id, run.round) is not None
            except LedgerBroken as broken:
                return broken
        if started and not isinstance(error, RunLost):
            return type(error)(f"{error.public} {AGAIN}", private=error.private)
        return error

    def _check_running(self, run: Run) -> None:
        found = self._queue.by_id(run.id)
        if found is None or found.state != "running":
            raise RunCancelled("The run was cancelled; nothing left the hospital.")

    def _end_with_nothing(self, run: Run) -> None:
        with contextlib.suppress(NotReserved):  # the request has ended: none of its rounds can run again anyway
            self._ledger.commit(request_id=run.request_id, round_index=run.round, update_digest=NOTHING_LEFT)

    def _write(self, event: str, run: Run, **told: str) -> None:
        self._audit.write(event, run=run.id, request=run.request_id, round=run.round, **told, **head_of(self._ledger))


def _lost(error: WanwuError) -> RunLost:
    return RunLost(f"{error.public} {CHARGED}", private=f"{error.code} {error.private}".strip())
