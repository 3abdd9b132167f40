"""A datasite's run queue with a real ledger, and runs that do what a test says. Used by the tests of charged rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from support.ledgers import ledger_at

from datasites.approvals.approval import Approval
from datasites.audit_log.log import AuditLog
from datasites.files.state_folder import StateFolder
from datasites.runs.admission import Admission
from datasites.runs.blobs import BlobLimits, BlobStore
from datasites.runs.gpus import Gpu, GpuLeases
from datasites.runs.processes.job import Job
from datasites.runs.processes.process import ForkServer
from datasites.runs.queue import Run, RunQueue
from datasites.runs.sandbox.limits import RunLimits
from datasites.runs.supervisor import Supervisor
from datasites.training.models import initial_weights
from policies.answers.plain_values import to_plain
from policies.budget.accountant import round_spend
from policies.budget.limits import DatasetLimits, PrivacyBudget
from policies.budget.steps import GaussianSteps
from policies.contracts.inputs import Ticket
from policies.contracts.weights import Shapes, canonical_bytes
from policies.ledger.ledger import Ledger
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

ACCOUNT, REQUEST = "e" * 64, "request-0"
SPEC = ModelSpec("linear", (8, 8, 1), 2)
PLAN = TrainingPlan("study", "d", SPEC, 4, 2, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
SHAPES = {name: values.shape for name, values in initial_weights(SPEC, 0).items()}
UPDATE = canonical_bytes(initial_weights(SPEC, 7))


@dataclass
class Scripted:
    """A fork server whose runs do what a test says, and then write an update.

    Attributes:
        before: What a run does before it is told to go; may raise.
        during: What it does then: is told when it is cancelled, tells its progress; may raise.
        update: What it writes.
        began: The rounds of the runs that were told to go.
    """

    before: Callable[[], object] = lambda: None
    during: Callable[[Callable[[], bool], Callable[[float], None]], object] = lambda cancelled, progress: None
    update: bytes = UPDATE
    began: list[int] = field(default_factory=list)
    elsewhere: bool = False
    known_as: Mapping[str, int] = field(default_factory=lambda: {"pid": 1})

    def release(self) -> None:
        pass

    def warm_up(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def start(self, *, group: int | None = None) -> Scripted:
        return self

    def execute(
        self,
        job: Job,
        *,
        begin: Callable[[], None],
        timeout_seconds: float,
        cancelled: Callable[[], bool],
        progress: Callable[[float], None],
    ) -> None:
        self.before()
        begin()
        self.began.append(job.round)
        self.during(cancelled, progress)
        Path(job.result).write_bytes(self.update)


@dataclass
class Datasite:
    """The parts of a datasite that run rounds."""

    state: StateFolder
    fork_server: Any
    queue: RunQueue
    blobs: BlobStore
    ledger: Ledger
    audit: AuditLog
    supervisor: Supervisor
    approval: Approval
    gpus: tuple[Gpu, ...] = ()
    started: bool = False

    def start(self) -> None:
        """Begins to run what is queued, and what was running when the datasite ended."""
        self.supervisor.start()
        self.started = True

    def ask(self, round_index: int = 0, seed: int = 0) -> dict[str, Any]:
        """Asks for a round with the weights that `seed` draws, through the gate that researchers' calls pass."""
        return self.ask_with(initial_weights(SPEC, seed), round_index)

    def ask_with(self, weights: Mapping[str, np.ndarray], round_index: int = 0) -> dict[str, Any]:
        """Asks for a round with these weights, likewise."""
        admission = Admission(
            queue=self.queue,
            blobs=self.blobs,
            ledger=self.ledger,
            audit=self.audit,
            max_update_bytes=1 << 20,
        )
        digest = self.blobs.put(ACCOUNT, canonical_bytes(weights))
        asked = admission(self.approval, self.approval.plan.to_json(), Ticket(round_index, digest).to_text())
        plain: dict[str, Any] = to_plain(asked)
        return plain

    def execute(self, round_index: int = 0) -> None:
        """Runs a queued round in this thread, as a thread of the supervisor would."""
        taken = self.queue.take(self.run(round_index).id)
        assert taken
        self.supervisor._execute(taken, self.gpus)

    def cancel(self, round_index: int = 0) -> None:
        self.supervisor.cancel(self.run(round_index), by="the researcher")

    def run(self, round_index: int = 0) -> Run:
        found = self.queue.find(REQUEST, round_index)
        assert found
        return found

    @property
    def steps_charged(self) -> int:
        return sum(part.steps for part in self.ledger.spent(REQUEST))

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.ledger.entries()]

    def again(self) -> Datasite:
        """The same state folder after a restart."""
        self.close()
        return open_datasite(self.state, self.fork_server, approval=self.approval)

    def close(self) -> None:
        if self.started:
            self.supervisor.stop()
        self.queue.close()


def open_datasite(
    state: StateFolder,
    fork_server: Scripted | ForkServer,
    *,
    gpus: tuple[Gpu, ...] = (),
    approval: Approval | None = None,
    **options: Any,
) -> Datasite:
    """Opens the parts over a state folder; each run has all the GPUs, and `options` are the supervisor's."""
    approved = approval or approval_of(state)
    queue, blobs = RunQueue(state.runs), BlobStore(state.blobs, limits=BlobLimits(max_bytes=1 << 20))
    ledger, audit = ledger_at(state.ledger, _tenth_a_step), AuditLog(state.audit)
    supervisor = Supervisor(
        queue=queue,
        blobs=blobs,
        ledger=ledger,
        audit=audit,
        decided=lambda request_id: None,
        approved=lambda run: approved,
        canary=lambda run, gpus, given_up: None,
        state=state,
        launcher=fork_server,  # type: ignore[arg-type]
        limits=RunLimits(1 << 30, 60, 60, 64, 1 << 20),
        gpus=GpuLeases(gpus),
        require_sandbox=False,
        max_update_bytes=1 << 20,
        **options,
    )
    state.scratch.mkdir(exist_ok=True)
    return Datasite(state, fork_server, queue, blobs, ledger, audit, supervisor, approved, gpus)


def make_datasite(folder: Path, fork_server: Scripted | ForkServer | None = None, **options: Any) -> Datasite:
    """A new datasite with one approved request of four rounds of two steps; its fork server is scripted if None."""
    state = StateFolder(folder)
    state.create()
    made = open_datasite(state, fork_server or Scripted(), **options)
    spend = round_spend(PLAN)
    assert spend
    made.ledger.reserve(
        fingerprint="a" * 64,
        dataset="d",
        request_id=REQUEST,
        study="study",
        researcher="ada@example.org",
        plan_digest=PLAN.digest(),
        spend=(spend,) * PLAN.rounds,
        rounds=PLAN.rounds,
        limits=DatasetLimits(PrivacyBudget(8.0, 1e-5)),
    )
    return made


def approval_of(
    state: StateFolder, plan: TrainingPlan = PLAN, inputs: Shapes = SHAPES, outputs: Shapes = SHAPES
) -> Approval:
    """The approval of the one request, of this plan with weights of these shapes."""
    published: Any = SimpleNamespace(store=state.store)
    return Approval(REQUEST, ACCOUNT, plan, published, dict(inputs), dict(outputs))


def _tenth_a_step(history: tuple[GaussianSteps, ...], delta: float) -> float:
    return sum(part.steps for part in history) / 10
