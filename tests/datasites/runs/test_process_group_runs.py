"""Runs of several processes, in the real fork server and sandbox: one mechanism, and no process outlives its run."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.numpy import load
from support.array_store import SourcePictures, ingest
from support.hospitals import draw_pictures
from support.process_group_work import FILTER, NAMESPACES
from support.waiting import wait_for

from datasites.runs.gpus import find_gpus
from datasites.runs.processes.job import Job
from datasites.runs.processes.process import ForkServer
from datasites.runs.sandbox.confinement import Confinement, draw_uid, sandbox_report
from datasites.runs.sandbox.limits import RunLimits
from datasites.training.models import initial_weights
from policies.contracts.weights import canonical_bytes
from policies.errors import (
    NotRepeatable,
    OutOfMemory,
    RoundRefused,
    RunCancelled,
    RunFailed,
    SandboxMissing,
    WanwuError,
)
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

LACKING = [piece for piece in sandbox_report() if piece.required and not piece.present]
SPEC = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
PLAN = TrainingPlan("fixed", "d", SPEC, 1, 3, 0.5, 0.1, momentum=0.5, privacy=PrivacySpec(1.0, 0.5, 1e-5))
LIMITS = RunLimits(1 << 30, 60, 60, 64, 4 << 20)

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {LACKING}")


@dataclass
class Machine:
    """A state folder with a store, a fork server, and GPUs that a driver lists but nobody has."""

    folder: Path
    gpus: tuple[Any, ...]
    fork_server: ForkServer
    required: bool = True
    watched: list[int] = field(default_factory=list)

    def run(
        self,
        study: str,
        *,
        processes: int = 2,
        gpus: bool = True,
        limits: RunLimits = LIMITS,
        when_half: Callable[[psutil.Process], object] = lambda runner: None,
        cancelled: Callable[[], bool] = lambda: False,
        begin: Callable[[], None] = lambda: None,
    ) -> bytes:
        """A run's result; `when_half` is given its first process when that says that it is half done."""
        scratch = Path(self.folder / "scratch" / os.urandom(4).hex())
        scratch.mkdir(parents=True)
        weights, result = scratch / "weights", scratch / "update"
        weights.write_bytes(canonical_bytes(initial_weights(SPEC, 0)))
        leased = self.gpus[:processes] if gpus else ()
        job = Job(
            replace(PLAN, study=study).to_json(),
            0,
            str(self.folder / "store"),
            str(weights),
            str(result),
            Confinement(limits, self.required, self.folder.resolve(), draw_uid(), leased),
            processes=processes,
        )
        runner = self.fork_server.start()
        first = psutil.Process(runner.pid)
        runner.execute(
            job,
            begin=begin,
            timeout_seconds=limits.wall_seconds_per_run,
            cancelled=cancelled,
            progress=lambda share: self._half(first, when_half) if share == 0.5 else None,
        )
        return result.read_bytes()

    def _half(self, first: psutil.Process, when_half: Callable[[psutil.Process], object]) -> None:
        self.watched = [first.pid, *(child.pid for child in first.children(recursive=True))]
        when_half(first)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, fork_server: ForkServer) -> Machine:
    folder = tmp_path_factory.mktemp("process_group")
    os.umask(0o077)
    images, labels = draw_pictures(60, 1)
    ingest(SourcePictures(images, labels, ("dark", "bright"), None), folder / "store", name="store")
    driver = folder / "driver"
    for minor, slot in enumerate(("0000:3b:00.0", "0000:5e:00.0", "0000:af:00.0")):
        (driver / slot).mkdir(parents=True)
        (driver / slot / "information").write_text(f"GPU UUID: \t GPU-0{minor}\nDevice Minor: \t {minor}\n")
    return Machine(folder, find_gpus(driver), fork_server)


@contextlib.contextmanager
def without(piece: str, fork_server_folder: Path) -> Iterator[None]:
    """Inside, runs lack a piece of the sandbox."""
    (fork_server_folder / piece).touch()
    try:
        yield
    finally:
        (fork_server_folder / piece).unlink()


@pytest.fixture(scope="module")
def alone(machine: Machine) -> dict[str, np.ndarray]:
    """What one process makes of the round with the fixed draws."""
    return load(machine.run("fixed", processes=1, gpus=False))


@pytest.mark.parametrize(("processes", "gpus"), [(2, True), (2, False), (3, True)])
def test_several_processes_make_what_one_makes_of_the_same_draws(
    machine: Machine, alone: dict[str, np.ndarray], processes: int, gpus: bool
) -> None:
    together = load(machine.run("fixed", processes=processes, gpus=gpus))
    assert together.keys() == alone.keys()
    assert all(np.allclose(together[name], alone[name], atol=2e-6) for name in alone)
    assert any(np.abs(values).max() > 1e-3 for values in alone.values())


def test_a_run_of_two_processes_trains_as_hospitals_do(machine: Machine, alone: dict[str, np.ndarray]) -> None:
    update = load(machine.run("train"))
    assert {name: values.shape for name, values in update.items()} == {n: v.shape for n, v in alone.items()}
    assert all(np.isfinite(values).all() for values in update.values())
    assert any(not np.allclose(update[name], alone[name]) for name in alone), "its draws are its own"


def test_each_process_has_a_gpu_of_its_own_and_its_part_of_the_limits(machine: Machine) -> None:
    seen = json.loads(machine.run("look", processes=3))
    assert [one["gpus"] for one in seen] == ["GPU-00", "GPU-01", "GPU-02"]
    assert [one["processor"] for one in seen] == [20, 20, 20]
    assert [one["written"] for one in seen] == [4 << 20, 0, 0]


def test_no_process_prepares_before_all_are_closed_in_and_none_works_before_it_is_told_to_go(machine: Machine) -> None:
    told: list[float] = []

    def begin() -> None:
        time.sleep(0.3)  # long enough for a process that does not wait
        told.append(time.monotonic())

    seen = json.loads(machine.run("look", processes=3, begin=begin))
    assert len(seen) == 3
    assert min(one["prepared"] for one in seen) > max(one["closed in"] for one in seen)
    assert max(one["prepared"] for one in seen) < told[0]
    assert min(one["began"] for one in seen) > told[0]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("study", "error"), [("neighbours", NotRepeatable), ("no-memory", OutOfMemory), ("layers", RunFailed)]
)
def test_a_run_whose_device_is_unfit_is_not_told_to_go_and_says_why(
    machine: Machine, study: str, error: type[WanwuError], processes: int
) -> None:
    """Of two processes, the second's alone is."""
    begun: list[str] = []
    with pytest.raises(error) as refused:
        machine.run(study, processes=processes, gpus=processes > 1, begin=lambda: begun.append("charged"))
    assert type(refused.value) is error
    assert begun == []
    assert "read no picture" in refused.value.public
    assert ("another of its processes" in refused.value.private) == (processes > 1)


def test_pictures_are_read_after_the_run_is_told_to_go(machine: Machine) -> None:
    """What stands in their place by then is what it trains on, in all its processes."""
    images = np.load(machine.folder / "store" / "images.npy", mmap_mode="r+")
    kept, update = images.copy(), {}

    def turn() -> None:
        images[:] = 255 - kept

    try:
        update["after"] = load(machine.run("fixed", begin=turn))
        update["before"] = load(machine.run("fixed"))
    finally:
        images[:] = kept
    update["as it was"] = load(machine.run("fixed"))
    for name, values in update["before"].items():
        assert np.array_equal(update["after"][name], values)
    assert any(not np.allclose(update["as it was"][name], values) for name, values in update["before"].items())


@pytest.mark.parametrize("processes", [1, 2])
def test_pictures_that_the_disk_does_not_give_end_the_run_and_nothing_else(
    machine: Machine, processes: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is cut has no more pages, as where a disk cannot read them: whoever looks is ended by the system."""
    images = machine.folder / "store" / "images.npy"
    kept = images.read_bytes()
    try:
        with pytest.raises(RunFailed, match="nothing left it"):
            machine.run("fixed", processes=processes, gpus=processes > 1, begin=lambda: os.truncate(images, 0))
    finally:
        images.write_bytes(kept)
    assert "Look at the disk" in caplog.text
    assert load(machine.run("fixed", processes=processes, gpus=processes > 1))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_is_not_told_to_go_does_nothing(machine: Machine, processes: int) -> None:
    def refuse() -> None:
        raise RoundRefused("It is charged with other weights.")

    machine.watched = []
    with pytest.raises(RoundRefused):
        machine.run("stop", processes=processes, begin=refuse)
    assert machine.watched == []


def kill_a_worker(first: psutil.Process) -> None:
    first.children()[-1].kill()


@pytest.mark.parametrize("processes", [2, 3])
def test_a_worker_that_is_killed_ends_the_run_and_leaves_nothing(machine: Machine, processes: int) -> None:
    with pytest.raises(RunFailed) as failed:
        machine.run("stop", processes=processes, when_half=kill_a_worker)
    assert "ProcessGroupBroken" in failed.value.private
    assert len(machine.watched) == processes
    assert not any(psutil.pid_exists(pid) for pid in machine.watched)


def kill_the_first(first: psutil.Process) -> None:
    first.kill()


def test_a_first_process_that_is_killed_takes_its_workers_with_it(machine: Machine) -> None:
    with pytest.raises(RunFailed):
        machine.run("leave", when_half=kill_the_first)
    assert len(machine.watched) == 2
    assert not any(psutil.pid_exists(pid) for pid in machine.watched)


@pytest.mark.parametrize(("study", "kill"), [("stop", kill_a_worker), ("leave", kill_the_first)])
def test_without_namespaces_no_process_outlives_the_run_either(
    machine: Machine, fork_server_folder: Path, study: str, kill: Callable[[psutil.Process], object]
) -> None:
    bare = replace(machine, required=False, watched=[])
    with without(NAMESPACES, fork_server_folder), pytest.raises(RunFailed):
        bare.run(study, when_half=kill)
    assert len(bare.watched) == 2
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in bare.watched))


def test_a_cancelled_run_ends_with_all_its_processes(machine: Machine) -> None:
    half = threading.Event()
    with pytest.raises(RunCancelled):
        machine.run("stop", when_half=lambda first: half.set(), cancelled=half.is_set)
    assert len(machine.watched) == 2
    assert not any(psutil.pid_exists(pid) for pid in machine.watched)


def test_a_run_that_takes_too_long_ends_with_all_its_processes(machine: Machine) -> None:
    with pytest.raises(RunFailed, match="2 seconds"):
        machine.run("leave", limits=replace(LIMITS, wall_seconds_per_run=2))
    assert len(machine.watched) == 2
    assert not any(psutil.pid_exists(pid) for pid in machine.watched)


def test_a_run_that_takes_too_long_to_prepare_is_not_told_to_go(machine: Machine) -> None:
    begun: list[str] = []
    with pytest.raises(RunFailed, match="not ready to read a picture within the 1 seconds"):
        machine.run("prepare", limits=replace(LIMITS, wall_seconds_per_run=1), begin=lambda: begun.append("charged"))
    assert begun == []


def test_the_fork_server_has_no_process_left_over(machine: Machine) -> None:
    machine.fork_server.warm_up()
    assert machine.fork_server._process is not None
    fork_server = psutil.Process(machine.fork_server._process.pid)
    wait_for(lambda: not fork_server.children(recursive=True))


def test_a_run_is_refused_where_a_worker_cannot_be_closed_in(machine: Machine, fork_server_folder: Path) -> None:
    with without(FILTER, fork_server_folder):
        machine.run("fixed", processes=1, gpus=False)
        with pytest.raises(SandboxMissing) as missing:
            machine.run("fixed")
    assert "no filter for a worker" in missing.value.private


def test_workers_end_with_the_fork_server(machine: Machine) -> None:
    """The next run starts it again."""
    with pytest.raises(RunFailed):
        machine.run("leave", when_half=lambda first: machine.fork_server.stop())
    assert len(machine.watched) == 2
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in machine.watched))
