"""A simulation on a real Ray cluster of two workers, by the command: one is killed, and nothing is left behind."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.hospitals import ENVIRONMENT, PROJECT
from support.ports import free_port
from support.waiting import CEILING_SECONDS, wait_for

from policies.plans.server.server_spec import ServerSpec
from policies.terminal.entry import INTERRUPTED
from researcher.planning.settings import StudySettings
from researcher.reports.kept_result import read_result
from researcher.simulation.at_work.on_ray import hospitals_together
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.simulate import simulate
from researcher.studies.checkpoints import load_model

pytestmark = pytest.mark.slow  # each starts a cluster, which a busy machine needs a minute for
PICTURES = 360
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
AT_WORK = "ray::Worker.train"
COMMAND = [
    *(sys.executable, "-m", "researcher", "simulate", "--hospitals", "5", "--num_rounds", "2"),
    *("--local_epochs", "6", "--sample_rate", "0.25", "--epsilon", "8"),
]


@dataclass
class Running:
    """A simulation that runs on Ray.

    Attributes:
        process: The command.
        folder: Of its temporary files.
        output: What it says.
        family: All processes that it was seen to have.
    """

    process: subprocess.Popen[str]
    folder: Path
    output: Path
    family: set[psutil.Process] = field(default_factory=set)

    def look(self) -> list[psutil.Process]:
        """Its processes now."""
        try:
            now = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self.family |= set(now)
        return now

    def at_work(self) -> list[psutil.Process]:
        """Its workers that train a hospital now."""
        return [one for one in self.look() if AT_WORK in _title(one)]

    def wait_for_work(self) -> list[psutil.Process]:
        """Its workers, once one of them trains."""
        try:
            return wait_for(self.at_work, alive=lambda: self.process.poll() is None)
        except AssertionError as error:
            raise AssertionError(f"no worker was seen at work: {self.output.read_text()}") from error

    def end(self) -> str:
        """Waits until it is done; returns what it said."""
        self.process.wait(timeout=CEILING_SECONDS)
        said = self.output.read_text()
        assert self.process.returncode == 0, said
        return said

    def listens(self) -> set[str]:
        """Addresses at which its processes listen now."""
        found = {
            connection.laddr.ip
            for one in [psutil.Process(self.process.pid), *self.look()]
            for connection in _connections(one)
            if connection.status == psutil.CONN_LISTEN
        }
        return found

    def holds_torch(self) -> bool:
        """Whether the command itself has torch in memory, as its workers have."""
        return "libtorch" in Path(f"/proc/{self.process.pid}/maps").read_text()

    def has_no_idle_part(self) -> bool:
        """Whether nothing of Ray runs that a cluster on one machine has no use for."""
        idle = ("autoscaler/_private/monitor", "log_monitor", "dashboard/dashboard.py")
        return not any(part in _title(one) for one in self.look() for part in idle)

    def left(self) -> list[str]:
        """What still runs of it."""
        return [_title(one) for one in self.family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _connections(process: psutil.Process) -> list[psutil._common.pconn]:
    try:
        return list(process.net_connections("inet"))
    except psutil.Error:
        return []


@pytest.fixture(scope="module")
def in_one_process(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same simulation without Ray."""
    out = tmp_path_factory.mktemp("alone") / "out"
    command = [*COMMAND, "--data", data, "--out", out, "--in_process"]
    subprocess.run(command, cwd=PROJECT, env=ENVIRONMENT, check=True, timeout=CEILING_SECONDS, capture_output=True)
    return out


@contextlib.contextmanager
def _heeding_signals() -> Iterator[None]:
    """What starts within heeds Ctrl-C and a terminal's end, also where the tests run by nohup or behind a `&`."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.fixture
def running(data: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    """A simulation that begins; its parameter, where there is one, is more options."""
    folder = Path(tempfile.mkdtemp(prefix="w", dir="/tmp"))  # the names of Ray's sockets have to be short
    output = tmp_path / "said.txt"
    with output.open("w") as stream, _heeding_signals():
        process = subprocess.Popen(
            [*COMMAND, *getattr(request, "param", ()), "--data", data, "--out", tmp_path / "out", "--workers", "2"],
            cwd=PROJECT,
            env={**ENVIRONMENT, "TMPDIR": str(folder)},
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
        )
    one = Running(process, folder, output)
    yield one
    process.kill()
    process.wait()
    for left in one.family:
        if left.is_running():
            left.kill()
    shutil.rmtree(folder)


def test_hospitals_whose_small_models_are_asked_for_together_are_trained_to_the_same_bits(
    data: Path, tmp_path: Path
) -> None:
    study = StudySettings(num_rounds=2, local_epochs=0.5, sample_rate=0.5, epsilon=8.0, model="small_cnn")
    settings = SimulationSettings(hospitals=17, workers=2)
    assert hospitals_together(70_000, alike=True) == 4 and 17 // 8 == 2  # so that there are four parts for each worker
    told: list[str] = []
    found = simulate(study, settings, data, tmp_path / "ray", on_progress=lambda doing: told.append(doing.hospital))
    expected = simulate(study, replace(settings, workers=None, in_process=True), data, tmp_path / "alone")
    assert list(dict.fromkeys(name for name in told if name)) == [f"hospital_{number:02}" for number in range(1, 18)]
    assert found.privacy == expected.privacy
    files = [(tmp_path / name / "global_model.safetensors").read_bytes() for name in ("ray", "alone")]
    assert files[0] == files[1]


@pytest.mark.parametrize(("strategy", "common"), [("mr_mtl", "global_model"), ("fed_bn", "shared_part")])
def test_hospitals_that_have_arrays_of_their_own_are_trained_and_scored_to_the_same_bits_on_ray(
    data: Path, tmp_path: Path, strategy: str, common: str
) -> None:
    study = StudySettings(num_rounds=2, local_epochs=0.5, sample_rate=0.25, epsilon=8.0, server=ServerSpec(strategy))
    results = [
        simulate(study, SimulationSettings(hospitals=3, in_process=in_process), data, tmp_path / name)
        for name, in_process in (("ray", False), ("alone", True))
    ]
    assert results[0].own_models == results[1].own_models and len(results[0].own_models) == 3
    assert results[0].at_home == results[1].at_home
    for file in (common, *(f"model-hospital_{number}" for number in (1, 2, 3))):
        found, expected = ((tmp_path / name / f"{file}.safetensors").read_bytes() for name in ("ray", "alone"))
        assert found == expected, file


def test_a_killed_workers_hospital_is_trained_again_to_the_same_bits_and_charged_once(
    running: Running, in_one_process: Path, tmp_path: Path
) -> None:
    workers = running.wait_for_work()
    assert running.listens() and running.listens() <= LOOPBACK
    assert not running.holds_torch() and running.has_no_idle_part()
    (running.at_work() or workers)[0].kill()
    said = running.end()
    assert re.search(r"round \d: a worker died; hospital_\d is trained again", said)
    found, expected = (load_model(folder / "global_model.safetensors") for folder in (tmp_path / "out", in_one_process))
    assert all(np.array_equal(found.weights[name], expected.weights[name]) for name in expected.weights)
    results = [read_result(folder / "result.json") for folder in (tmp_path / "out", in_one_process)]
    assert results[0].privacy == results[1].privacy
    assert [record.epsilon for record in results[0].rounds] == [record.epsilon for record in results[1].rounds]
    assert [record.bytes_down for record in results[0].rounds] == [record.bytes_down for record in results[1].rounds]
    wait_for(lambda: not running.left())
    assert list(running.folder.glob("wanwu-*")) == []


@pytest.mark.parametrize("running", [("--strategy", "fed_per")], indirect=True)
def test_a_killed_workers_hospital_begins_again_with_the_part_that_it_had_before_the_round(
    running: Running, data: Path, tmp_path: Path
) -> None:
    part = "hospital-*.safetensors"
    wait_for(lambda: len(list((tmp_path / "out").glob(part))) >= 5, alive=lambda: running.process.poll() is None)
    wait_for(lambda: (tmp_path / "out" / "state.json").exists(), alive=lambda: running.process.poll() is None)
    running.wait_for_work()[0].kill()  # in the second round
    said = running.end()
    assert re.search(r"round 2: a worker died; hospital_\d is trained again", said) and "own models: accuracy" in said
    command = [*COMMAND, "--strategy", "fed_per", "--data", data, "--out", tmp_path / "alone", "--in_process"]
    subprocess.run(command, cwd=PROJECT, env=ENVIRONMENT, check=True, timeout=CEILING_SECONDS, capture_output=True)
    for file in ("shared_part", *(f"model-hospital_{number}" for number in range(1, 6))):
        found, expected = ((tmp_path / of / f"{file}.safetensors").read_bytes() for of in ("out", "alone"))
        assert found == expected, file


# So many rounds that it has not ended by itself before it is told to.
@pytest.mark.parametrize("running", [("--num_rounds", "100")], indirect=True, ids=["long"])
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_of_the_cluster_outlives_a_simulation_that_ends_early(running: Running, end: signal.Signals) -> None:
    running.wait_for_work()
    assert len(running.family) > 2
    running.process.send_signal(end)
    running.process.wait(timeout=CEILING_SECONDS)
    wait_for(lambda: not running.left())
    if end != signal.SIGKILL:
        assert list(running.folder.glob("wanwu-*")) == []
        said = running.output.read_text()
        assert "Interrupted. What was reached is saved; run the command again to go on.\n" in said
        assert running.process.returncode == INTERRUPTED and "***" not in said


def test_nobody_without_the_token_is_served(running: Running) -> None:
    running.wait_for_work()
    (own,) = running.folder.glob("wanwu-*")
    assert own.stat().st_mode & 0o777 == 0o700  # Ray opens what it makes to everybody, within
    (raylet,) = [one for one in running.look() if "raylet/raylet" in _title(one)]
    address = re.search(r"--gcs-address=(\S+)", _title(raylet))
    assert address
    program = f"import ray; ray.init({address[1]!r}, log_to_driver=False); print('served', ray.cluster_resources())"
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    running.process.send_signal(signal.SIGSTOP)  # or its cluster might be gone before Ray is imported here
    try:
        for more in ({}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}):
            tried = subprocess.run(
                [sys.executable, "-c", program],
                env={**ENVIRONMENT, **quiet, **more},
                capture_output=True,
                text=True,
                timeout=CEILING_SECONDS,
            )
            assert tried.returncode != 0 and "served" not in tried.stdout
            assert re.search("token|UNAUTHENTICATED", tried.stderr, re.IGNORECASE), tried.stderr[-2000:]
    finally:
        running.process.send_signal(signal.SIGCONT)


def test_a_cluster_that_does_not_answer_is_told(data: Path, tmp_path: Path) -> None:
    """At an address of its own: "auto" would find any cluster that somebody runs on this machine."""
    address = f"127.0.0.1:{free_port()}"
    ran = subprocess.run(
        [*COMMAND, "--data", data, "--out", tmp_path / "out", "--ray_address", address],
        cwd=PROJECT,
        env={**ENVIRONMENT, "RAY_TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=CEILING_SECONDS,
    )
    assert ran.returncode == 1 and f"No Ray cluster answers at '{address}'" in ran.stderr
