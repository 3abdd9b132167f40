"""Kernels are compiled before a run is closed in, by a process that is closed in itself; the run reads them.

The fork server, the sandbox, Triton, its assembler and the machine's C compiler are real; the GPU is one elsewhere.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.array_store import SourcePictures, ingest
from support.hospitals import draw_pictures
from support.kernel_work import ANSWER, PROGRAM
from support.waiting import CEILING_SECONDS, wait_for

from datasites.runs.enclosure import Enclosure
from datasites.runs.gpus import Gpu
from datasites.runs.kernels.kernel_key import kernel_key
from datasites.runs.kernels.kernel_store import KernelStore
from datasites.runs.processes.job import Job
from datasites.runs.processes.kernels import ready_kernels
from datasites.runs.processes.kernels.ready_kernels import ReadyKernels
from datasites.runs.processes.process import ForkServer
from datasites.runs.sandbox.confinement import sandbox_report
from datasites.runs.sandbox.limits import RunLimits
from datasites.training.models import initial_weights
from policies.contracts.weights import canonical_bytes
from policies.errors import RunCancelled
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

LACKING = [piece for piece in sandbox_report() if piece.required and not piece.present]
SPEC = ModelSpec("linear", (16, 16, 1), 2)
PLAN = TrainingPlan("kernels", "d", SPEC, 2, 1, 0.5, 0.1, privacy=PrivacySpec(1.0, 0.5, 1e-5))
LIMITS = RunLimits(4 << 30, 600, 600, 256, 64 << 20)
GPUS = (Gpu(0, "GPU-00"),)
LAUNCHER = "launcher"

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {LACKING}")


def nobody_gives_up() -> bool:
    return False


@dataclass
class Machine:
    """A state folder with secrets in it, a store of kernels, and a fork server."""

    folder: Path
    fork_server: ForkServer
    ready: ReadyKernels
    store: KernelStore

    def kernels(self, plan: TrainingPlan) -> Path | None:
        return self.store.find(kernel_key(plan, GPUS))

    def compile(self, plan: TrainingPlan) -> bool:
        return self.ready.compile_missing(plan, GPUS, os.urandom(4).hex(), nobody_gives_up)

    def run(self, plan: TrainingPlan) -> dict[str, object]:
        """What a run found that is closed in as the datasite says, with the kernels that there are."""
        scratch = self.folder / "scratch" / os.urandom(4).hex()
        scratch.mkdir(parents=True)
        weights, result = scratch / "weights", scratch / "update"
        weights.write_bytes(canonical_bytes(initial_weights(SPEC, 0)))
        confined = self.ready.given(Enclosure(self.folder, LIMITS, required=False).confine(GPUS), plan)
        job = Job(plan.to_json(), 0, str(self.folder / "store"), str(weights), str(result), confined)
        self.fork_server.start().execute(
            job,
            begin=lambda: None,
            timeout_seconds=CEILING_SECONDS,
            cancelled=nobody_gives_up,
            progress=lambda share: None,
        )
        return dict(json.loads(result.read_bytes()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    made = ForkServer(log=tmp_path_factory.mktemp("log") / "runs.log", threads=1, program=PROGRAM)
    yield made
    made.stop()


@pytest.fixture
def machine(tmp_path: Path, server: ForkServer, caplog: pytest.LogCaptureFixture) -> Machine:
    os.umask(0o077)
    caplog.set_level(logging.INFO)
    images, labels = draw_pictures(60, 1)
    ingest(SourcePictures(images, labels, ("dark", "bright"), None), tmp_path / "store", name="store")
    (tmp_path / "ledger.sqlite").write_text("secret")
    store = KernelStore(tmp_path / "kernels")
    enclosure = Enclosure(tmp_path, LIMITS, required=False)
    return Machine(tmp_path, server, ReadyKernels(tmp_path / "kernels", server, enclosure, LIMITS), store)


def test_a_run_loads_what_was_compiled_before_it_was_closed_in(machine: Machine) -> None:
    assert machine.compile(PLAN)
    found = machine.run(PLAN)
    assert isinstance(found["kernel"], int) and found["kernel"] > 1000
    assert (found[LAUNCHER], found["other"]) == (ANSWER, "missing")
    assert not machine.compile(PLAN), "compiled once for all rounds"
    assert not machine.compile(replace(PLAN, study="another", sample_rate=0.1, learning_rate=1.0))


def test_without_kernels_a_run_begins_to_compile_nothing(machine: Machine) -> None:
    assert machine.run(PLAN) == {"kernel": "missing", "other": "missing", LAUNCHER: "missing"}


def test_a_run_can_only_read_its_kernels(machine: Machine) -> None:
    plan = replace(PLAN, study="attacks")
    machine.compile(plan)
    held = machine.kernels(plan)
    assert held is not None
    before = {file.name: (file.read_bytes(), file.stat().st_mode) for file in held.iterdir()}
    found = machine.run(plan)
    assert {found[name] for name in ("change", "add", "remove")} <= {"EACCES", "EROFS"}
    assert (found["open"], found["start"]) == ("EPERM", "EPERM")
    assert before == {file.name: (file.read_bytes(), file.stat().st_mode) for file in held.iterdir()}


def test_the_compiler_reaches_nothing_but_its_folder_and_neither_does_what_it_starts(machine: Machine) -> None:
    plan = replace(PLAN, study="attacks")
    machine.compile(plan)
    held = machine.kernels(plan)
    assert held is not None
    came = json.loads((held / "outcome.json").read_text())
    own = {came.pop("own"), came.pop("child's own")}
    assert own == {"done"}, "it writes where it may"
    assert "done" not in came.values(), came
    assert {came[name] for name in ("ledger", "pictures", "list", "passwd", "write elsewhere")} == {"EACCES"}
    assert came["socket"] == "EPERM"
    assert not (Path("/tmp") / "of-a-compiler").exists() and not (machine.store.folder / "beside").exists()


def test_what_fails_is_told_to_the_log_and_not_tried_again_for_a_while(
    machine: Machine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(PLAN, study="fails")
    assert machine.compile(plan)
    (warning,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert "no headers" in warning and "see the doctor" in warning
    assert not machine.compile(plan)
    assert machine.run(plan)["kernel"] == "missing", "the run goes on"
    monkeypatch.setattr(ready_kernels, "RETRY_SECONDS", 0.0)
    machine.ready._failed.clear()
    assert machine.compile(plan) and machine.compile(plan)


ENDED = {
    "never-ends": {"COMPILE_SECONDS": 1},
    "writes-without-end": {"MOST_SET_BYTES": 8 << 20},
    "makes-a-folder": {},
    "makes-a-link": {},
}


@pytest.mark.parametrize("study", ENDED)
def test_a_compiler_out_of_bounds_is_ended_and_leaves_nothing(
    machine: Machine, study: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENDED[study].items():
        monkeypatch.setattr(ready_kernels, name, value)
    plan = replace(PLAN, study=study)
    assert machine.compile(plan)
    assert machine.kernels(plan) is None
    assert list(machine.store.folder.iterdir()) == []
    assert [one.levelname for one in caplog.records if one.name == ready_kernels.__name__] == ["WARNING"]


def test_whoever_gives_a_run_up_ends_its_compiler(machine: Machine) -> None:
    began = threading.Event()

    def given_up() -> bool:
        if list(machine.store.folder.glob("new-*/files/*.so")):
            began.set()
        return began.is_set()

    with pytest.raises(RunCancelled):
        machine.ready.compile_missing(replace(PLAN, study="never-ends"), GPUS, "given-up", given_up)
    assert began.is_set() and list(machine.store.folder.iterdir()) == []


def test_one_compiles_at_a_time_and_who_waited_has_what_it_made(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    threads = [threading.Thread(target=machine.compile, args=(PLAN,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: machine.kernels(PLAN))
    for thread in threads:
        thread.join()
    compiled = [one.getMessage() for one in caplog.records if "kernels compiled" in one.getMessage()]
    assert len(compiled) == 1


@pytest.mark.parametrize("cut", [0, 100], ids=["emptied", "cut off"])
def test_kernels_that_are_not_as_they_were_kept_count_as_not_there(machine: Machine, cut: int) -> None:
    machine.compile(PLAN)
    held = machine.kernels(PLAN)
    assert held is not None
    for file in held.glob("*.cubin"):
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:cut])
    assert machine.run(PLAN)["kernel"] == "missing"
    assert machine.compile(PLAN)
    assert machine.run(PLAN)[LAUNCHER] == ANSWER


def test_a_run_on_a_processor_has_no_kernels(machine: Machine) -> None:
    assert not machine.ready.compile_missing(PLAN, (), "cpu", nobody_gives_up)
    confined = Enclosure(machine.folder, LIMITS, required=False).confine(())
    assert machine.ready.given(confined, PLAN).kernels is None
