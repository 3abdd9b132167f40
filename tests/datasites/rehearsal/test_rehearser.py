"""Whose turn it is: real runs go before, a rehearsal that a run ends says nothing, and an end is written down once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.waiting import wait_for

from datasites.audit_log.log import AuditLog
from datasites.rehearsal import rehearser as rehearsing
from datasites.rehearsal.estimate import Measured
from datasites.rehearsal.mock_round import Asked, Seen
from datasites.rehearsal.rehearsals import Rehearsal, Rehearsals
from datasites.rehearsal.rehearser import Rehearser
from datasites.runs.gpus import Gpu, GpuLeases
from datasites.runs.queue import RunQueue
from policies.answers.hospital import DatasetSchema
from policies.errors import RequestDenied, RunCancelled, RunFailed
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
PLAN = TrainingPlan("study", "d", SPEC, 36, 100, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
SCHEMA = DatasetSchema("d", ("dark", "bright"), (16, 16, 1), "picture", 600, 2)
MEASURED = Measured(1.0, (0.1, 0.2, 0.3), 0.4, 32)


@dataclass
class Rounds:
    """Rounds on the mock that do what a test says."""

    during: Callable[[Seen, Callable[[], bool]], object] = lambda seen, given_up: None
    gpus: list[int] = field(default_factory=list)

    def run(self, asked: Asked, gpus: tuple[Gpu, ...], seen: Seen, *, given_up: Callable[[], bool]) -> Measured:
        self.gpus.append(len(gpus))
        self.during(seen, given_up)
        return MEASURED


@dataclass
class North:
    """A datasite's queue, its rehearsals, and a clock that a test sets."""

    queue: RunQueue
    rehearsals: Rehearsals
    rounds: Rounds
    leases: GpuLeases
    audit: AuditLog
    rehearser: Rehearser
    clock: list[float]
    open: bool = True

    def asked(self, request_id: str) -> Asked:
        if not self.open:
            raise RequestDenied("The request was denied, so it does not run any more.")
        return Asked(PLAN, SCHEMA, {}, {})

    def of(self, request_id: str) -> Rehearsal:
        found = self.rehearsals.of(request_id)
        assert found
        return found

    def enqueue(self) -> str:
        run = self.queue.enqueue(request_id="real", round_index=0, account="e" * 64, weights="a" * 64)
        return run.id


@pytest.fixture
def north(tmp_path: Path) -> Iterator[North]:
    queue, table = RunQueue(tmp_path / "runs.sqlite"), Rehearsals(tmp_path / "rehearsals.sqlite")
    clock, rounds, leases = [0.0], Rounds(), GpuLeases((Gpu(0, "GPU-a"),))
    audit = AuditLog(tmp_path / "audit.log")
    made: list[North] = []
    options: Any = {"rounds": rounds, "asked": lambda request_id: made[0].asked(request_id), "now": lambda: clock[0]}
    folder = tmp_path / "rehearsals"
    rehearser = Rehearser(rehearsals=table, queue=queue, gpus=leases, audit=audit, folder=folder, **options)
    made.append(North(queue, table, rounds, leases, audit, rehearser, clock))
    yield made[0]
    queue.close()
    table.close()


def test_a_rehearsal_that_passes_is_estimated_written_down_and_audited_and_gives_its_gpu_back(north: North) -> None:
    north.rehearsals.arrived("a")
    north.rehearser.step()
    found = north.of("a")
    assert (found.state, found.seconds_a_step, found.estimated_seconds_a_round) == ("passed", 0.1, 11.0)
    assert north.rounds.gpus == [1] and north.leases.take(1)
    assert [(one["event"], one["answer"]) for one in north.audit.tail(5)] == [("request rehearsed", "passed")]


def test_while_a_run_is_queued_or_running_and_for_a_while_after_nothing_is_rehearsed(
    north: North, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(north.queue, "wait", lambda changed, timeout_seconds: None)
    north.rehearsals.arrived("a")
    run = north.enqueue()
    north.rehearser.step()
    assert north.queue.take(run)
    north.rehearser.step()
    north.queue.finish(run, "b" * 64)
    north.rehearser.step()
    north.clock[0] += rehearsing.QUIET_SECONDS - 0.1
    north.rehearser.step()
    assert north.rounds.gpus == [] and north.of("a").state == "waiting"
    north.clock[0] += 0.2
    north.rehearser.step()
    assert north.of("a").state == "passed"


def test_a_run_that_comes_ends_the_rehearsal_which_waits_again_and_says_nothing(north: North) -> None:
    def during(seen: Seen, given_up: Callable[[], bool]) -> None:
        assert not given_up()
        north.enqueue()
        seen.line("a place")
        assert given_up()
        raise RunCancelled("given up")

    north.rounds.during = during
    north.rehearsals.arrived("a")
    north.rehearser.step()
    found = north.of("a")
    assert (found.state, found.seconds_a_step, found.traceback) == ("waiting", 0.0, "")
    assert north.leases.take(1), "the run gets the GPU"


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_measured_beside_a_run_is_not_written_down(fails: bool, north: North) -> None:
    def during(seen: Seen, given_up: Callable[[], bool]) -> None:
        north.enqueue()  # and the rehearsal ends before it is told
        if fails:
            raise RunFailed("It ended.")

    north.rounds.during = during
    north.rehearsals.arrived("a")
    north.rehearser.step()
    assert north.of("a").state == "waiting" and north.audit.tail(5) == []


def test_a_failure_keeps_its_reason_and_traceback_and_the_next_one_has_its_turn(north: North) -> None:
    def during(seen: Seen, given_up: Callable[[], bool]) -> None:
        seen.line("a place")
        seen.peak_memory_mb = 7
        raise RunFailed("It ended.", private="for the log")

    north.rounds.during = during
    for name in ("a", "b"):
        north.rehearsals.arrived(name)
    north.rehearser.step()
    found = north.of("a")
    assert (found.state, found.reason, found.traceback) == ("failed", "WW501: It ended.", "a place")
    assert found.peak_memory_mb == 7 and "log" not in str(found)
    following = north.rehearsals.next()
    assert following and following.request_id == "b"


def test_what_cannot_be_rehearsed_is_impossible_with_a_reason_that_names_no_fault_of_the_hospital(north: North) -> None:
    def during(seen: Seen, given_up: Callable[[], bool]) -> None:
        raise ValueError("/of-the-hospital/a-folder")

    north.rounds.during = during
    north.rehearsals.arrived("a")
    north.rehearser.step()
    assert north.of("a").state == "impossible" and "a-folder" not in str(north.of("a"))
    north.open = False
    north.rehearsals.arrived("b")
    north.rehearser.step()
    assert north.of("b").state == "impossible" and "denied" in north.of("b").reason


def test_a_stop_ends_the_rehearsal_and_the_next_start_takes_it_up(north: North) -> None:
    begun = threading.Event()

    def during(seen: Seen, given_up: Callable[[], bool]) -> None:
        begun.set()
        wait_for(given_up)
        raise RunCancelled("stopping")

    north.rounds.during = during
    north.rehearsals.arrived("a")
    north.rehearser.start()
    wait_for(begun.is_set)
    north.rehearser.stop()
    assert north.of("a").state == "waiting"
