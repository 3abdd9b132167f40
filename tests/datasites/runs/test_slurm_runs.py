"""Runs on a real Slurm of one node: closed in there as here, heard, ended with their jobs, and told to nobody else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from support import charged_rounds, slurm_work
from support.array_store import SourcePictures, ingest
from support.charged_rounds import REQUEST, Datasite, make_datasite
from support.hospitals import draw_pictures
from support.slurm import Cluster, cluster
from support.waiting import wait_for

from datasites.audit_log.chain import read
from datasites.runs.gpus import Gpu
from datasites.runs.processes.job import Job
from datasites.runs.processes.launcher import NO_NODE, NOT_PLACED, Launcher
from datasites.runs.processes.process import ForkServer
from datasites.runs.processes.runner_words import NO_RESULT
from datasites.runs.sandbox.confinement import Confinement, draw_uid, sandbox_report
from datasites.runs.sandbox.limits import RunLimits
from datasites.runs.slurm import placed_run
from datasites.runs.slurm.launcher import SlurmLauncher
from datasites.runs.slurm.placed_run import PlacedRun
from datasites.runs.slurm.settings import SlurmSettings
from datasites.runs.slurm.srun import Slurm
from datasites.training.models import initial_weights
from policies.contracts.weights import canonical_bytes
from policies.errors import RunCancelled, RunFailed, RunLost, SandboxMissing
from policies.ledger.reservations import NOTHING_LEFT
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

LACKING = [piece for piece in sandbox_report() if piece.required and not piece.present]
SPEC = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
PLAN = TrainingPlan("fixed", "d", SPEC, 1, 3, 0.5, 0.1, momentum=0.5, privacy=PrivacySpec(1.0, 0.5, 1e-5))
LIMITS = RunLimits(1 << 30, 60, 60, 64, 4 << 20)

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {LACKING}")


@dataclass
class Hospital:
    """A state folder with a store, a cluster, and what its runs tell while they go on."""

    folder: Path
    cluster: Cluster
    begun: int = 0
    run: PlacedRun | None = None

    def launcher(self, program: str = "", **settings: str | float) -> SlurmLauncher:
        slurm = Slurm(SlurmSettings(runs_on="slurm", **settings), LIMITS, 1, self.folder)  # type: ignore[arg-type]
        return SlurmLauncher(slurm, log=self.folder / "runs.log", program=program or slurm_work.program(self.folder))

    def job(self, study: str, *, gpus: int = 0, required: bool = True) -> Job:
        scratch = self.folder / "scratch" / os.urandom(4).hex()
        scratch.mkdir(parents=True)
        (scratch / "weights").write_bytes(canonical_bytes(initial_weights(SPEC, 0)))
        leased = tuple(Gpu(number, "of Slurm's choice") for number in range(gpus))
        confinement = Confinement(LIMITS, required, self.folder.resolve(), draw_uid(), leased)
        files = {"weights": str(scratch / "weights"), "result": str(scratch / "update")}
        return Job(
            replace(PLAN, study=study).to_json(), 0, str(self.folder / "store"), confinement=confinement, **files
        )

    def execute(
        self,
        study: str,
        launcher: Launcher | None = None,
        *,
        gpus: int = 0,
        required: bool = True,
        timeout_seconds: float = 60.0,
        cancelled: Callable[[], bool] = lambda: False,
        half: Callable[[], object] = lambda: None,
        after: Callable[[], object] = lambda: None,
    ) -> bytes:
        """A run's result, as it lies there once the run has ended; its job is let go then."""
        job, runner = self.job(study, gpus=gpus, required=required), (launcher or self.launcher()).start()
        self.run = runner if isinstance(runner, PlacedRun) else None
        self.begun = 0

        def begin() -> None:
            self.begun += 1

        try:
            runner.execute(
                job,
                begin=begin,
                timeout_seconds=timeout_seconds,
                cancelled=cancelled,
                progress=lambda share: half() and None if share == 0.5 else None,  # type: ignore[func-returns-value]
            )
            return Path(job.result).read_bytes()
        finally:
            runner.release()
            after()
            if self.run is not None:
                wait_for(lambda: self.run is not None and self.run.name not in self.cluster.jobs())

    def processes(self) -> list[psutil.Process]:
        """What runs of this hospital's steps, on the node."""
        mark = str(self.folder)
        return [one for one in psutil.process_iter() if any(mark in word for word in _words_of(one))]


def _words_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline() if "python" in process.name() else []
    return []


def _hospital(folders: pytest.TempPathFactory, made: Cluster) -> Hospital:
    folder = folders.mktemp("slurm")
    os.umask(0o077)
    images, labels = draw_pictures(60, 1)
    ingest(SourcePictures(images, labels, ("dark", "bright"), None), folder / "store", name="store")
    return Hospital(folder, made)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with cluster() as made:
        yield _hospital(tmp_path_factory, made)
        assert made.jobs() == []


# --- a run, and what it is there -----------------------------------------------------------------------------------


def test_a_round_on_the_cluster_is_bit_for_bit_the_one_here(hospital: Hospital, fork_server: ForkServer) -> None:
    here = hospital.execute("fixed", fork_server)
    there = hospital.execute("fixed", hospital.launcher(slurm_work.TRAINING))
    assert there == here and len(there) > 1000
    assert hospital.begun == 1 and hospital.run is not None
    assert hospital.run.peak_memory_mb() > 100 and hospital.run.known_as["slurm_job"] > 0


def test_a_run_is_closed_in_on_its_node(hospital: Hospital) -> None:
    seen = json.loads(hospital.execute("tells"))
    assert seen["pid"] == 1 and seen["pictures"] > 0
    assert {name: seen[name] for name in ("socket", "file", "state", "process")} == dict.fromkeys(
        ("socket", "file", "state", "process"), "PermissionError"
    )
    assert os.geteuid() != 0 or 61_184 <= seen["uid"] < 65_520
    assert [name for name in seen["environment"] if "SLURM" in name or "PATH" in name] == []


def test_nothing_of_a_run_is_in_what_slurm_writes_and_tells(hospital: Hospital) -> None:
    for study in ("tells", "raises"):
        with suppress(RunFailed):
            hospital.execute(study)
    written = hospital.cluster.logs() + hospital.cluster.ask("scontrol", "show", "jobs", "--details")
    assert hospital.run is not None and hospital.run.name in written
    log = (hospital.folder / "runs.log").read_text()
    for secret in (slurm_work.SECRET, "tells", "raises", "small_cnn", "max_grad_norm", "scratch", "runs.log"):
        assert secret not in written, secret
    assert slurm_work.SECRET not in log
    assert {line for line in written.splitlines() if "StdOut=" in line or "Comment=" in line} <= {
        "   StdOut=/dev/null"  # where Slurm says so at all
    }


def test_a_run_has_ended_when_its_result_is_read_and_its_job_goes_on_until_it_is_let_go(hospital: Hospital) -> None:
    runner = hospital.launcher().start()
    job = hospital.job("tells")
    runner.execute(job, begin=lambda: None, timeout_seconds=60, cancelled=lambda: False, progress=lambda share: None)
    assert runner.name in hospital.cluster.jobs("RUNNING")
    assert [one for one in hospital.processes() if one.uids().real >= 61_184] == []
    runner.release()
    wait_for(lambda: runner.name not in hospital.cluster.jobs())
    assert json.loads(Path(job.result).read_text())["pid"] == 1


# --- ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("study", "private"), [("raises", "ValueError at slurm_work.py"), ("crashes", "before it was")]
)
def test_a_run_that_fails_there_fails_as_here(hospital: Hospital, study: str, private: str) -> None:
    with pytest.raises(RunFailed) as failed:
        hospital.execute(study)
    assert failed.value.public == NO_RESULT and private in failed.value.private
    assert hospital.begun == 1


def test_a_cancelled_run_is_gone_from_the_queue_and_from_the_node(hospital: Hospital) -> None:
    halved = threading.Event()
    with pytest.raises(RunCancelled):
        hospital.execute("waits", half=halved.set, cancelled=halved.is_set)
    assert hospital.begun == 1
    assert hospital.cluster.jobs() == [] and hospital.processes() == []


def test_a_run_that_waits_for_a_node_can_be_cancelled(hospital: Hospital) -> None:
    asked = hospital.launcher(slurm_partition="down")
    with pytest.raises(RunCancelled):
        hospital.execute("tells", asked, cancelled=lambda: bool(hospital.cluster.jobs("PENDING")))
    assert hospital.begun == 0 and hospital.cluster.jobs() == []


def test_a_run_that_gets_no_node_in_time_fails_before_it_is_charged(hospital: Hospital) -> None:
    with pytest.raises(RunFailed) as failed:
        hospital.execute("tells", hospital.launcher(slurm_partition="down", slurm_wait_minutes=0.01))
    assert failed.value.public == NO_NODE and hospital.begun == 0


def test_a_run_that_is_never_ready_is_ended_on_its_node(hospital: Hospital) -> None:
    with pytest.raises(RunFailed, match="not ready to read a picture within the 1 seconds"):
        hospital.execute("never", timeout_seconds=1)
    assert hospital.begun == 0 and hospital.processes() == []


@pytest.mark.slow
def test_a_step_whose_holder_dies_loses_its_run_and_the_datasite_notices(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placed_run, "SILENT_SECONDS", 2.0)
    monkeypatch.setattr(placed_run, "END_SECONDS", 1.0)
    with pytest.raises(RunFailed) as failed:
        hospital.execute("waits", half=lambda: [one.kill() for one in hospital.cluster.steps()])
    assert failed.value.public == NO_RESULT and hospital.begun == 1
    wait_for(lambda: hospital.processes() == [])


def test_a_run_goes_on_while_the_nodes_daemon_is_away(hospital: Hospital) -> None:
    def kill() -> None:
        hospital.cluster.kill("slurmd")

    assert hospital.execute("half", half=kill, after=hospital.cluster.start_node) == b"done"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_whose_datasite_dies_ends_on_its_node(hospital: Hospital, number: int) -> None:
    """What carries its words dies with the datasite, or is ended by whoever stops it."""

    def end_srun() -> None:
        assert hospital.run is not None and hospital.run._srun is not None
        hospital.run._srun.send_signal(number)

    with pytest.raises(RunFailed):
        hospital.execute("waits", half=end_srun)
    wait_for(lambda: hospital.processes() == [])


def test_a_run_whose_datasite_is_silent_ends_by_itself(hospital: Hospital) -> None:
    """Neither side can be heard any more, as where a cable is pulled."""
    (hospital.folder / slurm_work.SILENCE).write_text("1")

    def stop_srun() -> None:
        assert hospital.run is not None and hospital.run._srun is not None
        hospital.run._srun.send_signal(signal.SIGSTOP)
        wait_for(lambda: hospital.processes() == [])
        hospital.run._srun.send_signal(signal.SIGCONT)

    try:
        with pytest.raises(RunFailed):
            hospital.execute("waits", half=stop_srun)
    finally:
        (hospital.folder / slurm_work.SILENCE).unlink()


def test_a_silent_node_is_given_up(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = hospital.launcher().start()

    def stop_step() -> None:
        for one in hospital.processes():
            one.suspend()

    monkeypatch.setattr(placed_run, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(placed_run, "END_SECONDS", 1.0)
    with pytest.raises(RunFailed) as failed:
        runner.execute(
            hospital.job("waits"),
            begin=lambda: None,
            timeout_seconds=60,
            cancelled=lambda: False,
            progress=lambda share: stop_step(),
        )
    runner.release()
    assert "nothing was heard" in failed.value.private
    wait_for(lambda: hospital.processes() == [] and hospital.cluster.jobs() == [])


def test_what_an_earlier_start_left_is_ended_by_the_next(hospital: Hospital) -> None:
    slurm = Slurm(SlurmSettings(runs_on="slurm"), LIMITS, 1, hospital.folder)
    left, others = slurm.new_name(), Slurm(SlurmSettings(), LIMITS, 1, hospital.folder / "another").new_name()
    for name in (left, others):
        command = ["sbatch", f"--job-name={name}", "--partition=down", "--wrap=true", "--output=/dev/null"]
        assert "Submitted" in hospital.cluster.ask(*command)
    launcher = hospital.launcher()
    launcher.warm_up()
    wait_for(lambda: hospital.cluster.jobs() == [others])
    launcher.warm_up()
    slurm.cancel(others)
    wait_for(lambda: hospital.cluster.jobs() == [])


def test_stopping_ends_every_job(hospital: Hospital) -> None:
    launcher = hospital.launcher()
    with pytest.raises(RunFailed):
        hospital.execute("waits", launcher, half=launcher.stop)
    wait_for(lambda: hospital.processes() == [])


# --- what Slurm refuses, or does not give --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"slurm_partition": "nowhere"}, "invalid partition specified: nowhere"),
        ({"slurm_constraint": "infiniband"}, "Invalid feature specification"),
        ({"slurm_reservation": "night"}, "Requested reservation is invalid"),
        ({"slurm_programs": "/nonexistent"}, "srun is not in /nonexistent"),
    ],
    ids=["partition", "constraint", "reservation", "programs"],
)
def test_what_slurm_refuses_is_told_to_the_hospital_before_anything_is_charged(
    hospital: Hospital, settings: dict[str, str], said: str
) -> None:
    with pytest.raises(RunFailed) as failed:
        hospital.execute("tells", hospital.launcher(**settings))
    assert failed.value.public == NOT_PLACED and said in failed.value.private
    assert hospital.begun == 0


def test_a_run_that_asks_for_gpus_is_refused_where_nothing_limits_its_memory(hospital: Hospital) -> None:
    _list_gpus(hospital, 2)
    with pytest.raises(SandboxMissing) as refused:
        hospital.execute("tells", gpus=2)
    assert "control group" in refused.value.private and "device rules" not in refused.value.private
    assert hospital.begun == 0


def test_a_run_that_has_other_gpus_than_it_asked_for_is_refused(hospital: Hospital) -> None:
    _list_gpus(hospital, 1)
    with pytest.raises(SandboxMissing) as refused:
        hospital.execute("tells", gpus=2, required=False)
    assert "have 2 GPUs and can open 1" in refused.value.private and hospital.begun == 0


def test_a_run_sees_the_gpus_that_it_has_on_its_node(hospital: Hospital) -> None:
    _list_gpus(hospital, 1)
    assert json.loads(hospital.execute("tells", gpus=1, required=False))["gpus"] == "GPU-00"


def _list_gpus(hospital: Hospital, count: int) -> None:
    """As many GPUs as a driver on the node lists."""
    driver = hospital.folder / slurm_work.DRIVER
    shutil.rmtree(driver, ignore_errors=True)
    for minor in range(count):
        (driver / f"0000:3{minor}:00.0").mkdir(parents=True)
        (driver / f"0000:3{minor}:00.0" / "information").write_text(
            f"GPU UUID: \t GPU-0{minor}\nDevice Minor: \t {minor}\n"
        )


# --- rounds, and what they cost ------------------------------------------------------------------------------------


@pytest.fixture
def datasite(hospital: Hospital, tmp_path: Path) -> Iterator[Callable[[SlurmLauncher], Datasite]]:
    """A datasite whose one approved request is run on the cluster."""
    made: list[Datasite] = []

    def open_it(launcher: SlurmLauncher) -> Datasite:
        made.append(make_datasite(tmp_path / "north", launcher))
        made[0].state.store.rmdir()
        images = np.random.default_rng(0).integers(0, 255, (60, 8, 8, 1), dtype=np.uint8)
        ingest(SourcePictures(images, np.arange(60) % 2, ("a", "b"), None), made[0].state.store, name="d")
        return made[0]

    yield open_it
    for one in made:
        one.close()


@pytest.mark.slow
def test_a_round_trains_on_the_cluster_and_is_charged_as_here(
    hospital: Hospital, datasite: Callable[[SlurmLauncher], Datasite]
) -> None:
    made = datasite(hospital.launcher(slurm_work.TRAINING))
    made.ask(seed=1)
    made.execute()
    assert (made.run().state, made.kinds) == ("done", ["reserve", "start", "commit"])
    assert made.steps_charged == charged_rounds.PLAN.steps_per_round
    told = {entry["event"]: entry for entry in read(made.state.audit).entries}
    assert int(told["run started"]["slurm_job"]) > 0 and "pid" not in told["run started"]


def test_a_round_that_slurm_refuses_costs_nothing_and_the_log_says_why(
    hospital: Hospital, datasite: Callable[[SlurmLauncher], Datasite]
) -> None:
    made = datasite(hospital.launcher(slurm_partition="nowhere"))
    made.ask()
    made.execute()
    assert (made.run().state, made.run().reason, made.kinds) == ("failed", NOT_PLACED, ["reserve"])
    (failed,) = [entry for entry in read(made.state.audit).entries if entry["event"] == "run failed"]
    assert "invalid partition specified: nowhere" in str(failed["detail"])


def test_a_round_whose_node_is_lost_is_charged_once_and_never_runs_again(
    hospital: Hospital, datasite: Callable[[SlurmLauncher], Datasite], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placed_run, "SILENT_SECONDS", 2.0)
    monkeypatch.setattr(placed_run, "END_SECONDS", 1.0)
    made = datasite(hospital.launcher(slurm_work.program(hospital.folder, study="waits")))
    made.ask()
    ended = threading.Thread(target=made.execute)
    ended.start()
    wait_for(lambda: made.run().progress == 0.5)
    for one in hospital.cluster.steps():
        one.kill()
    ended.join()
    assert (made.run().state, made.run().code) == ("failed", RunLost.code)
    assert made.kinds == ["reserve", "start", "commit"] and made.ledger.committed(REQUEST, 0) == NOTHING_LEFT
    assert made.ask()["state"] == "failed" and made.queue.waiting() == ()


def test_a_round_that_is_stopped_with_the_datasite_runs_again_for_the_same_charge(
    hospital: Hospital, datasite: Callable[[SlurmLauncher], Datasite]
) -> None:
    made = datasite(hospital.launcher(slurm_work.program(hospital.folder, study="waits")))
    made.start()
    made.ask()
    wait_for(lambda: made.run().progress == 0.5)
    made.fork_server = hospital.launcher(slurm_work.program(hospital.folder, study="updates"))
    again = made.again()
    assert hospital.cluster.jobs() == [] and hospital.processes() == []
    again.start()
    wait_for(lambda: again.run().state == "done")
    assert again.kinds == ["reserve", "start", "commit"]
    again.close()


@pytest.mark.parametrize("gpus", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_slurms_control_groups_give_a_run_its_gpus_and_hold_it_to_its_memory(
    tmp_path_factory: pytest.TempPathFactory, gpus: int
) -> None:
    with cluster(cgroups=True) as held:
        made = _hospital(tmp_path_factory, held)
        _list_gpus(made, 2)
        (made.folder / slurm_work.DRIVER / "devices").symlink_to(held.folder)
        seen = json.loads(made.execute("tells", gpus=gpus))
        assert seen["gpus"] == ",".join(f"GPU-0{number}" for number in range(gpus))
        _list_gpus(made, 3)  # one more than Slurm knows of, whose device the step could open
        (made.folder / slurm_work.DRIVER / "devices").symlink_to(held.folder)
        (held.folder / "nvidia2").touch()
        with pytest.raises(SandboxMissing, match="cannot close runs in"):
            made.execute("tells", gpus=gpus)
