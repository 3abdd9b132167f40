"""The runs of one datasite, put together: queue, blobs, admission, supervisor, expiry. Only updates leave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from datasites.approvals.approval import Approval
from datasites.code_requests.books import Books
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.rehearsal.canaries import Canaries
from datasites.rehearsal.mock_round import Asked, MockRounds
from datasites.rehearsal.rehearser import Rehearser
from datasites.runs.admission import Admission
from datasites.runs.blobs import BlobLimits, BlobStore
from datasites.runs.entry import Admit
from datasites.runs.expiry import Expiry
from datasites.runs.gpus import GpuLeases
from datasites.runs.last_check import LastCheck
from datasites.runs.processes.process import PROGRAM, ForkServer
from datasites.runs.queue import RunQueue
from datasites.runs.slurm.launcher import launcher_of, leased_gpus
from datasites.runs.supervisor import Supervisor
from policies.answers.runs import RunAnswer
from policies.errors import WanwuError

if TYPE_CHECKING:  # it knows PySyft, which is imported when the server was started
    from datasites.code_requests.canonical import CanonicalRequest


def fork_server_of(state: StateFolder, config: DatasiteConfig, *, program: str | None = None) -> ForkServer:
    """What a datasite's runs and its calculator are forked from; it is not started yet.

    Args:
        state: The datasite's folder.
        config: The datasite's settings.
        program: Python of its process, where it is to run something else than training.
    """
    return ForkServer(
        log=state.logs / "runs.log",
        threads=config.threads_per_run,
        program=program or PROGRAM,
        max_log_bytes=config.max_log_bytes,
    )


class Runs:
    """From an approved round to its checked update.

    Attributes:
        queue: The runs, as the researchers' port and the console show them.
        blobs: Weights that came in, updates that may go out.
        supervisor: Runs the queue, and cancels runs.
    """

    def __init__(
        self,
        state: StateFolder,
        config: DatasiteConfig,
        books: Books,
        approved_now: Callable[[str], Approval],
        open_request: Callable[[str], CanonicalRequest],
        fork_server: ForkServer,
    ) -> None:
        """Opens the files; nothing runs yet.

        Args:
            state: The datasite's folder.
            config: The datasite's settings.
            books: The datasite's books.
            approved_now: Returns a request's approval after computing its digest again.
            open_request: Returns a request that may still run, for its rehearsal.
            fork_server: What runs are forked from; it is stopped with them.
        """
        self._books, self._open_request, self._approved_now = books, open_request, approved_now
        self._fork_server, self._launcher = fork_server, launcher_of(config, state, fork_server)
        gpus = GpuLeases(leased_gpus(config), share=config.runs_per_gpu, per_run=config.gpus_per_run)
        self.queue = RunQueue(state.runs)
        self.blobs = BlobStore(state.blobs, limits=_blob_limits(config))
        self.supervisor = Supervisor(
            queue=self.queue,
            blobs=self.blobs,
            ledger=books.ledger,
            audit=books.audit,
            decided=books.approvals.of_request,
            approved=LastCheck(approved_now),
            canary=lambda run, gpus, given_up: self._canaries.run(run, gpus, given_up),
            foresee=lambda run: books.foresee_epsilon(run.request_id),
            state=state,
            launcher=self._launcher,
            limits=config.run_limits,
            gpus=gpus,
            require_sandbox=config.require_sandbox,
            max_update_bytes=config.max_update_bytes,
            concurrent_runs=config.concurrent_runs,
            free_disk_bytes=config.min_free_disk_bytes,
        )
        self._canaries = Canaries(approved_now, self._mock_rounds(state.scratch / "canaries", config))
        self._rehearser = Rehearser(
            rehearsals=books.rehearsals,
            queue=self.queue,
            gpus=gpus,
            rounds=self._mock_rounds(state.scratch / "rehearsals", config),
            asked=self._asked,
            audit=books.audit,
            folder=state.scratch / "rehearsals",
        )
        self._expiry = Expiry(self.blobs, self.queue, books.approvals, self.supervisor.local_parts)
        self._admission = Admission(
            queue=self.queue,
            blobs=self.blobs,
            ledger=books.ledger,
            audit=books.audit,
            max_update_bytes=config.max_update_bytes,
        )

    def admission(self, approval: Approval) -> Admit:
        """What decides about a round that is asked for under this approval, and counts what it refuses."""

        def admit(plan: str, ticket: str) -> RunAnswer:
            try:
                return self._admission(approval, plan, ticket)
            except WanwuError as error:
                self._books.counted.add("round refused", code=error.code)
                raise

        return admit

    def canary(self, request_id: str) -> RunAnswer:
        """Has an approved request's canary run, in turn with the rounds; see `Admission.canary`.

        Raises:
            RequestPending, RequestDenied, RequestAltered, RequestUnknown: It is not approved, or not as it was.
        """
        return self._admission.canary(self._approved_now(request_id))

    def _mock_rounds(self, folder: Path, config: DatasiteConfig) -> MockRounds:
        """What runs rounds on the mock: with the runs' launcher and enclosure."""
        return MockRounds(
            launcher=self._launcher,
            kernels=self.supervisor.kernels,
            limits=config.run_limits,
            folder=folder,
            max_update_bytes=config.max_update_bytes,
            free_disk_bytes=config.min_free_disk_bytes,
        )

    def _asked(self, request_id: str) -> Asked:
        """What a request asks for, without anything of the pictures that it would run on."""
        request = self._open_request(request_id)
        shapes = self._books.calculator.shapes(request.plan)
        return Asked.of(request.plan, request.dataset, shapes.inputs, shapes.outputs)

    def start(self) -> None:
        """Begins to run what is queued, to remove what has expired, and to rehearse what waits for that."""
        self.supervisor.start()
        self._expiry.start()
        self._rehearser.start()

    def stop(self) -> None:
        """Ends running processes; their runs are queued again at the next start."""
        self._rehearser.stop()
        self._expiry.stop()
        self.supervisor.stop()
        self._fork_server.stop()

    def close(self) -> None:
        """Closes the queue, once nobody looks at it any more."""
        self.queue.close()


def _blob_limits(config: DatasiteConfig) -> BlobLimits:
    return BlobLimits(
        max_bytes=config.max_update_bytes,
        account_bytes=config.max_blob_bytes_per_researcher,
        account_blobs=config.max_blobs_per_researcher,
        total_bytes=config.max_blob_bytes,
        free_disk_bytes=config.min_free_disk_bytes,
        expiry_seconds=config.blob_expiry_hours * 3600.0,
    )
