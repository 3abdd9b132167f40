"""The queue of a machine with two GPUs: who waits for whom, and a round of two processes that the ledger charges."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load
from support.array_store import SourcePictures, ingest
from support.hospitals import draw_pictures
from support.waiting import wait_for

from datasites.approvals.approval import Approval
from datasites.assets.published import PublishedDataset
from datasites.files.state_folder import StateFolder
from datasites.runs import supervisor as supervision
from datasites.runs.blobs import BlobLimits, BlobStore
from datasites.runs.gpus import Gpu, GpuLeases
from datasites.runs.processes.job import Job
from datasites.runs.processes.process import ForkServer
from datasites.runs.queue import Run, RunQueue
from datasites.runs.sandbox.confinement import sandbox_report
from datasites.runs.sandbox.limits import RunLimits
from datasites.runs.supervisor import Supervisor
from datasites.runs.turns import Turns
from datasites.state.identity import load_or_create
from datasites.state.kept_books import open_audit, open_ledger
from datasites.training.models import initial_weights
from policies.budget.accountant import round_spend
from policies.budget.limits import DatasetLimits, PrivacyBudget
from policies.contracts.weights import canonical_bytes
from policies.errors import RunFailed
from policies.ledger.ledger import Ledger
from policies.plans.releases import EvaluationPlan, ReleaseSpec
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

ACCOUNT = "e" * 64
GPUS = (Gpu(0, "GPU-a"), Gpu(1, "GPU-b"))
SPEC = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
PRIVATE = TrainingPlan("private", "d", SPEC, 1, 2, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
PLAIN = replace(PRIVATE, study="plain", privacy=None)
ON_THE_CPU = replace(PRIVATE, study="cpu", run=RunSpec("cpu"))
EVALUATION = EvaluationPlan("evaluation", "d", SPEC, 1, ReleaseSpec(2.0, 1e-5))
LIMITS = RunLimits(1 << 30, 60, 60, 64, 1 << 20)


class Held:
    """A fork server whose runs begin, wait until the test lets them go, and then fail."""

    elsewhere = False

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.go = [threading.Event() for _ in range(8)]

    def warm_up(self) -> None:
        pass

    def stop(self) -> None:
        for event in self.go:
            event.set()

    def start(self, *, group: int | None = None) -> Any:
        return _HeldRun(self)

    def begun(self) -> list[tuple[int, int]]:
        """Of each run that began: its round, which says which it is here, and its number of processes."""
        return [(job.round, job.processes) for job in self.jobs]


@dataclass
class _HeldRun:
    fork_server: Held

    def release(self) -> None:
        pass

    def execute(self, job: Job, **rest: Any) -> None:
        if job.confinement.compiles:
            raise RunFailed("It has no compiler.")
        self.fork_server.jobs.append(job)
        self.fork_server.go[job.round].wait()
        raise RunFailed("It was let go.")


@dataclass
class Datasite:
    supervisor: Supervisor
    queue: RunQueue
    blobs: BlobStore
    ledger: Ledger
    leases: GpuLeases
    plans: list[Any]
    checked: list[int]

    def ask(self, plan: Any) -> int:
        """Queues a run of its own request; returns its number."""
        number = len(self.plans)
        self.plans.append(plan)
        digest = self.blobs.put(ACCOUNT, canonical_bytes(initial_weights(SPEC, number)))
        self.queue.enqueue(request_id=f"request-{number}", round_index=number, account=ACCOUNT, weights=digest)
        return number

    def state(self, number: int) -> str:
        run = self.queue.find(f"request-{number}", number)
        assert run
        return run.state


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Datasite]]:
    made: list[Datasite] = []

    def with_fork_server(fork_server: Any) -> Datasite:
        state = StateFolder(tmp_path / "north")
        load_or_create(state)
        images, labels = draw_pictures(60, 1)
        manifest = ingest(SourcePictures(images, labels, ("dark", "bright"), None), state.store / "d", name="d")
        published = PublishedDataset(manifest, state.store / "d", "")
        shapes = {name: values.shape for name, values in initial_weights(SPEC, 0).items()}
        leases = GpuLeases(GPUS, per_run=2)
        plans: list[Any] = []
        checked: list[int] = []
        queue, blobs = RunQueue(state.runs), BlobStore(state.blobs, limits=BlobLimits(max_bytes=1 << 20))
        ledger = open_ledger(state, lambda history, delta: sum(part.steps for part in history) / 10)

        def approved(run: Run) -> Approval:
            checked.append(run.round)
            return Approval(run.request_id, ACCOUNT, plans[run.round], published, shapes, shapes)

        def decided(request_id: str) -> Any:
            return SimpleNamespace(decision="approved", approved_plan=plans[int(request_id.removeprefix("request-"))])

        supervisor = Supervisor(
            queue=queue,
            blobs=blobs,
            ledger=ledger,
            audit=open_audit(state),
            decided=decided,
            approved=approved,
            canary=lambda run, gpus, given_up: None,
            state=state,
            launcher=fork_server,
            limits=LIMITS,
            gpus=leases,
            require_sandbox=False,
            max_update_bytes=1 << 20,
            concurrent_runs=4,
        )
        made.append(Datasite(supervisor, queue, blobs, ledger, leases, plans, checked))
        return made[-1]

    yield with_fork_server
    for datasite in made:
        datasite.supervisor.stop()
        datasite.queue.close()


@pytest.mark.parametrize(("plan", "processes"), [(PRIVATE, 2), (PLAIN, 1), (EVALUATION, 1), (ON_THE_CPU, 1)])
def test_private_training_has_a_process_for_each_gpu_and_all_else_one(
    make: Callable[..., Datasite], plan: Any, processes: int
) -> None:
    held = Held()
    datasite = make(held)
    datasite.ask(plan)
    datasite.supervisor.start()
    wait_for(held.begun)
    job = held.jobs[0]
    assert job.processes == processes
    assert job.confinement.gpus == (() if plan is ON_THE_CPU else GPUS[:processes])
    assert json.loads(job.to_line())["processes"] == processes


def test_while_a_run_waits_for_two_gpus_no_younger_one_takes_a_free_one(make: Callable[..., Datasite]) -> None:
    held = Held()
    datasite = make(held)
    one, two, younger, cpu = (datasite.ask(plan) for plan in (PLAIN, PRIVATE, PLAIN, ON_THE_CPU))
    datasite.supervisor.start()
    wait_for(lambda: len(held.jobs) == 2)
    assert sorted(held.begun()) == [(one, 1), (cpu, 1)], "the CPU is nobody's turn"
    assert [datasite.state(number) for number in (two, younger)] == ["queued", "queued"]
    held.go[one].set()
    wait_for(lambda: len(held.jobs) == 3)
    assert held.begun()[2] == (two, 2)
    assert datasite.state(younger) == "queued"
    held.go[two].set()
    wait_for(lambda: len(held.jobs) == 4)
    assert held.begun()[3] == (younger, 1)


def test_an_approval_is_not_checked_while_its_run_waits_and_once_before_it_starts(
    make: Callable[..., Datasite],
) -> None:
    held = Held()
    datasite = make(held)
    first, *waiting = (datasite.ask(PRIVATE) for _ in range(4))
    datasite.supervisor.start()
    wait_for(held.begun)
    for _ in range(50):
        assert datasite.supervisor._turns.take() is None
    assert datasite.checked == [first, first], "again after it was tried to compile its kernels, once for all of them"
    for event in held.go:
        event.set()
    wait_for(lambda: all(datasite.state(number) == "failed" for number in waiting))
    assert sorted(datasite.checked) == [first, first, *waiting]


def test_a_run_whose_approval_has_ended_waits_for_no_gpu(tmp_path: Path) -> None:
    decision: Any = SimpleNamespace(decision="approved", approved_plan=PRIVATE)
    leases = GpuLeases(GPUS, per_run=2)
    with contextlib.closing(RunQueue(tmp_path / "runs.sqlite")) as queue:
        queue.enqueue(request_id="r", round_index=0, account=ACCOUNT, weights="w")
        turns = Turns(queue, leases, lambda request_id: decision)
        assert leases.take(1)
        assert turns.take() is None
        decision.decision = "ended"
        taken = turns.take()
    assert taken and taken[1] == ()


def test_runs_that_fail_give_all_their_gpus_back(make: Callable[..., Datasite]) -> None:
    held = Held()
    datasite = make(held)
    numbers = [datasite.ask(PRIVATE) for _ in range(3)]
    for event in held.go:
        event.set()
    datasite.supervisor.start()
    wait_for(lambda: all(datasite.state(number) == "failed" for number in numbers))
    wait_for(lambda: datasite.leases.take(2) == GPUS)
    assert held.begun() == [(number, 2) for number in numbers]


def test_a_run_whose_end_could_not_be_written_is_not_overtaken_either(
    make: Callable[..., Datasite], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    datasite = make(held)
    fail, refused = datasite.queue.fail, threading.Event()
    monkeypatch.setattr(supervision, "RETRY_SECONDS", 0.5)

    def full_once(run_id: str, **rest: Any) -> None:
        if not refused.is_set():
            refused.set()
            raise sqlite3.OperationalError("database or disk is full")
        fail(run_id, **rest)

    monkeypatch.setattr(datasite.queue, "fail", full_once)
    two = datasite.ask(PRIVATE)
    held.go[two].set()
    datasite.supervisor.start()
    refused.wait()
    one = datasite.ask(PLAIN)
    wait_for(lambda: held.begun() == [(two, 2), (one, 1)])
    wait_for(lambda: datasite.supervisor._turns._held_up)
    younger = datasite.ask(PLAIN)
    version = datasite.leases.version
    held.go[younger].set()
    held.go[one].set()
    wait_for(lambda: datasite.state(younger) == "failed")
    assert held.begun()[2:] == [(two, 2), (younger, 1)]
    wait_for(lambda: datasite.leases.version == version + 3)  # what a run had is free after its end is written down
    assert not datasite.supervisor._turns._held_up


LACKING = [piece for piece in sandbox_report() if piece.required and not piece.present]


@pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {LACKING}")
def test_a_round_of_two_processes_is_accepted_and_charged_once(
    make: Callable[..., Datasite], fork_server: ForkServer, fork_server_folder: Path
) -> None:
    begins = {"warm_up": fork_server.warm_up, "start": fork_server.start}
    lent = SimpleNamespace(elsewhere=False, stop=lambda: None, **begins)  # others go on
    datasite = make(lent)
    spend = round_spend(PRIVATE)
    assert spend
    datasite.ledger.reserve(
        fingerprint="a" * 64,
        dataset="d",
        request_id="request-0",
        study="private",
        researcher="ada@example.org",
        plan_digest="c" * 64,
        spend=(spend,),
        rounds=1,
        limits=DatasetLimits(PrivacyBudget(8.0, 1e-5)),
    )
    datasite.ask(PRIVATE)
    datasite.supervisor.start()
    wait_for(lambda: datasite.state(0) not in ("queued", "running"))
    run = datasite.queue.find("request-0", 0)
    assert run and run.state == "done", (run, (fork_server_folder / "runs.log").read_text())
    assert datasite.ledger.spent("request-0") == (spend,)
    update = load(datasite.blobs.path(ACCOUNT, run.update_digest).read_bytes())
    assert all(np.isfinite(values).all() and np.abs(values).max() > 0 for values in update.values())
    wait_for(lambda: datasite.leases.take(2) == GPUS)
