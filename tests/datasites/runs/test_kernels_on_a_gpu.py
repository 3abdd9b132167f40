"""On a real card: runs that are closed in load kernels that were compiled before, and do without where there are none.

Imports as little as it can, so that a machine that is lent for minutes need not hold all that a hospital's does.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from support import gpu_round

from datasites.assets.mock_store import write_mock_store
from datasites.runs.enclosure import Enclosure
from datasites.runs.gpus import Gpu, find_gpus
from datasites.runs.kernels.kernel_key import kernel_key
from datasites.runs.kernels.kernel_store import KernelStore, size_of
from datasites.runs.processes.job import Job
from datasites.runs.processes.kernels import ready_kernels
from datasites.runs.processes.kernels.ready_kernels import ReadyKernels
from datasites.runs.processes.process import ForkServer
from datasites.runs.sandbox.gpu_trial import GpuTrial, try_gpu
from datasites.runs.sandbox.limits import RunLimits
from datasites.training.models import initial_weights
from policies.answers.hospital import DatasetSchema
from policies.contracts.weights import canonical_bytes
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")

PROJECT = Path(__file__).resolve().parents[3]
SPEC = ModelSpec("resnet18", (64, 64, 3), 3)
PRIVACY = PrivacySpec(1.0, 1.0, 1e-5)
PLAN = TrainingPlan("one", "d", SPEC, 2, 4, 0.5, 0.5, momentum=0.5, privacy=PRIVACY, run=RunSpec("auto", 16))
OTHER = replace(PLAN, model=ModelSpec("small_cnn", (64, 64, 3), 3))
SCHEMA = DatasetSchema("d", ("one", "two", "three"), (64, 64, 3), "picture", 32, 2)
LIMITS = RunLimits(32 << 30, 3600, 600, 512, 256 << 20)
GRADIENTS, NOISE = "the gradients", "the noise"


@dataclass
class Hospital:
    """A state folder with the mock's pictures, a store of kernels, a fork server, and this machine's first GPU."""

    folder: Path
    fork_server: ForkServer
    enclosure: Enclosure
    kernels: KernelStore
    gpu: Gpu

    def compiled(self, plan: TrainingPlan) -> Path:
        """The plan's kernels, compiled now if they are not there."""
        ready = ReadyKernels(self.kernels.folder, self.fork_server, self.enclosure, LIMITS)
        begun = time.monotonic()
        spent = ready.compile_missing(plan, (self.gpu,), "test", lambda: False)
        found = self.kernels.find(kernel_key(plan, (self.gpu,)))
        if found is None:
            trial = try_gpu(self.gpu, LIMITS, self.folder)
            pytest.fail(f"nothing was compiled; the captured log says why. {_report(trial)}")
        told = f"{len(list(found.iterdir()))} files, {size_of(found) / 1e6:.1f} MB"
        print(f"{plan.model.name} {plan.run.precision}: {told}, {time.monotonic() - begun:.1f} s, compiled: {spent}")
        return found

    def run(self, plan: TrainingPlan, kernels: Path | None, *, processes: int = 1) -> dict[str, np.ndarray]:
        """What a run that is closed in makes of the round."""
        scratch = self.folder / "scratch" / os.urandom(4).hex()
        scratch.mkdir(parents=True)
        weights, result = scratch / "weights", scratch / "update"
        weights.write_bytes(canonical_bytes(initial_weights(plan.model, 0)))
        confinement = replace(self.enclosure.confine((self.gpu,) * processes), kernels=kernels)
        job = Job(
            plan.to_json(),
            0,
            str(self.folder / "store"),
            str(weights),
            str(result),
            confinement,
            processes=processes,
            rehearses=True,  # the pictures are the mock's: an error may be told whole
        )
        times = [time.monotonic()]
        self.fork_server.start().execute(
            job,
            begin=lambda: times.append(time.monotonic()),
            timeout_seconds=LIMITS.wall_seconds_per_run,
            cancelled=lambda: False,
            progress=lambda share: None,
            told=print,
        )
        print(f"ready after {times[1] - times[0]:.1f} s, done {time.monotonic() - times[1]:.1f} s later")
        return load(result.read_bytes())

    def run_outside(self, plan: TrainingPlan) -> dict[str, np.ndarray]:
        """What a process makes of it that is not closed in, with kernels that Triton compiles for itself."""
        scratch = self.folder / "scratch" / os.urandom(4).hex()
        scratch.mkdir(parents=True)
        (scratch / "plan").write_text(plan.to_json())
        (scratch / "weights").write_bytes(canonical_bytes(initial_weights(plan.model, 0)))
        parts = (scratch / "plan", self.folder / "store", scratch / "weights", scratch / "update")
        program = f"import sys; sys.path[:0] = {[str(PROJECT), str(PROJECT / 'tests'), *sys.path]!r}\n"
        program += "from support.gpu_round import main; main(*sys.argv[1:])"
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, parts)],
            capture_output=True,
            text=True,
            env={**os.environ, "TRITON_CACHE_DIR": str(scratch / "triton")},
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.strip() == "", "outside, nothing is slower"
        return load((scratch / "update").read_bytes())


def _report(trial: GpuTrial) -> str:
    """What a closed-in process sees of a GPU, and what hides it: enough to know the cause without another run."""
    told = "A process that is closed in sees the GPU." if trial.seen else f"GPU: {trial.told}."
    facts = [f"listed: {find_gpus()}, tried: {trial.gpu}, inside: {trial.inside}, outside: {trial.outside}"]
    facts += [f"{file}: {oct(file.stat().st_mode)} of {file.stat().st_uid}" for file in Path("/dev").glob("nvidia*")]
    return "\n".join((told, *facts))


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("hospital")
    (folder / "logs").mkdir()
    write_mock_store(folder / "store", SCHEMA)
    found = find_gpus() or (_seen_by_torch(),)
    fork_server = ForkServer(log=folder / "logs" / "runs.log", threads=4, program=gpu_round.PROGRAM)
    enclosure = Enclosure(folder, LIMITS, required=False)
    yield Hospital(folder, fork_server, enclosure, KernelStore(folder / "kernels"), found[0])
    fork_server.stop()
    print((folder / "logs" / "runs.log").read_text()[-3000:])


def _seen_by_torch() -> Gpu:
    """The first GPU, where the driver lists none."""
    minors = sorted(int(file.name[6:]) for file in Path("/dev").glob("nvidia[0-9]*"))
    return Gpu(minors[0] if minors else 0, f"GPU-{torch.cuda.get_device_properties(0).uuid}")


@pytest.fixture
def slower(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The hospital's log: what its runs' GPU does in a slower way than there is."""
    caplog.set_level(logging.INFO)
    return caplog


def named(log: pytest.LogCaptureFixture) -> set[str]:
    """What the log calls slower."""
    names = (GRADIENTS, NOISE, "the pass over a batch", "the noisy step")
    told = [record.getMessage() for record in log.records if "in a slower way" in record.getMessage()]
    found = {name for name in names if any(name in text for text in told)}
    assert len(told) == 0 or found, told
    return found


def furthest(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """How far two updates are apart, as a share of the larger one's length."""
    assert one.keys() == other.keys()
    apart = np.sqrt(sum(float(np.square(one[name] - other[name], dtype=np.float64).sum()) for name in one))
    length = np.sqrt(sum(float(np.square(value, dtype=np.float64).sum()) for value in one.values()))
    assert length > 0
    return float(apart / length)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_closed_in_run_loads_its_kernels_and_computes_what_one_outside_does(
    hospital: Hospital, slower: pytest.LogCaptureFixture, precision: str
) -> None:
    plan = replace(PLAN, run=replace(PLAN.run, precision=precision))
    kernels = hospital.compiled(plan)
    inside = hospital.run(plan, kernels)
    assert named(slower) == set()
    outside = hospital.run_outside(plan)
    apart = furthest(inside, outside)
    print(f"{precision}: inside and outside are {apart:.1e} apart")
    assert all(np.array_equal(inside[name], outside[name]) for name in outside), apart


def test_kernels_are_compiled_once_for_all_rounds(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = hospital.compiled(PLAN)
    monkeypatch.setattr(ready_kernels.ReadyKernels, "_compile", lambda *given: pytest.fail("compiled again"))
    larger = replace(PLAN, run=replace(PLAN.run, physical_batch_size=7), learning_rate=0.1)
    assert hospital.compiled(larger) == kernels


def test_another_batch_needs_no_other_kernels(hospital: Hospital, slower: pytest.LogCaptureFixture) -> None:
    kernels = hospital.compiled(PLAN)
    for places in (1, 7, 32):
        hospital.run(replace(PLAN, run=replace(PLAN.run, physical_batch_size=places)), kernels)
    assert named(slower) == set()


def test_without_kernels_a_closed_in_run_takes_torchs_operations_and_says_so(
    hospital: Hospital, slower: pytest.LogCaptureFixture
) -> None:
    with_kernels = hospital.run(PLAN, hospital.compiled(PLAN))
    empty = hospital.folder / "empty"
    empty.mkdir()
    for kernels in (None, empty):
        slower.clear()
        without = hospital.run(PLAN, kernels)
        assert named(slower) >= {GRADIENTS, NOISE}
        assert furthest(with_kernels, without) < 1e-3


def test_where_only_the_models_own_kernels_are_missing_the_whole_run_does_without_those_of_gradients(
    hospital: Hospital, slower: pytest.LogCaptureFixture
) -> None:
    with_kernels = hospital.run(PLAN, hospital.compiled(PLAN))
    assert named(slower) == set()
    without = hospital.run(PLAN, hospital.compiled(OTHER))
    assert named(slower) == {GRADIENTS}
    assert furthest(with_kernels, without) < 1e-3


@pytest.mark.parametrize("kind", ["json", "cubin", "so"])
def test_a_kernel_that_is_cut_off_is_no_failure(
    hospital: Hospital, slower: pytest.LogCaptureFixture, kind: str
) -> None:
    """Below the digests, by which the datasite would have found it."""
    cut = hospital.folder / f"cut-{kind}"
    shutil.copytree(hospital.compiled(PLAN), cut)
    cut.chmod(0o755)
    for file in cut.glob(f"*.{kind}"):
        file.chmod(0o644)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    without = hospital.run(PLAN, cut)
    assert named(slower) >= {GRADIENTS, NOISE}
    assert furthest(hospital.run(PLAN, hospital.compiled(PLAN)), without) < 1e-3


def test_two_processes_load_the_same_kernels(hospital: Hospital, slower: pytest.LogCaptureFixture) -> None:
    kernels = hospital.compiled(PLAN)
    together = hospital.run(PLAN, kernels, processes=2)
    assert named(slower) == set()
    assert furthest(together, hospital.run(PLAN, kernels)) < 1e-3
    assert named(slower) == set()
    hospital.run(PLAN, hospital.compiled(OTHER), processes=2)
    assert named(slower) == {GRADIENTS}
