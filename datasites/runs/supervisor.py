"""Takes runs from the queue, gives each to a process of its own, and lets out what the output contract allows.

The order is fixed: ledger, audit log, pictures; then contract, blob, the public grid's next time, ledger, audit log,
queue. Stopped between any two of them, the next start finds either a run to do again with the same weights, of which
nobody has seen anything, or a charged update to hand out again.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from datasites.approvals.approval import Approval
from datasites.approvals.approvals import Decision
from datasites.audit_log.ledger_witness import head_of
from datasites.audit_log.log import AuditLog
from datasites.files.state_folder import StateFolder
from datasites.runs.blobs import Blob, BlobStore
from datasites.runs.charges import CHARGED, RoundCharges
from datasites.runs.enclosure import Enclosure
from datasites.runs.gpus import Gpu, GpuLeases
from datasites.runs.processes.job import Job
from datasites.runs.processes.process import ForkServer
from datasites.runs.queue import Run, RunQueue
from datasites.runs.sandbox.confinement import sandbox_report
from datasites.runs.sandbox.limits import RunLimits
from datasites.runs.turns import Turns
from datasites.runs.visible_ends import visible_seconds
from policies.budget.accountant import round_spend
from policies.contracts.encodings import largest_size
from policies.contracts.inputs import decode_weights_file
from policies.contracts.outputs import release_update
from policies.errors import RunCancelled, RunFailed, RunLost, WanwuError
from policies.ledger.ledger import Ledger
from policies.ledger.reservations import NOTHING_LEFT
from policies.plans.features import check_features
from policies.plans.kinds import Plan

log = logging.getLogger(__name__)

# How long to wait with a run whose end cannot be written down, before it is looked at again.
RETRY_SECONDS = 10.0


class Supervisor:
    """Runs the queue of one datasite with `concurrent_runs` threads, each watching one runner process."""

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
        fork_server: ForkServer,
        limits: RunLimits,
        gpus: GpuLeases,
        require_sandbox: bool,
        max_update_bytes: int,
        foresee: Callable[[Run], None] = lambda run: None,
        concurrent_runs: int = 1,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue, self._blobs, self._ledger, self._audit = queue, blobs, ledger, audit
        self._charges = RoundCharges(queue, ledger, audit)
        self._approved, self._foresee, self._now = approved, foresee, now
        self._scratch, self._limits, self._gpus = state.scratch, limits, gpus
        self._enclosure = Enclosure(state.path, limits, required=require_sandbox)
        self._turns = Turns(queue, gpus, decided)
        self._max_update_bytes = max_update_bytes
        self._fork_server = fork_server
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"runs-{index}", daemon=True) for index in range(concurrent_runs)
        ]

    def start(self) -> None:
        """Says which pieces of the sandbox are missing, queues again what a stop interrupted, and begins."""
        self._enclosure.look(sandbox_report(), self._audit)
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
        self._fork_server.stop()
        for thread in self._threads:
            thread.join(timeout=15)
        self._fork_server.stop()

    def cancel(self, run: Run, *, by: str) -> None:
        """Cancels a queued or running run; a running one's process group ends within a second, and it stays charged.

        Raises:
            WanwuError: The end cannot be written down; the run goes on.
        """
        self._charges.cancel(run, by=by)

    def _work(self) -> None:
        self._fork_server.warm_up()
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
            stored = self._ledger.committed(request_id=run.request_id, round_index=run.round)
            if stored == NOTHING_LEFT:
                raise RunLost(f"The round ended without an update. {CHARGED}")
            if stored is None:
                stored = self._train(run, scratch, gpus)
                self._charges.commit(run, stored)
            self._write_done(run, stored)
            self._queue.finish(run.id, stored)
        except (_Stopping, RunCancelled):  # left as it is: queued again at the next start, or written down already
            return
        except WanwuError as error:
            self._fail(run, error)
        except sqlite3.Error:
            raise
        except Exception as error:
            log.exception("run %s failed", run.id)
            self._fail(
                run,
                RunFailed(
                    "The run failed at the hospital; nothing left it. Ask the hospital to look at its log.",
                    private=repr(error),
                ),
            )
        finally:
            self._charges.forget(run)
            shutil.rmtree(scratch, ignore_errors=True)
            self._gpus.give_back(gpus)
            self._queue.wake()

    def _train(self, run: Run, scratch: Path, gpus: tuple[Gpu, ...]) -> str:
        """Runs a round; returns the digest of its update, which nobody knows, at a time of the public grid."""
        with contextlib.ExitStack() as taken, self._held_back(run):
            approved = self._approved(run)
            scratch.mkdir(mode=0o700)
            job = Job(
                plan=approved.plan.to_json(),
                round=run.round,
                store=str(approved.published.store.resolve()),
                weights=str(self._weights(run, approved, scratch).resolve()),
                result=str((scratch / "update.safetensors").resolve()),
                confinement=self._enclosure.confine(gpus),
                features=None if (wanted := check_features(approved.plan)) is None else asdict(wanted),
                processes=max(1, len(gpus)),
            )
            # Room for the update is taken before anything is read, so that a lack of it is no way to run again; and it
            # is given back after the end has shown, so that what is left of a quota does not show it earlier.
            room = largest_size(approved.outputs, approved.plan.update_encoding)
            blob = taken.enter_context(self._blobs.write(run.account, at_most=room))
            with self._enclosure.entrance(run.id) as group:
                self._run(job, run, group, approved.plan)
            return self._release(approved, Path(job.result), blob)

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

    def _run(self, job: Job, run: Run, group: int | None, plan: Plan) -> None:
        process = self._fork_server.start(group=group)

        def begin() -> None:
            self._charges.start(run, round_spend(plan), pid=process.pid, gpus=len(job.confinement.gpus))
            # What the researcher is told after the round is computed meanwhile.
            threading.Thread(target=self._foresee, args=(run,), daemon=True).start()

        process.execute(
            job,
            begin=begin,
            timeout_seconds=min(plan.run.timeout_seconds, self._limits.wall_seconds_per_run),
            cancelled=lambda: self._is_given_up(run.id),
            progress=lambda share: self._queue.progress(run.id, share),
        )

    def _weights(self, run: Run, approved: Approval, scratch: Path) -> Path:
        """The round's global weights as a safetensors file: the blob itself, or what it decodes to."""
        blob = self._blobs.path(run.account, run.weights)
        encoding = approved.plan.weights_encoding
        if encoding == "none":
            return blob
        decoded = scratch / "weights.safetensors"
        decode_weights_file(blob, decoded, approved.inputs, encoding, max_bytes=self._max_update_bytes)
        return decoded

    def _release(self, approved: Approval, result: Path, blob: Blob) -> str:
        """Checks the result against the output contract and keeps the update under a digest that nobody knows yet.

        Guarantees:
            What leaves is the datasite's own serialisation of exactly the declared arrays, in the plan's encoding; the
            digest in ledger and receipt is of these bytes. Nobody can read it before the ledger has committed the
            round and the audit log names it: nothing else says the digest.
        """
        shapes, encoding = approved.outputs, approved.plan.update_encoding
        release_update(result, shapes, encoding, blob.write, max_bytes=self._max_update_bytes)
        return blob.keep()

    def _is_given_up(self, run_id: str) -> bool:
        """Whether nobody waits for this run's end any more: it was cancelled, or the datasite is stopping."""
        if self._stopping.is_set():
            return True
        run = self._queue.by_id(run_id)
        return run is None or run.state != "running"

    def _write_done(self, run: Run, digest: str) -> None:
        """Names the release and the ledger's head in the audit log, before anyone can read the update."""
        self._audit.write(
            "run done", run=run.id, request=run.request_id, round=run.round, update=digest, **head_of(self._ledger)
        )

    def _fail(self, run: Run, error: WanwuError) -> None:
        error = self._charges.lose(run, error)
        log.warning("run %s: %s %s", run.id, error.public, error.private)
        try:
            self._audit.write(
                "run failed",
                run=run.id,
                request=run.request_id,
                round=run.round,
                code=error.code,
                detail=error.private,
                **head_of(self._ledger),
            )
        except WanwuError as unwritten:  # nothing was let out: the failure itself need not wait for the log
            log.warning("run %s: its failure is not in the audit log: %s", run.id, unwritten.private)
        self._queue.fail(run.id, code=error.code, reason=error.public)


class _Stopping(Exception):
    """The datasite is stopping: leave the run as it is."""
