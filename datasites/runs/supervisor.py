"""Takes runs from the queue, gives each to a process of its own, and lets out what the output contract allows.

The order at a run's end is fixed: contract, blob, ledger, audit log, queue. Stopped between any two of them, the next
start finds either a run to do again, of which nothing had left, or a charged update to hand out again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from datasites.audit import AuditLog
from datasites.identity import StateFolder
from datasites.ledger_witness import head_of
from datasites.runs.blobs import BlobStore
from datasites.runs.cgroups import DelegatedGroup, find_delegated
from datasites.runs.gpus import Gpu, GpuLeases
from datasites.runs.limits import RunLimits
from datasites.runs.process import Job, Nursery
from datasites.runs.queue import ACTIVE, Run, RunQueue
from datasites.runs.sandbox import Confinement, Piece, draw_uid, missing_pieces, sandbox_report
from policies.accountant import round_spend
from policies.encodings import largest_size
from policies.errors import OutputRefused, RunCancelled, RunFailed, WanwuError
from policies.features import check_features
from policies.inputs import decode_weights_file
from policies.ledger import Ledger
from policies.outputs import release_update
from policies.plan import TrainingPlan
from policies.plans import Plan

log = logging.getLogger(__name__)

# How long to wait with a run whose end cannot be written down, before it is looked at again.
RETRY_SECONDS = 10.0

# Stands in the ledger for an update that the output contract refused.
NOTHING_LEFT = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class ApprovedRun:
    """What the supervisor needs to know of the approval that a run stands under.

    Attributes:
        plan: The approved plan.
        store: Folder of the picture store.
        inputs: Names and shapes of the weights that come in.
        outputs: Names and shapes of the arrays that may leave.
    """

    plan: Plan
    store: Path
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]


class Supervisor:
    """Runs the queue of one datasite with `concurrent_runs` threads, each watching one runner process."""

    def __init__(
        self,
        *,
        queue: RunQueue,
        blobs: BlobStore,
        ledger: Ledger,
        audit: AuditLog,
        approved: Callable[[Run], ApprovedRun],
        state: StateFolder,
        nursery: Nursery,
        limits: RunLimits,
        gpus: GpuLeases,
        require_sandbox: bool,
        max_update_bytes: int,
        foresee: Callable[[Run], None] = lambda run: None,
        concurrent_runs: int = 1,
    ) -> None:
        self._queue, self._blobs, self._ledger, self._audit = queue, blobs, ledger, audit
        self._approved, self._foresee = approved, foresee
        self._state, self._scratch = state.path, state.scratch
        self._limits, self._gpus, self._require_sandbox = limits, gpus, require_sandbox
        self._group: DelegatedGroup | None = None
        self._lacking: dict[str, str] = {}
        self._taking = threading.Lock()
        self._held_up: set[str] = set()  # runs that are not in the queue any more and wait for GPUs
        self._max_update_bytes = max_update_bytes
        self._nursery = nursery
        self._stopping = threading.Event()
        self._workers = [
            threading.Thread(target=self._work, name=f"runs-{index}", daemon=True) for index in range(concurrent_runs)
        ]

    def start(self) -> None:
        """Says which pieces of the sandbox are missing, queues again what a stop interrupted, and begins."""
        self._look_at_sandbox(sandbox_report())
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700)
        if interrupted := self._queue.recover():
            self._audit.write("runs queued again after a restart", count=interrupted)
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """Ends running processes; their runs are queued again at the next start."""
        self._stopping.set()
        self._queue.wake()
        self._nursery.stop()
        for worker in self._workers:
            worker.join(timeout=15)
        self._nursery.stop()

    def cancel(self, run: Run, *, by: str) -> None:
        """Cancels a queued or running run; a running one's process group ends within a second."""
        if run.state in ACTIVE:
            self._queue.fail(
                run.id,
                code=RunCancelled.code,
                reason=f"Cancelled by {by}; nothing left the hospital and nothing was spent.",
                state="cancelled",
            )
            self._audit.write("run cancelled", run=run.id, by=by)

    def _look_at_sandbox(self, report: tuple[Piece, ...]) -> None:
        """Keeps, logs and records what runs on this machine lack, and what is done about it."""
        missing = {piece.piece: piece.why for piece in report if not piece.present}
        self._lacking = {piece.piece: piece.why for piece in report if piece.required and not piece.present}
        if "control group" not in missing:
            try:
                group = find_delegated()
                group.prepare()
                self._group = group
            except OSError as error:
                missing["control group"] = str(error)
        if not self._lacking:
            answer = "runs are closed in"
        else:
            answer = "runs are refused" if self._require_sandbox else "runs are closed in less than they should be"
        for piece, why in missing.items():
            log.log(logging.WARNING if piece in self._lacking else logging.INFO, "sandbox: no %s: %s", piece, why)
        log.log(logging.WARNING if self._lacking else logging.INFO, "sandbox: %s", answer)
        self._audit.write("sandbox looked at", missing=", ".join(sorted(missing)), answer=answer)

    def _work(self) -> None:
        self._nursery.warm_up()
        unsettled: Run | None = None
        while not self._stopping.is_set():
            try:
                taken = self._again(unsettled) if unsettled else self._take()
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
            self._queue.wait(self._freed_since(self._gpus.version), timeout_seconds=1.0)
        else:
            self._queue.wait(self._is_needed, timeout_seconds=5.0)

    def _take(self) -> tuple[Run, tuple[Gpu, ...]] | None:
        """The oldest run that can be run now, with the GPUs that it was leased; None if none can.

        While a run waits for its GPUs no younger one gets any: else one that takes several would wait for ever.
        """
        with self._taking:
            one_waits = bool(self._held_up)
            for run in self._queue.waiting():
                wanted = self._wanted_gpus(run)
                gpus = None if wanted and one_waits else self._gpus.take(wanted)
                if gpus is None:
                    one_waits = True
                    continue
                taken = None
                try:
                    taken = self._queue.take(run.id)
                finally:
                    if taken is None:
                        self._gpus.give_back(gpus)
                if taken is not None:
                    return taken, gpus
        return None

    def _wanted_gpus(self, run: Run) -> int:
        """How many GPUs a run takes where there are any: several for private training, whose steps can be shared."""
        if not self._gpus.present:
            return 0
        try:
            plan = self._approved(run).plan
        except WanwuError:
            return 0  # it will be refused with that reason
        if plan.run.device == "cpu":
            return 0
        return self._gpus.per_run if isinstance(plan, TrainingPlan) and plan.privacy is not None else 1

    def _freed_since(self, version: int) -> Callable[[], bool]:
        """Whether a GPU came free, for whoever waits for one."""
        return lambda: self._stopping.is_set() or self._gpus.version != version

    def _again(self, run: Run) -> tuple[Run, tuple[Gpu, ...]] | None:
        """A run whose end could not be written down, with a new lease of its GPUs; None while they are not free."""
        with self._taking:
            gpus = self._gpus.take(self._wanted_gpus(run))
            if gpus is None:
                self._held_up.add(run.id)
                return None
            self._held_up.discard(run.id)
            return run, gpus

    def _is_needed(self) -> bool:
        return self._stopping.is_set() or self._queue.has_work()

    def _execute(self, run: Run, gpus: tuple[Gpu, ...]) -> None:
        scratch = self._scratch / run.id
        try:
            stored = self._ledger.committed(request_id=run.request_id, round_index=run.round)
            if stored == NOTHING_LEFT:
                raise OutputRefused("The round ran and its result may not leave; it is charged and is not run again.")
            if stored is None:
                scratch.mkdir(mode=0o700)
                stored = self._train(run, scratch, gpus)
            self._write_done(run, stored)
            self._queue.finish(run.id, stored)
        except _Stopping:
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
            shutil.rmtree(scratch, ignore_errors=True)
            self._gpus.give_back(gpus)
            self._queue.wake()

    def _train(self, run: Run, scratch: Path, gpus: tuple[Gpu, ...]) -> str:
        approved, confinement = self._approved(run), self._confine(gpus)
        job = Job(
            plan=approved.plan.to_json(),
            round=run.round,
            store=str(approved.store.resolve()),
            weights=str(self._weights(run, approved, scratch).resolve()),
            result=str((scratch / "update.safetensors").resolve()),
            confinement=confinement,
            features=None if (wanted := check_features(approved.plan)) is None else asdict(wanted),
            processes=max(1, len(gpus)),
        )
        with self._entrance(run) as group:
            self._run(job, run, group, approved.plan.run.timeout_seconds)
        return self._release(run, approved, Path(job.result))

    def _confine(self, gpus: tuple[Gpu, ...]) -> Confinement:
        """How a run is closed in.

        Raises:
            SandboxMissing: A piece is missing that the settings ask for.
        """
        lacking = dict(self._lacking)
        if gpus and self._group is None:
            lacking["control group"] = "only it limits the memory of a run with a GPU"
        if lacking and self._require_sandbox:
            raise missing_pieces(lacking)
        return Confinement(self._limits, self._require_sandbox, self._state.resolve(), draw_uid(), gpus)

    @contextlib.contextmanager
    def _entrance(self, run: Run) -> Iterator[int | None]:
        """The open door of the run's control group, where there are any; the group ends afterwards, with all in it."""
        if self._group is None:
            yield None
            return
        group = self._group.make(run.id, self._limits)
        try:
            entrance = group.entrance()
            try:
                yield entrance
            finally:
                os.close(entrance)
        finally:
            group.end()

    def _run(self, job: Job, run: Run, group: int | None, timeout_seconds: float) -> None:
        process = self._nursery.start(group=group)
        self._audit.write(
            "run started",
            run=run.id,
            request=run.request_id,
            round=run.round,
            attempt=run.attempt,
            pid=process.pid,
            gpus=len(job.confinement.gpus),
        )
        # What the researcher is told after the round is computed meanwhile.
        threading.Thread(target=self._foresee, args=(run,), daemon=True).start()
        process.execute(
            job,
            timeout_seconds=min(timeout_seconds, self._limits.wall_seconds_per_run),
            cancelled=lambda: self._is_cancelled(run.id),
            progress=lambda share: self._queue.progress(run.id, share),
        )

    def _weights(self, run: Run, approved: ApprovedRun, scratch: Path) -> Path:
        """The round's global weights as a safetensors file: the blob itself, or what it decodes to."""
        blob = self._blobs.path(run.account, run.weights)
        encoding = approved.plan.weights_encoding
        if encoding == "none":
            return blob
        decoded = scratch / "weights.safetensors"
        decode_weights_file(blob, decoded, approved.inputs, encoding, max_bytes=self._max_update_bytes)
        return decoded

    def _release(self, run: Run, approved: ApprovedRun, result: Path) -> str:
        """Checks the result against the output contract, charges the round, and makes the update readable.

        Guarantees:
            Nobody knows the blob's digest, without which it cannot be read, before the ledger has committed the
            round and the audit log names it. What leaves is the datasite's own serialisation of exactly the declared
            arrays, in the plan's encoding; the digest in ledger and receipt is of these bytes. A result that the
            contract refuses is charged too, since the refusal tells something of it.
        """
        shapes, encoding = approved.outputs, approved.plan.update_encoding
        with self._blobs.write(run.account, at_most=largest_size(shapes, encoding)) as blob:
            try:
                release_update(result, shapes, encoding, blob.write, max_bytes=self._max_update_bytes)
            except OutputRefused:
                self._commit(run, approved, NOTHING_LEFT)
                raise
            digest = blob.keep()
        self._commit(run, approved, digest)
        return digest

    def _commit(self, run: Run, approved: ApprovedRun, digest: str) -> None:
        spend = round_spend(approved.plan)
        self._ledger.commit(request_id=run.request_id, round_index=run.round, spend=spend, update_digest=digest)

    def _is_cancelled(self, run_id: str) -> bool:
        if self._stopping.is_set():
            raise _Stopping
        run = self._queue.by_id(run_id)
        return run is None or run.state != "running"

    def _write_done(self, run: Run, digest: str) -> None:
        """Names the release and the ledger's head in the audit log, before anyone can read the update."""
        self._audit.write(
            "run done", run=run.id, request=run.request_id, round=run.round, update=digest, **head_of(self._ledger)
        )

    def _fail(self, run: Run, error: WanwuError) -> None:
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
