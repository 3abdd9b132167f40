"""Each piece of the sandbox by itself, in a process of its own; and what is leased, reported and refused."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.hospitals import ENVIRONMENT
from support.told_calls import TOLD
from support.waiting import CEILING_SECONDS

from datasites.config import DatasiteConfig
from datasites.runs.gpus import Gpu, GpuLeases, find_gpus
from datasites.runs.sandbox import cgroups, seccomp
from datasites.runs.sandbox.cgroups import DelegatedGroup, RunGroup, find_delegated
from datasites.runs.sandbox.confinement import OPTIONAL, Confinement, sandbox_report
from datasites.runs.sandbox.limits import RunLimits
from policies.errors import ConfigError

REPORT = {piece.piece: piece for piece in sandbox_report()}
LIMITS = RunLimits(1 << 28, 10, 10, 40, 1 << 20)


def needs(piece: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not REPORT[piece].present, reason=REPORT[piece].why)


def said(program: str, *arguments: object) -> str:
    """What a program prints that closes itself in."""
    done = subprocess.run(
        [sys.executable, "-c", _START + program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=CEILING_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


_START = f"""{TOLD}
import os, socket, sys, time
from pathlib import Path
from datasites.runs.sandbox import kernel, landlock, namespaces, seccomp
def closed_in(restrict):
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    restrict()
"""


@needs("file rules")
def test_landlock_alone_closes_files(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "file").write_text("x")
    (tmp_path / "closed").write_text("x")
    program = """
folder = Path(sys.argv[1])
closed_in(lambda: landlock.restrict(readable=[folder / "open"], devices=[Path("/dev/null")]))
print(told((folder / "open" / "file").read_text), told((folder / "closed").read_text),
      told(lambda: (folder / "open" / "file").write_text("y")), told(lambda: (folder / "open" / "new").touch()),
      told(lambda: os.truncate(folder / "open" / "file", 0)), told(lambda: Path("/dev/null").write_text("x")))
"""
    assert said(program, tmp_path) == "done EACCES EACCES EACCES EACCES done"


@needs("TCP rules")
def test_landlock_alone_closes_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = """
open_socket = socket.socket()
closed_in(landlock.restrict)
print(told(lambda: open_socket.connect(("127.0.0.1", int(sys.argv[1])))), told(lambda: socket.socket().bind(("", 0))))
"""
        assert said(program, server.getsockname()[1]) == "EACCES EACCES"


@needs("signal and socket scope")
def test_landlock_alone_closes_signals_and_abstract_sockets() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name := f"\0wanwu-piece-{os.getpid()}")
        listener.listen()
        program = """
closed_in(landlock.restrict)
abstract = socket.socket(socket.AF_UNIX)
print(told(lambda: os.kill(int(sys.argv[1]), 0)), told(lambda: abstract.connect("\\0" + sys.argv[2])))
"""
        assert said(program, os.getpid(), name[1:]) == "EPERM EPERM"


@needs("network namespace")
def test_a_network_namespace_alone_holds_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = """
assert "network namespace" not in namespaces.separate()
address = ("127.0.0.1", int(sys.argv[1]))
print([name for _, name in socket.if_nameindex()], told(lambda: socket.create_connection(address)))
"""
        assert said(program, server.getsockname()[1]) == "['lo'] ENETUNREACH"


@needs("process namespace")
def test_with_the_first_process_of_a_namespace_its_daemons_end() -> None:
    """Without the system call filter, so that there are daemons at all."""
    program = """
namespaces.separate()
alive, held = os.pipe()
first = os.fork()
if first == 0:
    os.close(alive)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(held, b"daemon")
            time.sleep(86_400)
        os._exit(0)
    time.sleep(86_400)
os.close(held)
print(os.read(alive, 6).decode())
os.kill(first, 9)
os.waitpid(first, 0)
print(os.read(alive, 1))  # the last holder of the pipe has ended
"""
    assert said(program).split() == ["daemon", "b''"]


@needs("system call filter")
def test_the_filter_alone_refuses_processes_and_sockets_and_lets_threads_and_memory_be() -> None:
    program = """
import mmap, threading
closed_in(seccomp.restrict)
started = threading.Thread(target=lambda: None); started.start(); started.join()
mmap.mmap(-1, 1 << 20).close()
print(told(os.fork), told(socket.socket), told(lambda: os.memfd_create("x")))
print(told(lambda: os.chmod(sys.argv[1], 0o777)), told(lambda: os.kill(os.getpid(), 0)))
print(told(lambda: kernel.prctl(kernel.PR_SET_PDEATHSIG, 0)))
"""
    assert said(program, "/").split() == ["EPERM"] * 6


def test_the_filter_names_each_call_by_the_numbers_of_both_processors() -> None:
    for column in (0, 1):
        numbers = [pair[column] for pair in seccomp.DENIED.values() if pair[column] is not None]
        assert len(numbers) == len(set(numbers))
        assert max(number for number in numbers if number is not None) <= seccomp._LAST_REVIEWED
    assert len(seccomp.program("x86_64", 1)) % 8 == 0
    with pytest.raises(OSError, match="riscv64"):
        seccomp.program("riscv64", 1)


@pytest.mark.parametrize(("column", "header"), [(0, "x86_64-linux-gnu/asm/unistd_64.h"), (1, "asm-generic/unistd.h")])
def test_the_filters_numbers_are_those_of_the_kernels_headers(column: int, header: str) -> None:
    file = Path("/usr/include") / header
    if not file.exists():
        pytest.skip(f"no {header} here")
    lines = [line.split() for line in file.read_text().splitlines() if line.startswith("#define __NR")]
    known = {line[1].removeprefix("__NR_"): line[2] for line in lines if line[1].startswith("__NR_") and len(line) > 2}
    known |= {line[1].removeprefix("__NR3264_"): line[2] for line in lines if line[1].startswith("__NR3264_")}
    for name, numbers in seccomp.DENIED.items():
        if numbers[column] is not None:
            assert known[name] == str(numbers[column]), name


# --- the report --------------------------------------------------------------------------------------------------


def test_the_report_says_of_each_piece_that_it_is_there_or_why_not() -> None:
    assert {"network namespace", "file rules", "system call filter", "resource limits", "control group"} <= set(REPORT)
    assert all(piece.present != bool(piece.why) for piece in REPORT.values())
    assert {name for name, piece in REPORT.items() if not piece.required} == OPTIONAL


def test_a_confinement_survives_the_jobs_pipe() -> None:
    confinement = Confinement(LIMITS, True, Path("/state"), 61_300, (Gpu(1, "GPU-ab"),))
    assert Confinement.from_json(confinement.to_json()) == confinement


def test_the_processes_of_a_run_share_its_limits_and_have_a_gpu_each() -> None:
    limits = RunLimits(900, 60, 50, 40, 1000)
    whole = Confinement(limits, True, Path("/state"), 61_300, (Gpu(0, "GPU-a"), Gpu(1, "GPU-b")))
    assert whole.of_process(0, 1) == whole
    first, second = whole.of_process(0, 2), whole.of_process(1, 2)
    assert (first.gpus, second.gpus) == (whole.gpus[:1], whole.gpus[1:])
    assert (first.limits, second.limits) == (RunLimits(900, 30, 50, 40, 1000), RunLimits(900, 30, 50, 40, 0))
    on_the_cpu = Confinement(limits, True, Path("/state"), 61_300)
    parts = [on_the_cpu.of_process(rank, 3).limits.memory_bytes_per_run for rank in range(3)]
    assert parts == [300, 300, 300], "no control group is required there to hold them together"


def test_the_settings_refuse_limits_that_no_run_fits_in() -> None:
    for wrong in (
        {"processes_per_run": 8},
        {"gpus_per_run": 0},
        {"scratch_bytes_per_run": 1024},
        {"require_sandbox": "yes"},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            DatasiteConfig(name="x", **wrong)  # type: ignore[arg-type]
    assert DatasiteConfig(name="x").require_sandbox


# --- control groups: the files of a delegated one, as the kernel's documentation describes them -------------------


def make_tree(folder: Path, controllers: str) -> tuple[Path, Path]:
    own, mounts = folder / "cgroup", folder / "mountinfo"
    own.write_text("0::/unit.service\n")
    mounts.write_text(f"30 24 0:26 / {folder}/tree rw - cgroup2 cgroup2 rw\n")
    group = folder / "tree" / "unit.service"
    group.mkdir(parents=True)
    (group / "cgroup.controllers").write_text(controllers)
    (group / "cgroup.subtree_control").write_text("")
    return own, mounts


def test_a_delegated_group_is_found_and_divided(tmp_path: Path) -> None:
    own, mounts = make_tree(tmp_path, "cpu memory pids\n")
    found = find_delegated(own=own, mounts=mounts)
    assert found == DelegatedGroup(tmp_path / "tree" / "unit.service")
    found.prepare()
    assert (found.folder / "datasite" / "cgroup.procs").read_text() == str(os.getpid())
    assert (found.folder / "cgroup.subtree_control").read_text() == "+memory +pids"
    group = found.make("abc", LIMITS)
    assert (group.folder / "memory.max").read_text() == str(1 << 28)
    assert (group.folder / "pids.max").read_text() == "40"


def test_a_group_without_the_controllers_is_not_delegated(tmp_path: Path) -> None:
    own, mounts = make_tree(tmp_path, "cpu\n")
    with pytest.raises(OSError, match="memory, pids"):
        find_delegated(own=own, mounts=mounts)


def test_a_group_that_is_gone_already_ends_quietly(tmp_path: Path) -> None:
    RunGroup(tmp_path / "gone").end()
    assert {"memory", "pids"} == cgroups.NEEDED


# --- GPUs --------------------------------------------------------------------------------------------------------

GPUS = (Gpu(0, "GPU-a"), Gpu(1, "GPU-b"))


def test_one_run_has_a_gpu_and_the_next_waits() -> None:
    leases = GpuLeases(GPUS)
    first, second = leases.take(1), leases.take(1)
    assert [first, second] == [(GPUS[0],), (GPUS[1],)]
    assert leases.take(1) is None
    assert leases.take(0) == ()
    leases.give_back(first or ())
    assert leases.take(1) == (GPUS[0],)


def test_a_share_is_spread_over_the_gpus() -> None:
    leases = GpuLeases(GPUS, share=2)
    taken = [leases.take(1) for _ in range(5)]
    assert taken == [(GPUS[0],), (GPUS[1],), (GPUS[0],), (GPUS[1],), None]


@pytest.mark.parametrize(("gpus", "share"), [((), 1), (GPUS, 0)])
def test_without_a_gpu_to_lease_no_run_waits_for_one(gpus: tuple[Gpu, ...], share: int) -> None:
    assert GpuLeases(gpus, share=share).take(1) == ()


def test_a_run_has_different_gpus_and_gives_all_of_them_back() -> None:
    leases = GpuLeases(GPUS, per_run=2)
    assert leases.per_run == 2
    taken = leases.take(2)
    assert taken == GPUS
    assert leases.take(1) is None
    leases.give_back(taken or ())
    assert leases.take(2) == GPUS


def test_a_run_takes_all_that_it_needs_at_once_or_nothing() -> None:
    leases = GpuLeases(GPUS, per_run=2)
    one = leases.take(1)
    assert leases.take(2) is None
    assert leases.take(1) == (GPUS[1],), "waiting for two keeps none"
    leases.give_back(one or ())
    assert leases.take(2) is None


@pytest.mark.parametrize(("per_run", "wanted", "got"), [(8, 8, 2), (1, 8, 1), (2, 1, 1), (2, 0, 0)])
def test_a_run_gets_no_more_gpus_than_there_are_and_the_setting_says(per_run: int, wanted: int, got: int) -> None:
    assert len(GpuLeases(GPUS, per_run=per_run).take(wanted) or ()) == got


def test_shared_gpus_are_different_for_each_run() -> None:
    leases = GpuLeases(GPUS, share=2, per_run=2)
    assert [leases.take(2), leases.take(1), leases.take(2), leases.take(1)] == [GPUS, GPUS[:1], None, GPUS[1:]]


def test_two_threads_never_have_one_gpu() -> None:
    leases, most, at_once, lock = GpuLeases(GPUS[:1]), 0, 0, threading.Lock()

    def work() -> None:
        nonlocal most, at_once
        for _ in range(300):
            if taken := leases.take(1):
                with lock:
                    at_once += 1
                    most = max(most, at_once)
                with lock:
                    at_once -= 1
                leases.give_back(taken)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most == 1


def test_gpus_are_found_as_the_driver_lists_them(tmp_path: Path) -> None:
    for slot, minor in (("0000:3b:00.0", 1), ("0000:af:00.0", 0)):
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "information").write_text(
            f"Model: \t\t NVIDIA H200\nGPU UUID: \t GPU-0a{minor}\nDevice Minor: \t {minor}\n"
        )
    assert find_gpus(tmp_path) == (Gpu(0, "GPU-0a0"), Gpu(1, "GPU-0a1"))
    assert find_gpus(tmp_path / "none") == ()


# --- what a run needs is there before it is closed in -------------------------------------------------------------


@pytest.mark.parametrize(
    "without_privacy", ["small_cnn features image_text", pytest.param("every model", marks=pytest.mark.slow)]
)
def test_no_kind_of_run_imports_anything_after_the_fork_server_did(without_privacy: str) -> None:
    """Every model is trained with privacy; without it, some of them in the usual run: the steps are no model's own."""
    program = """
import numpy as np
from datasites.runs.processes import runner
runner.import_training()
from datasites.training.pictures.data import LabelledPictures
from datasites.training.models import MODELS, build_model, read_weights
from policies.plans.features import FeatureSpec
from policies.plans.training import ENGINES, ModelSpec, PrivacySpec, RunSpec, TrainingPlan
from policies.plans.tokeniser import TextForm
from policies.contracts.weights import canonical_bytes
form = TextForm(length=4, vocabulary=16)
pictures = LabelledPictures(np.zeros((40, 32, 32, 3), np.uint8), np.arange(40) % 2, np.arange(40), 40)
options = {"features": FeatureSpec("resnet18", "0" * 64).options, "image_text": form.options, "resnet18": {"width": 8}}
options |= {"resnet50": {"width": 8}, "efficientnet_lite0": {"width": 0.25}, "vit_small": {"width": 64, "depth": 2}}
options |= {"mobilenet_v3_small": {"width": 0.5}, "mobilenet_v3_large": {"width": 0.5}, "small_cnn": {"width": 4}}
before = set(sys.modules)
class Store:
    images, labels, units = pictures.images, pictures.labels, pictures.units
    texts, by_unit, unit_starts = np.zeros((40, 4), np.int32), None, None
    class manifest:
        public_size, text = 40, form
for name in MODELS:
    model = ModelSpec(name, (32, 32, 3), 2, options.get(name, {}))
    features = np.zeros((40, 512), np.float32) if name == "features" else None
    change = "none" if name == "features" else "flips"
    weights = read_weights(build_model(model))
    plain = name in sys.argv[1].split() or sys.argv[1] == "every model"
    private = PrivacySpec(1.0, 1.0, 1e-5)
    engines = ENGINES if name == "small_cnn" else ENGINES[:1]
    for privacy, engine in [(private, engine) for engine in engines] + [(None, ENGINES[0])] * plain:
        kind = {"momentum": 0.9, "augmentation": change, "privacy": privacy, "run": RunSpec(engine=engine)}
        plan = TrainingPlan("s", "d", model, 1, 1, 0.01, 0.1, **kind)
        work = runner.prepare(runner.RunInputs(plan.to_json(), 0, canonical_bytes(weights), 40))
        work(runner.RunPictures(Store, features))
print(sorted(set(sys.modules) - before))
"""
    assert said(program, without_privacy) == "[]"
