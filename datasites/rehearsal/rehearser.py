"""Takes rehearsals in turn, one at a time, while no run is queued or running; a run that comes ends the rehearsal."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from datasites.audit_log.log import AuditLog
from datasites.rehearsal.estimate import estimate
from datasites.rehearsal.mock_round import Asked, MockRounds, Seen
from datasites.rehearsal.rehearsals import Rehearsal, Rehearsals
from datasites.runs.gpus import GpuLeases
from datasites.runs.queue import RunQueue
from datasites.runs.turns import gpus_of
from policies.errors import RunCancelled, WanwuError

log = logging.getLogger(__name__)

# How long no run must have been queued or running: a study's next round is asked for sooner than that.
QUIET_SECONDS = 10.0
_RETRY_SECONDS = 10.0
_NO_WORDS = (
    "The rehearsal could not be done at the hospital, for a reason that is not the plan's. Ask the hospital to look at "
    "its log."
)


class Rehearser:
    """Rehearses the requests of one datasite, in a thread of its own.

    Args:
        rehearsals: Whose turn it is.
        queue: The real runs, which go before.
        gpus: Leased to a rehearsal as to a run, and given back when a run comes.
        rounds: Runs one on the mock.
        asked: What a request asks for; raises if it cannot be read, or was denied or ended meanwhile.
        audit: The hospital's audit log.
        folder: Where rehearsals' files lie, all removed at each start.
        now: Seconds of a clock.
    """

    def __init__(
        self,
        *,
        rehearsals: Rehearsals,
        queue: RunQueue,
        gpus: GpuLeases,
        rounds: MockRounds,
        asked: Callable[[str], Asked],
        audit: AuditLog,
        folder: Path,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rehearsals, self._queue, self._gpus, self._rounds = rehearsals, queue, gpus, rounds
        self._asked, self._audit, self._folder, self._now = asked, audit, folder, now
        self._busy_at = -QUIET_SECONDS + now()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="rehearsals", daemon=True)

    def start(self) -> None:
        """Has those wait again that a stop interrupted, and begins."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._rehearsals.recover()
        self._thread.start()

    def stop(self) -> None:
        """Ends the one that runs; it waits again at the next start."""
        self._stopping.set()
        self._rehearsals.wake()
        self._queue.wake()
        self._thread.join(timeout=15)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step()
            except (sqlite3.Error, OSError):  # a full or read-only disk: it is taken up again
                log.exception("a rehearsal could not be written down; trying again in %g seconds", _RETRY_SECONDS)
                self._stopping.wait(_RETRY_SECONDS)

    def step(self) -> None:
        """Rehearses the next request if its time has come, else waits for that a while."""
        waiting = self._rehearsals.next()
        if waiting is None:
            self._rehearsals.wait(lambda: self._stopping.is_set() or self._rehearsals.next() is not None, 5.0)
            return
        if not self._queue.is_idle():
            self._busy_at = self._now()
            self._queue.wait(lambda: self._stopping.is_set() or self._queue.is_idle(), 1.0)
        elif (left := self._busy_at + QUIET_SECONDS - self._now()) > 0:
            self._queue.wait(lambda: self._stopping.is_set() or not self._queue.is_idle(), left)
        else:
            self._rehearse(waiting)

    def _rehearse(self, waiting: Rehearsal) -> None:
        """Rehearses a request, and writes down what it came to.

        Guarantees:
            What is written is a function of the plan, the mock and this machine. No run was queued or running
            meanwhile, as the queue shows runs: else nothing is written and the request waits again, so that no time
            tells how a run's work goes. The ledger is not known here.
        """
        seen = Seen()
        self._rehearsals.begin(waiting)
        try:
            ended = self._ended(waiting, seen)
        except RunCancelled:
            ended = None
        except WanwuError as error:
            log.warning("rehearsal of %s failed: %s (%s)", waiting.request_id, error.public, error.private)
            ended = replace(
                waiting,
                state="failed",
                reason=f"{error.code}: {error.public}",
                peak_memory_mb=seen.peak_memory_mb,
                traceback="\n".join(seen.traceback),
            )
        except Exception:
            log.exception("rehearsal of %s could not be done", waiting.request_id)
            ended = replace(waiting, state="impossible", reason=_NO_WORDS)
        if ended is None or self._given_up():
            self._rehearsals.put_back(waiting)
            self._busy_at = self._now()
            return
        self._rehearsals.end(ended)
        self._audit.write("request rehearsed", request=ended.request_id, answer=ended.state)

    def _ended(self, waiting: Rehearsal, seen: Seen) -> Rehearsal:
        """What a rehearsal came to that ended by itself.

        Raises:
            RunCancelled: A run wants the machine, or the datasite stops.
            WanwuError: It failed.
        """
        try:
            asked = self._asked(waiting.request_id)
        except WanwuError as error:
            return replace(waiting, state="impossible", reason=f"{error.code}: {error.public}")
        gpus = self._gpus.take(gpus_of(asked.plan, self._gpus))
        if gpus is None:
            raise RunCancelled("The GPUs are taken.")
        try:
            measured = self._rounds.run(asked, gpus, seen, given_up=self._given_up)
        finally:
            self._gpus.give_back(gpus)
            self._queue.wake()
        found = estimate(asked.plan, measured, public_size=asked.schema.public_size)
        return replace(
            waiting,
            state="passed",
            seconds_a_step=found.seconds_a_step,
            peak_memory_mb=seen.peak_memory_mb,
            estimated_seconds_a_round=found.seconds_a_round,
            estimated_hours=found.hours,
            assumptions=found.assumptions,
        )

    def _given_up(self) -> bool:
        """Whether a run wants the machine, or the datasite stops."""
        return self._stopping.is_set() or not self._queue.is_idle()
