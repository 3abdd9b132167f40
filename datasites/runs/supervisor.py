"""Takes runs from the queue, gives each to a process of its own, and lets out what the output contract allows.

The order is fixed: ledger, audit log, pictures; then contract, blob, local part, the public grid's next time, ledger,
audit log, queue. Stopped between any two of them, the next start finds either a run to do again with the same weights,
of which nobody has seen anything, or a charged update to hand out again.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from datasites.approvals.approval import Approval
from datasites.approvals.approvals import Decision
from datasites.audit_log.log import AuditLog
from datasites.files.state_folder import StateFolder
from datasites.runs.admission import check_tries
from datasites.runs.blobs import BlobStore
from datasites.runs.charges import RoundCharges
from datasites.runs.enclosure import Enclosure
from datasites.runs.gpus import Gpu, GpuLeases
from datasites.runs.local_parts.kept_parts import LocalParts
from datasites.runs.processes.kernels.ready_kernels import ReadyKernels
from datasites.runs.processes.launcher import Launcher
from datasites.runs.queue import Run, RunQueue
from datasites.runs.rounds.rounds import Rounds
from datasites.runs.sandbox.limits import RunLimits
from datasites.runs.turns import Turns
from datasites.runs.visible_ends import visible_seconds
from policies.answers.runs import CANARY
from policies.errors import RunCancelled, RunFailed, WanwuError
from policies.ledger.ledger import Ledger

log = logging.getLogger(__name__)

# How long to wait with a run whose end cannot be written down, before it is looked at again.
RETRY_SECONDS = 10.0
# Runs a canary on the mock with the GPUs that it was leased, while nobody has given it up; raises if it fails.
Canary = Callable[[Run, tuple[Gpu, ...], Callable[[], bool]], None]


class Supervisor:
    """Runs the queue of one datasite with `concurrent_runs` threads, each watching one runner process.

    Attributes:
        enclosure: Closes each process in; rehearsals' too.
        kernels: Of the hospital's GPUs, for runs and rehearsals.
        local_parts: What stays here of models whose strategy keeps a part at each hospital.
    """

    def __init__(
        self,
        *,
        queue: RunQueue,
        blobs: BlobStore,
        ledger: Ledger,
        audit: AuditLog,
        decided: Callable[[str], Decision | None],
        approved: Callable[[Run], Approval],
        state: StateFolder,
        launcher: Launcher,
        limits: RunLimits,
        gpus: GpuLeases,
        require_sandbox: bool,
        max_update_bytes: int,
        canary: Canary,
        foresee: Callable[[Run], None] = lambda run: None,
        concurrent_runs: int = 1,
        free_disk_bytes: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue, self._audit, self._gpus, self._launcher = queue, audit, gpus, launcher
        self._scratch, self._now = state.scratch, now
        self._canary = canary
        self._turns = Turns(queue, gpus, decided)
        self._charges = RoundCharges(queue, ledger, audit)
        self.enclosure = Enclosure(state.path, limits, required=require_sandbox, elsewhere=launcher.elsewhere)
        self.kernels = ReadyKernels(state.kernels, launcher, self.enclosure, limits)
        self.local_parts = LocalParts(state.local_parts, ledger, free_disk_bytes=free_disk_bytes)
        self._rounds = Rounds(
            blobs=blobs,
            charges=self._charges,
            enclosure=self.enclosure,
            launcher=launcher,
            kernels=self.kernels,
            local_parts=self.local_parts,
            approved=approved,
            foresee=foresee,
            limits=limits,
            max_update_bytes=max_update_bytes,
        )
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"runs-{index}", daemon=True) for index in range(concurrent_runs)
        ]

    def start(self) -> None:
        """Says which pieces of the sandbox are missing, queues again what a stop interrupted, and begins."""
        self.enclosure.look(self._audit)
        self.kernels.tidy()
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700)
        if interrupted := self._queue.recover():
            self._audit.write("runs queued again after a restart", count=interrupted)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends running processes; their runs are queued again at the next start."""
        self._stopping.set()
        self._queue.wake()
        self._launcher.stop()
        for thread in self._threads:
            thread.join(timeout=15)
        self._launcher.stop()

    def cancel(self, run: Run, *, by: str) -> None:
        """Cancels a queued or running run; a running one's process group ends within a second, and it stays charged.

        Raises:
            WanwuError: The end cannot be written down; the run goes on.
        """
        self._charges.cancel(run, by=by)

    def _work(self) -> None:
        self._launcher.warm_up()
        unsettled: Run | None = None
        while not self._stopping.is_set():
            try:
                taken = self._turns.again(unsettled) if unsettled else self._turns.take()
                if taken is None:
                    self._rest()
                    continue
                unsettled = taken[0]
                self._execute(*taken)
                unsettled = None
            except (sqlite3.Error, OSError):  # a full or read-only disk: nothing is lost, the run is taken up again
                log.exception("the run queue cannot be written; trying again in %g seconds", RETRY_SECONDS)
                self._stopping.wait(RETRY_SECONDS)

    def _rest(self) -> None:
        """Waits until there may be something to do."""
        if self._queue.waiting():
            version = self._gpus.version
            self._queue.wait(lambda: self._stopping.is_set() or self._gpus.version != version, timeout_seconds=1.0)
        else:
            self._queue.wait(self._is_needed, timeout_seconds=5.0)

    def _is_needed(self) -> bool:
        return self._stopping.is_set() or self._queue.has_work()

    def _execute(self, run: Run, gpus: tuple[Gpu, ...]) -> None:
        scratch = self._scratch / run.id
        try:
            if run.round == CANARY:
                check_tries(run)
                with self._held_back(run):
                    self._canary(run, gpus, lambda: self._is_given_up(run.id))
                self._charges.pass_canary(run)
                return
            update = self._charges.update_of(run)
            if update is None:
                update = self._train(run, scratch, gpus)
                self._charges.commit(run, update)
            self._charges.finish(run, update)
        except (_Stopping, RunCancelled):  # left as it is: queued again at the next start, or written down already
            return
        except WanwuError as error:
            self._charges.fail(run, error)
        except sqlite3.Error:
            raise
        except Exception as error:
            log.exception("run %s failed", run.id)
            told = "The run failed at the hospital; nothing left it. Ask the hospital to look at its log."
            self._charges.fail(run, RunFailed(told, private=repr(error)))
        finally:
            self._charges.forget(run)
            shutil.rmtree(scratch, ignore_errors=True)
            self._gpus.give_back(gpus)
            self._queue.wake()

    def _train(self, run: Run, scratch: Path, gpus: tuple[Gpu, ...]) -> str:
        """Runs a round; returns the digest of its update, which nobody knows, at a time of the public grid."""
        # The update's room is given back after the end has shown, so that what is left of a quota does not show it
        # earlier.
        with contextlib.ExitStack() as room, self._held_back(run):
            return self._rounds.run(
                run,
                scratch,
                gpus,
                room,
                given_up=lambda: self._is_given_up(run.id),
                progress=lambda share: self._queue.progress(run.id, share),
            )

    @contextlib.contextmanager
    def _held_back(self, run: Run) -> Iterator[None]:
        """Holds the end of what is done here back, whatever it is, until the public grid's next time.

        Guarantees:
            Queue, ledger, audit log, quotas and GPUs show a run's end at times of the grid only, counted from its
            start, or when it is cancelled.

        Raises:
            _Stopping: The datasite stops meanwhile; the end is not to be written down.
        """
        begun = self._now()
        try:
            yield
        finally:
            visible = begun + visible_seconds(self._now() - begun)
            while (left := visible - self._now()) > 0 and not self._is_given_up(run.id):
                self._queue.wait(lambda: self._is_given_up(run.id), left)
            if self._stopping.is_set():
                raise _Stopping

    def _is_given_up(self, run_id: str) -> bool:
        """Whether nobody waits for this run's end any more: it was cancelled, or the datasite is stopping."""
        if self._stopping.is_set():
            return True
        run = self._queue.by_id(run_id)
        return run is None or run.state != "running"


class _Stopping(Exception):
    """The datasite is stopping: leave the run as it is."""
