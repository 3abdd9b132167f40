"""A run looks at its device before it reads a picture; a later one of the same kind need not look again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.array_store import SourcePictures, ingest
from support.hospitals import draw_pictures
from support.process_group_work import PROGRAM

from datasites.runs.processes.device_looks import MAX_KEPT, DeviceLooks
from datasites.runs.processes.job import Job
from datasites.runs.processes.process import ForkServer
from datasites.runs.sandbox.confinement import Confinement, draw_uid
from datasites.runs.sandbox.limits import RunLimits
from datasites.training.models import initial_weights
from policies.contracts.weights import canonical_bytes
from policies.errors import NotRepeatable, RoundRefused
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

SPEC = ModelSpec("linear", (16, 16, 1), 2)
PLAN = TrainingPlan("looks", "d", SPEC, 2, 1, 0.5, 0.1, privacy=PrivacySpec(1.0, 0.5, 1e-5), run=RunSpec("cpu"))
LIMITS = RunLimits(1 << 30, 60, 60, 64, 4 << 20)


def nothing() -> None:
    """The datasite charges the round."""


@dataclass
class Machine:
    """Stores, and a fork server whose runs say how often they looked."""

    folder: Path
    fork_server: ForkServer

    def job(self, plan: TrainingPlan = PLAN, *, store: str = "store", limits: RunLimits = LIMITS, seed: int = 0) -> Job:
        scratch = self.folder / os.urandom(4).hex()
        scratch.mkdir()
        weights = scratch / "weights"
        weights.write_bytes(canonical_bytes(initial_weights(SPEC, seed)))
        confined = Confinement(limits, False, (self.folder / "hidden").resolve(), draw_uid())
        return Job(plan.to_json(), 0, str(self.folder / store), str(weights), str(scratch / "update"), confined)

    def looks(self, job: Job, begin: Callable[[], None] = nothing) -> int:
        """How often a run of this job tries its device."""
        self.fork_server.start().execute(
            job, begin=begin, timeout_seconds=60, cancelled=lambda: False, progress=lambda share: None
        )
        return int(Path(job.result).read_bytes())


@pytest.fixture
def machine(tmp_path: Path, fork_server: ForkServer) -> Machine:
    os.umask(0o077)
    for number, name in enumerate(("store", "other")):
        images, labels = draw_pictures(60, number)
        ingest(SourcePictures(images, labels, ("dark", "bright"), None), tmp_path / name, name=name)
    return Machine(tmp_path, fork_server)


def test_the_device_is_looked_at_once_for_all_rounds_of_a_kind(machine: Machine) -> None:
    assert machine.looks(machine.job()) == 1
    assert machine.looks(machine.job(seed=1)) == 0
    assert machine.looks(replace(machine.job(), round=1)) == 0


OTHERS: dict[str, dict[str, Any]] = {
    "batch": {"plan": replace(PLAN, run=RunSpec("cpu", 7))},
    "precision": {"plan": replace(PLAN, run=RunSpec("cpu", precision="bfloat16"))},
    "layers": {"plan": replace(PLAN, momentum=0.5)},
    "pictures": {"store": "other"},
    "limits": {"limits": replace(LIMITS, wall_seconds_per_run=59)},
}


@pytest.mark.parametrize("changed", OTHERS.values(), ids=OTHERS)
def test_whatever_else_a_run_is_told_asks_for_a_look_of_its_own(machine: Machine, changed: dict[str, Any]) -> None:
    machine.looks(machine.job())
    assert machine.looks(machine.job()) == 0
    assert machine.looks(machine.job(**changed)) == 1


def test_what_was_found_ends_with_the_process_that_runs_are_forked_from(machine: Machine) -> None:
    server = ForkServer(log=machine.folder / "runs.log", threads=1, program=PROGRAM)
    other = replace(machine, fork_server=server)
    try:
        assert [other.looks(other.job()) for _ in range(2)] == [1, 0]
        server.stop()
        assert [other.looks(other.job()) for _ in range(2)] == [1, 0]
    finally:
        server.stop()


def test_a_failed_look_is_never_passed_later(machine: Machine) -> None:
    for _ in range(2):
        with pytest.raises(NotRepeatable):
            machine.looks(machine.job(replace(PLAN, study="neighbours")))


def test_after_a_run_that_ended_otherwise_than_well_the_next_one_looks(machine: Machine) -> None:
    def refuse() -> None:
        raise RoundRefused("No.")

    machine.looks(machine.job())
    with pytest.raises(RoundRefused):
        machine.looks(machine.job(), refuse)
    assert [machine.looks(machine.job()) for _ in range(2)] == [1, 0]


def test_of_what_a_run_says_the_first_look_counts_and_no_word_after_it(machine: Machine) -> None:
    boasting = replace(PLAN, study="boasts")
    assert machine.looks(machine.job(boasting)) == 1
    told = machine.fork_server._looks.told(machine.job(boasting)).look
    assert '"places"' in told and "second" not in told and "third" not in told


def test_a_rehearsal_looks_itself_and_tells_nothing_to_rounds(machine: Machine) -> None:
    looks, job = DeviceLooks(), machine.job()
    rehearsal = replace(job, rehearses=True)
    looks.keep(rehearsal, "of a rehearsal")
    assert looks.told(job).look == looks.told(rehearsal).look == ""
    looks.keep(job, "of a round")
    assert (looks.told(job).look, looks.told(rehearsal).look) == ("of a round", "")


def test_no_more_looks_are_kept_than_are_of_use_and_the_one_needed_last_stays(machine: Machine) -> None:
    looks, job = DeviceLooks(), machine.job()
    kinds = [replace(job, store=str(number)) for number in range(MAX_KEPT + 1)]
    for kind in kinds[:-1]:
        looks.keep(kind, "found")
    looks.told(kinds[0])
    looks.keep(kinds[-1], "found")
    assert looks.told(kinds[0]).look and looks.told(kinds[-1]).look and not looks.told(kinds[1]).look
